"""Rasa's HTTP API and REST channel: shapes as golden, every call of the table, and every way to be refused."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import jwt
import pytest
import yaml

from dialogue.events import ActionExecuted, ActiveLoop, SlotSet, UserUttered
from dialogue.project import train
from dialogue.server.rasa_mount import RasaOptions
from tests.dialogue.desk import make_bot
from tests.dialogue.small import DATA, write_small
from tests.server.web import DEVELOPER, TOKEN, web

BOTS = os.environ.get("STARFOLD_RASA_BOTS")
SECRET = "a secret that signs the tokens of Rasa's users"
ALL = RasaOptions(api=True, rest=True)
TRACKER_KEYS = [
    *("sender_id", "slots", "latest_message", "latest_event_time", "followup_action", "paused", "events"),
    *("latest_input_channel", "active_loop", "latest_action", "latest_action_name"),
]


@pytest.fixture
def client():
    with web(rasa=ALL, authority={"jwt_secret": SECRET}) as made:
        yield made


def rest(client, text, sender="ann", **more):
    return client.post("/webhooks/rest/webhook", json={"sender": sender, "message": text}, **more)


def call(client, method, path, status=200, headers=DEVELOPER, **more) -> Any:
    answer = client.request(method, path, headers=headers, **more)
    assert answer.status_code == status, answer.text
    if status >= 400:
        failed(answer)
    return answer


def failed(answer):
    body = answer.json()
    assert list(body) == ["version", "status", "message", "reason", "details", "help", "code"]
    assert (body["version"], body["status"], body["code"]) == ("3.6.21", "failure", answer.status_code)
    assert body["message"]
    assert body["reason"]
    return body


def user(name, role):
    token = jwt.encode({"user": {"username": name, "role": role}}, SECRET, "HS256")
    return {"Authorization": f"Bearer {token}"}


def shape(value):
    """Keys and types, of a list what its members have in common."""
    if isinstance(value, dict):
        return {key: shape(one) for key, one in value.items()}
    return [shape(value[0])] if isinstance(value, list) and value else type(value).__name__


# --- REST -----------------------------------------------------------------------------------------------------------


def test_rest_answers_with_messages_of_the_bot(client):
    assert rest(client, "greet").json() == [{"recipient_id": "ann", "text": "Hello!"}]
    assert rest(client, "weather").json()[-1]["buttons"] == [{"title": "Please do", "payload": "/affirm"}]
    assert client.get("/webhooks/rest/").json() == {"status": "ok"}


def test_rest_without_a_sender_or_a_message(client):
    assert client.post("/webhooks/rest/webhook", json={"message": "greet"}).json()[0]["recipient_id"] == "default"
    assert client.post("/webhooks/rest/webhook", json={"sender": "ann"}).json() == []


def test_rest_streams_an_object_a_line(client):
    answer = rest(client, "weather", params={"stream": "true"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert [json.loads(line) for line in answer.text.splitlines()] == rest(client, "weather").json()


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'{"message": 3}', b'{"message": "hi", "sender": [3]}', b'{"message": "hi", "metadata": []}'],
)
def test_what_rest_cannot_read_is_refused_as_rasa_does(client, body):
    answer = client.post("/webhooks/rest/webhook", content=body)
    assert answer.status_code == 400
    assert set(answer.json()) == {"description", "status", "message"}


@pytest.mark.parametrize(("sender", "name"), [(12, "12"), ("", "default"), (None, "default")])
def test_a_sender_may_be_a_number_or_nobody(client, sender, name):
    assert [one["recipient_id"] for one in rest(client, "greet", sender).json()] == [name]


def test_metadata_and_input_channel_stand_in_the_tracker(client):
    body = {"sender": "ann", "message": "greet", "metadata": {"k": 1, "is_external": True}, "input_channel": "app"}
    client.post("/webhooks/rest/webhook", json=body)
    tracker = call(client, "GET", "/conversations/ann/tracker").json()
    assert tracker["latest_input_channel"] == "app"
    assert tracker["latest_message"]["metadata"] == {"k": 1}


def test_a_failure_is_a_failure_not_an_empty_answer():
    def broken(store):
        bot = make_bot(store=store)
        bot._engine.turn = lambda *given: 1 / 0
        return bot

    with web(rasa=ALL, bot=broken) as client:
        answer = rest(client, "greet")
        assert answer.status_code == 500
        assert "ZeroDivisionError" not in answer.text
        failed(answer)


def test_channels_are_there_only_if_wanted():
    with web() as client:
        assert rest(client, "greet").status_code == 404
        assert client.get("/conversations/ann/tracker", headers=DEVELOPER).status_code == 404


# --- what it says of itself ------------------------------


def test_greetings_need_no_token(client):
    assert client.get("/").text == "Hello from Rasa: 3.6.21"
    assert client.get("/version").json()["version"] == "3.6.21"
    assert client.get("/version").json().keys() >= {"minimum_compatible_version"}


def test_status_and_domain(client):
    assert call(client, "GET", "/status").json() == {
        "model_file": "one",
        "model_id": "one",
        "num_active_training_jobs": 0,
    }
    domain = call(client, "GET", "/domain", headers={**DEVELOPER, "Accept": "application/json"}).json()
    assert "greet" in domain["intents"]
    assert {"faq": {"is_retrieval_intent": True}} in domain["intents"]
    assert "action_weather" in domain["actions"]
    written = call(client, "GET", "/domain", headers={**DEVELOPER, "Accept": "application/yaml"})
    assert yaml.safe_load(written.text) == domain
    call(client, "GET", "/domain", 406, {**DEVELOPER, "Accept": "text/csv"})


# --- who may --------------------------------------------------------------------------------------------------------


def test_a_token_may_stand_in_the_query(client):
    assert client.get(f"/status?token={TOKEN}").status_code == 200
    failed(client.get("/status?token=wrong"))


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}])
@pytest.mark.parametrize("path", ["/status", "/conversations/ann/tracker", "/domain"])
def test_nobody_gets_in_without_a_token(client, headers, path):
    assert call(client, "GET", path, 401, headers).json()["reason"] == "NotAuthenticated"


def test_a_user_may_touch_only_the_conversation_of_their_name(client):
    rest(client, "greet")
    call(client, "GET", "/conversations/ann/tracker", headers=user("ann", "user"))
    call(client, "POST", "/conversations/ann/predict", headers=user("ann", "user"))
    assert call(client, "GET", "/conversations/bob/tracker", 403, user("ann", "user")).json()["reason"] == (
        "NotAuthorized"
    )
    for path in ("/status", "/domain"):
        call(client, "GET", path, 403, user("ann", "user"))
    call(client, "POST", "/model/parse", 403, user("ann", "user"), json={"text": "greet"})
    call(client, "GET", "/conversations/bob/tracker", headers=user("ann", "admin"))
    call(client, "GET", "/conversations/ann/tracker", 403, user("ann", "nobody"))


# --- conversations --------------------------------------------------------------------------------------------------


def test_the_tracker_of_a_conversation(client):
    rest(client, "greet")
    tracker = call(client, "GET", "/conversations/ann/tracker").json()
    assert list(tracker) == TRACKER_KEYS
    assert [event["event"] for event in tracker["events"]][:3] == ["action", "session_started", "action"]
    middle = tracker["events"][3]["timestamp"]
    early = call(client, "GET", "/conversations/ann/tracker", params={"until": middle}).json()
    assert early["events"] == tracker["events"][:4]
    for include in ("ALL", "APPLIED", "NONE"):
        shown = call(client, "GET", "/conversations/ann/tracker", params={"include_events": include}).json()
        assert (shown["events"] is None) == (include == "NONE")
    call(client, "GET", "/conversations/ann/tracker", 400, params={"include_events": "SOME"})


def test_a_tracker_nobody_knows_is_begun_so_that_the_bot_may_speak_first(client):
    call(client, "POST", "/conversations/new/execute", 404, json={"name": "utter_greet"})
    begun = [event["event"] for event in call(client, "GET", "/conversations/new/tracker").json()["events"]]
    assert begun == ["action", "session_started", "action"]
    again = call(client, "GET", "/conversations/new/tracker").json()["events"]
    assert [event["event"] for event in again] == begun
    spoken = call(client, "POST", "/conversations/new/execute", json={"name": "utter_greet"}).json()
    assert spoken["messages"] == [{"recipient_id": "new", "text": "Hello!"}]
    assert rest(client, "greet", "new").json() == [{"recipient_id": "new", "text": "Hello!"}]


def test_what_can_be_sent_nowhere_is_told_in_the_log(client, caplog):
    rest(client, "greet")
    for channel in ("callback", "rest"):
        call(client, "POST", f"/conversations/ann/execute?output_channel={channel}", json={"name": "utter_greet"})
    told = [record.getMessage() for record in caplog.records if "sent nowhere" in record.getMessage()]
    assert told == ["conversation ann was not heard on callback: what was said is sent nowhere"]


def test_an_id_may_have_slashes(client):
    rest(client, "greet", "a/b/c")
    assert call(client, "GET", "/conversations/a/b/c/tracker").json()["sender_id"] == "a/b/c"


@pytest.mark.skipif(BOTS is None, reason="STARFOLD_RASA_BOTS names no folder of Rasa projects")
def test_shapes_are_those_rasa_gave(client):
    golden = Path(str(BOTS), "golden")
    told = json.loads((golden / "tracker.json").read_text())
    rest(client, "greet")
    mine = call(client, "GET", "/conversations/ann/tracker").json()
    assert list(mine) == list(told)
    assert mine["latest_message"].keys() >= told["latest_message"].keys()
    theirs = {event["event"]: event for event in told["events"]}
    for event in mine["events"]:
        assert event.keys() == theirs[event["event"]].keys(), event["event"]
    parsed = json.loads((golden / "parse.json").read_text())
    mine = call(client, "POST", "/model/parse", json={"text": "greet"}).json()
    assert mine.keys() - {"belief"} == parsed.keys()
    assert shape(mine["intent_ranking"]) == shape(parsed["intent_ranking"])
    assert mine["text_tokens"] == [[0, 5]] == parsed["text_tokens"]


def test_events_are_added_and_replaced(client):
    rest(client, "greet")
    one = SlotSet(name="city", value="Oslo").as_dict()
    assert call(client, "POST", "/conversations/ann/tracker/events", json=one).json()["slots"]["city"] == "Oslo"
    added = call(client, "POST", "/conversations/ann/tracker/events", json=[one, one]).json()
    count = len(added["events"])
    put = call(client, "PUT", "/conversations/ann/tracker/events", json=[one]).json()
    assert (count, len(put["events"])) == (count, 1)
    assert count > 3
    assert rest(client, "greet").json()[0]["text"] == "Hello!"
    for wrong in ({"event": "nothing"}, [], "x", {"event": "slot"}, [one, 3]):
        call(client, "POST", "/conversations/ann/tracker/events", 400, json=wrong)
    assert call(client, "GET", "/conversations/ann/tracker").json()["slots"]["city"] == "Oslo"


def test_events_come_after_the_start_of_a_session(client):
    one = SlotSet(name="city", value="Oslo").as_dict()
    added = call(client, "POST", "/conversations/bob/tracker/events?include_events=all", json=one).json()
    begun = ["action", "session_started", "action"]
    assert [event["event"] for event in added["events"]] == [*begun, "slot"]
    rest(client, "greet", "bob")
    events = call(client, "GET", "/conversations/bob/tracker").json()["events"]
    assert [event["event"] for event in events][:5] == [*begun, "slot", "user"]
    call(client, "POST", "/conversations/bob/execute", json={"name": "action_listen"})


def test_a_story_of_the_conversation(client):
    call(client, "GET", "/conversations/ann/story", 404)
    rest(client, "greet")
    rest(client, "weather Oslo")
    answer = call(client, "GET", "/conversations/ann/story")
    (story,) = yaml.safe_load(answer.text)["stories"]
    assert story["steps"][:2] == [{"user": "greet", "intent": "greet"}, {"action": "utter_greet"}]
    assert {"user": "weather [Oslo](city)", "intent": "weather"} in story["steps"]
    client.post("/webhooks/rest/webhook", json={"sender": "ann", "message": "/session_start"})
    rest(client, "bye")
    stories = yaml.safe_load(call(client, "GET", "/conversations/ann/story?all_sessions=true").text)["stories"]
    assert [one["story"] for one in stories] == ["ann, story 1", "ann, story 2"]
    last = yaml.safe_load(call(client, "GET", "/conversations/ann/story").text)["stories"]
    assert [one["steps"][-2:] for one in last] == [[{"user": "bye", "intent": "bye"}, {"action": "utter_bye"}]]


def test_a_story_has_what_a_form_was_told(client):
    events = [
        UserUttered("book", {"intent": {"name": "book"}}),
        *(
            ActionExecuted("trip"),
            ActiveLoop("trip"),
            SlotSet("requested_slot", "city"),
            ActionExecuted("action_listen"),
        ),
        UserUttered("to Oslo", {"intent": {"name": "inform"}}),
        *(ActionExecuted("trip"), SlotSet("city", "Oslo"), ActiveLoop(None), ActionExecuted("action_listen")),
    ]
    call(client, "PUT", "/conversations/ann/tracker/events", json=[event.as_dict() for event in events])
    (story,) = yaml.safe_load(call(client, "GET", "/conversations/ann/story").text)["stories"]
    assert story["steps"] == [
        *({"user": "book", "intent": "book"}, {"action": "trip"}, {"active_loop": "trip"}),
        *({"user": "to Oslo", "intent": "inform"}, {"action": "trip"}, {"slot_was_set": ["city"]}),
        {"active_loop": None},
    ]


def test_an_action_is_executed(client):
    call(client, "POST", "/conversations/ann/execute", 404, json={"name": "utter_greet"})
    rest(client, "greet")
    body = {"name": "utter_bye", "policy": "mine", "confidence": 0.5}
    answer = call(client, "POST", "/conversations/ann/execute", json=body).json()
    assert answer["messages"] == [{"recipient_id": "ann", "text": "Bye."}]
    done = [event for event in answer["tracker"]["events"] if event["event"] == "action"][-1]
    assert (done["name"], done["policy"], done["confidence"]) == ("utter_bye", "mine", 0.5)
    for wrong in ({}, {"name": "utter_bye", "confidence": 2}, {"name": "utter_bye", "policy": 3}):
        call(client, "POST", "/conversations/ann/execute", 400, json=wrong)
    call(client, "POST", "/conversations/ann/execute", 404, json={"name": "utter_by"})
    assert call(client, "POST", "/conversations/ann/execute", 500, json={"name": "action_boom"}).json()["reason"] == (
        "ConversationError"
    )


def test_an_intent_is_triggered(client):
    answer = call(client, "POST", "/conversations/ann/trigger_intent", json={"name": "greet"}).json()
    assert answer["messages"] == [{"recipient_id": "ann", "text": "Hello!"}]
    assert answer["tracker"]["latest_message"]["text"] == "EXTERNAL: greet"
    body = {"name": "weather", "entities": {"city": "Rome"}}
    assert call(client, "POST", "/conversations/ann/trigger_intent", json=body).json()["tracker"]["slots"]["city"] == (
        "Rome"
    )
    told = call(client, "POST", "/conversations/ann/trigger_intent", 404, json={"name": "gret"}).json()
    assert "greet" in told["message"]
    call(client, "POST", "/conversations/ann/trigger_intent", 400, json={})
    call(client, "POST", "/conversations/ann/trigger_intent", 400, json={"name": "greet", "entities": [3]})


def test_the_next_action_is_predicted_and_nothing_done(client):
    call(client, "POST", "/conversations/ann/predict", 404)
    body = {"text": "greet", "sender": "user"}
    heard = call(client, "POST", "/conversations/ann/messages", json=body).json()
    assert (heard["latest_message"]["intent"]["name"], heard["latest_action_name"]) == ("greet", "action_listen")
    predicted = call(client, "POST", "/conversations/ann/predict").json()
    assert list(predicted) == ["scores", "policy", "confidence", "tracker"]
    assert (predicted["scores"][0]["action"], predicted["policy"]) == ("utter_greet", "rules")
    assert predicted["scores"][0]["score"] == predicted["confidence"] > 0
    assert len({one["action"] for one in predicted["scores"]}) == len(predicted["scores"]) > 10
    same = call(client, "POST", "/model/predict", json=heard["events"]).json()
    assert same["scores"] == predicted["scores"]
    assert len(call(client, "GET", "/conversations/ann/tracker").json()["events"]) == len(heard["events"])


def test_a_message_is_added_with_a_parse_of_its_own(client):
    parse = {"intent": {"name": "bye", "confidence": 0.9}, "entities": [{"entity": "city", "value": "Oslo"}]}
    body = {"text": "whatever", "sender": "user", "parse_data": parse}
    heard = call(client, "POST", "/conversations/ann/messages", json=body).json()["latest_message"]
    assert (heard["intent"], heard["entities"][0]["value"]) == ({"name": "bye", "confidence": 0.9}, "Oslo")
    for wrong in (
        {"text": "hi", "sender": "bot"},
        {"sender": "user"},
        {"text": "hi", "sender": "user", "parse_data": 3},
        {"text": "hi", "sender": "user", "parse_data": {"entities": [3]}},
    ):
        call(client, "POST", "/conversations/ann/messages", 400, json=wrong)


def test_model_predict_refuses_what_are_no_events(client):
    call(client, "POST", "/model/predict", 400, json={"event": "nothing"})
    events = [ActionExecuted(name="action_listen"), UserUttered(parse_data={"intent": {"name": "bye"}})]
    body = [event.as_dict() for event in events]
    assert call(client, "POST", "/model/predict", json=body).json()["scores"][0]["action"] == "utter_bye"


# --- the model ------------------------------------------------------------------------------------------------------


def test_parse_in_four_shapes(client):
    said = {"text": "inform Oslo", "message_id": "m1"}
    assert call(client, "POST", "/model/parse", json=said).json()["message_id"] == "m1"
    wit = call(client, "POST", "/model/parse?emulation_mode=WIT", json=said).json()
    assert (wit["intents"][0]["name"], wit["entities"]["city:city"][0]["body"]) == ("inform", "Oslo")
    luis = call(client, "POST", "/model/parse?emulation_mode=luis", json=said).json()
    assert (luis["prediction"]["topIntent"], luis["prediction"]["entities"]["city"]) == ("inform", ["Oslo"])
    flow = call(client, "POST", "/model/parse?emulation_mode=DIALOGFLOW", json=said).json()
    assert flow["queryResult"]["intent"]["displayName"] == "inform"
    assert flow["queryResult"]["parameters"] == {"city": ["Oslo"]}
    call(client, "POST", "/model/parse?emulation_mode=x", 400, json=said)
    call(client, "POST", "/model/parse", 400, json={"text": 3})
    call(client, "POST", "/model/parse", 400, content=b"{")


def test_models_are_exchanged_and_unloaded(client):
    call(client, "PUT", "/model", 204, json={"model_file": "models/two.tar.gz"})
    assert call(client, "GET", "/status").json()["model_file"] == "two"
    call(client, "PUT", "/model", 409, json={"model_file": "three"})
    for wrong in ({}, {"model_server": {"url": "http://x"}}):
        call(client, "PUT", "/model", 400, json=wrong)
    call(client, "DELETE", "/model", 204)
    for method, path in (
        ("GET", "/status"),
        ("GET", "/domain"),
        ("GET", "/conversations/ann/tracker"),
        ("POST", "/model/parse"),
    ):
        assert call(client, method, path, 409, json={"text": "greet"}).json()["reason"] == "Conflict"
    assert rest(client, "greet").status_code == 409
    assert client.get("/health/ready").status_code == 503
    call(client, "PUT", "/model", 204, json={"model_file": "one"})
    assert rest(client, "greet").json()[0]["text"] == "Hello!"


def test_stories_are_replayed(client):
    body = """
stories:
- story: right
  steps: [{user: greet, intent: greet}, {action: utter_greet}]
- story: wrong
  steps: [{user: bye, intent: bye}, {action: utter_greet}]
"""
    for e2e in (False, True):
        found = call(client, "POST", f"/model/test/stories?e2e={str(e2e).lower()}", content=body).json()
        assert found["accuracy"] == pytest.approx(3 / 4)
        assert {"action": "utter_greet", "predicted": "utter_bye"}.items() <= found["actions"][2].items()
        assert found["is_end_to_end_evaluation"] is e2e
        assert found["report"]["utter_greet"]["confused_with"] == {"utter_bye": 1}
    for wrong in ("", "stories: 3", "nlu: []", "{"):
        call(client, "POST", "/model/test/stories", 400, content=wrong)


def test_messages_are_read_and_scored(client):
    body = """
nlu:
- {intent: greet, examples: "- greet you\\n- bye you\\n"}
- {intent: inform, examples: "- inform [Oslo](city)\\n- inform [Bonn](city)\\n"}
- {intent: faq/wifi, examples: "- faq wifi\\n"}
"""
    found = call(client, "POST", "/model/test/intents", content=body).json()
    intents = found["intent_evaluation"]
    assert intents["accuracy"] == pytest.approx(4 / 5)
    assert {"intent": "greet", "predicted": "bye"}.items() <= intents["predictions"][1].items()
    assert found["entity_evaluation"]["test"]["report"]["city"]["recall"] == pytest.approx(0.5)
    assert found["response_selection_evaluation"]["accuracy"] == 1.0
    call(client, "POST", "/model/test/intents", 400, content="nlu: []")
    call(client, "POST", "/model/test/intents?model=three", 409, content=body)
    call(client, "POST", "/model/test/intents?cross_validation_folds=1", 400, content=body)


def test_a_model_is_trained_kept_and_loaded(tmp_path):
    project = write_small(tmp_path / "bot")
    train(project)
    with web(rasa=ALL, project=project, body_kb=64) as client:
        changed = DATA.replace("Sunny.", "Rainy.")
        answer = call(client, "POST", "/model/train", content=changed)
        with tarfile.open(fileobj=io.BytesIO(answer.content)) as archive:
            names = archive.getnames()
        name = answer.headers["filename"].removesuffix(".tar.gz")
        assert f"{name}/domain.json" in names
        kept = next(project.rglob(f"{name}/domain.json"))
        assert "Rainy." in kept.read_text()
        found = call(client, "POST", "/model/test/intents?cross_validation_folds=2", content=changed).json()
        assert 0 <= found["intent_evaluation"]["f1_score"] <= 1
        assert len(found["intent_evaluation"]["predictions"]) == 20
        assert call(client, "POST", "/model/train", 400, content="nlu: 3").json()["reason"] == "TrainingError"
        call(client, "POST", "/model/train", 400, content="")


def test_a_result_is_posted_when_it_is_there(client):
    from tests.dialogue.servers import FakeServer

    with FakeServer((200, {})) as server:
        told = {"callback_url": server.url}
        story = "stories: [{story: a, steps: [{intent: greet}, {action: utter_greet}]}]"
        call(client, "POST", "/model/test/stories", 204, params=told, content=story)
        call(client, "POST", "/model/test/stories", 204, params=told, content="stories: 3")
        good, bad = server.requests
    assert good["accuracy"] == 1.0
    assert (bad["status"], bad["code"]) == ("failure", 400)
    call(client, "POST", "/model/test/stories", 400, params={"callback_url": "file:///etc"}, content=story)
