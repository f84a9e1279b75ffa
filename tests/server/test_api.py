"""The API: messages, what is known of a conversation, the model."""

from __future__ import annotations

import json
import time

import pytest

from dialogue.project import train
from tests.dialogue.small import write_small
from tests.server.web import DEVELOPER, say, visitor, web


@pytest.fixture
def client():
    with web() as made:
        yield made


def get(client, path):
    answer = client.get(path, headers=DEVELOPER)
    assert answer.status_code == 200, answer.text
    return answer.json()


def events_of(text):
    """The server-sent events of a body."""
    blocks = [block.split("\n") for block in text.strip().split("\n\n")]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in blocks]


def test_a_message_is_answered_with_what_was_believed_and_decided(client):
    answer = say(client, "greet", id="m1")
    assert answer["message_id"] == "m1"
    assert answer["replies"] == [{"text": "Hello!"}]
    assert (answer["decision"]["kind"], answer["decision"]["action"]) == ("act", "utter_greet")
    assert answer["decision"]["policy"] == "rules"
    assert answer["belief"]["intents"][0]["name"] == "greet"
    assert answer["repeated"] is False


@pytest.mark.parametrize(
    "body", ['{"text": "greet", "id": "m"}', "{", "", '{"text": 1}', '{"text": "\\ud800"}', '{"txt": "greet"}', "null"]
)
def test_a_message_is_read_alike_the_short_way_and_fastapi_s(client, body):
    short, long = (
        client.post("/api/conversations/ann/messages", content=body, headers={**DEVELOPER, "Content-Type": kind})
        for kind in ("application/json", "application/json; charset=utf-8")
    )
    assert short.status_code == long.status_code == (200 if "greet" in body and "txt" not in body else 422)
    told, again = short.json(), long.json()
    assert told.keys() == again.keys()
    assert told == again or (told["replies"], again["repeated"]) == (again["replies"], True)


def test_the_same_message_is_answered_once(client):
    first, again = say(client, "greet", id="m1"), say(client, "greet", id="m1")
    assert again["replies"] == first["replies"]
    assert again["repeated"] is True
    assert [item["text"] for item in get(client, "/api/conversations/ann/messages")["items"]] == ["greet", "Hello!"]


def test_a_message_without_an_id_gets_one(client):
    assert len({say(client, "greet")["message_id"] for _ in range(3)}) == 3


def test_a_visitor_sees_replies_and_nothing_of_the_inside(client):
    conversation, mine = visitor(client)
    answer = client.post(f"/api/conversations/{conversation}/messages", json={"text": "greet"}, headers=mine).json()
    assert answer["replies"] == [{"text": "Hello!"}]
    assert answer["decision"] is answer["belief"] is None


def test_replies_come_as_server_sent_events(client):
    headers = {**DEVELOPER, "Accept": "text/event-stream"}
    answer = client.post("/api/conversations/ann/messages", json={"text": "weather", "id": "m1"}, headers=headers)
    assert answer.headers["content-type"].startswith("text/event-stream")
    found = events_of(answer.text)
    assert [name for name, _ in found] == ["typing", "reply", "done"]
    assert found[1][1]["buttons"] == [{"title": "Please do", "payload": "/affirm"}]
    assert found[2][1]["decision"]["action"] == "action_weather"
    assert {data["message_id"] for _, data in found} == {"m1"}


def test_the_transcript_goes_on_where_it_was_left(client):
    say(client, "weather", id="m1", metadata={"title": "Weather!", "x": 1})
    first = get(client, "/api/conversations/ann/messages")
    say(client, "bye", id="m2")
    rest = get(client, f"/api/conversations/ann/messages?after={first['last']}")
    assert [(item["type"], item["text"], item["message_id"]) for item in rest["items"]] == [
        ("user", "bye", "m2"),
        ("reply", "Bye.", "m2"),
    ]
    assert first["items"][0]["title"] == "Weather!"
    assert first["items"][1]["buttons"] == [{"title": "Please do", "payload": "/affirm"}]
    inner = get(client, f"/api/conversations/ann/messages?after={rest['items'][0]['sequence']}")["items"]
    assert [item["message_id"] for item in inner] == ["m2"], "also in the middle of a turn a reply knows its message"
    whole = get(client, "/api/conversations/ann/messages")
    assert whole["items"] == first["items"] + rest["items"]
    assert whole["last"] == rest["last"]


def test_turns_tell_belief_decision_events_and_milliseconds(client):
    before = say(client, "greet")
    say(client, "boom", id="m2")
    found = get(client, "/api/conversations/ann/turns")
    first, second = found["turns"]
    assert first["belief"] == before["belief"]
    assert {name: first["decision"][name] for name in ("action", "policy", "reason", "confidence")} == {
        name: before["decision"][name] for name in ("action", "policy", "reason", "confidence")
    }
    assert (second["text"], second["message_id"]) == ("boom", "m2")
    assert "no weather today" in json.dumps(second["events"])
    assert {"load", "understand", "decide", "act"} <= second["milliseconds"].keys()
    assert [event["event"] for event in first["events"] if event["event"] in ("user", "bot")] == ["user", "bot"]
    assert "requested_slot" in found["slots"]
    later = get(client, f"/api/conversations/ann/turns?after={first['sequence']}")
    assert later["turns"] == [second]


def test_events_are_those_of_the_store(client):
    say(client, "greet")
    found = get(client, "/api/conversations/ann/events?after=2")
    assert found["last"] == 2 + len(found["events"])
    assert "user" in [event["event"] for event in found["events"]]


def test_conversations_are_listed_latest_first(client):
    for name in ("ann", "bob"):
        say(client, "greet", name)
        time.sleep(0.01)
    assert [one["conversation"] for one in get(client, "/api/conversations")] == ["bob", "ann"]
    assert len(get(client, "/api/conversations?limit=1")) == 1


def test_a_conversation_can_be_taken_along_and_forgotten(client):
    say(client, "greet", id="m1")
    body = {"message_id": "m1", "rating": "down", "comment": "meh"}
    assert client.post("/api/conversations/ann/feedback", json=body, headers=DEVELOPER).status_code == 204
    body["rating"] = "up"
    assert client.post("/api/conversations/ann/feedback", json=body, headers=DEVELOPER).status_code == 204
    found = get(client, "/api/conversations/ann/export")
    assert [message["id"] for message in found["messages"]] == ["m1"]
    assert [(one["rating"], one["comment"]) for one in found["feedback"]] == [("up", "meh")]
    assert client.delete("/api/conversations/ann", headers=DEVELOPER).status_code == 204
    gone = get(client, "/api/conversations/ann/export")
    assert (gone["events"], gone["messages"], gone["feedback"], gone["mailbox"]) == ([], [], [], [])
    assert client.delete("/api/conversations/ann", headers=DEVELOPER).status_code == 204


def test_feedback_on_nothing_is_refused(client):
    body = {"message_id": "m1", "rating": "up"}
    assert client.post("/api/conversations/ann/feedback", json=body, headers=DEVELOPER).status_code == 404


def test_a_text_is_read_without_a_conversation(client):
    found = client.post("/api/parse", json={"text": "greet"}, headers=DEVELOPER).json()
    assert found["intent"]["name"] == "greet"
    assert get(client, "/api/conversations") == []


def test_the_model_is_exchanged_and_taken_back(client):
    assert get(client, "/api/model")["version"] == "one"
    assert client.post("/api/model/rollback", headers=DEVELOPER).status_code == 409
    swapped = client.put("/api/model", headers=DEVELOPER).json()
    assert (swapped["version"], swapped["before"], swapped["name"]) == ("two", "one", "second")
    assert client.put("/api/model", json={"version": "three"}, headers=DEVELOPER).status_code == 409
    assert get(client, "/api/model")["version"] == "two", "what cannot be loaded changes nothing"
    assert client.post("/api/model/rollback", headers=DEVELOPER).json()["version"] == "one"


def test_without_a_project_nothing_is_taught(client):
    assert client.post("/api/teach", json={"text": "a", "intent": "greet"}, headers=DEVELOPER).status_code == 404


def test_teaching_writes_the_example_and_answers_with_it(tmp_path):
    from dialogue.sections import Serving
    from dialogue.server.opening import open_service

    project = write_small(tmp_path / "bot")
    train(project)
    service = open_service(project, Serving())
    with web(project=project) as client:
        client.app.state.parts.service.live._load = service.live._load
        taught = client.post("/api/teach", json={"text": "ahoy", "intent": "greet"}, headers=DEVELOPER)
        assert taught.status_code == 200, taught.text
        assert taught.json()["version"] != service.live.now.version
        unknown = client.post("/api/teach", json={"text": "ahoy", "intent": "gret"}, headers=DEVELOPER)
        assert unknown.status_code == 422
        assert "greet" in unknown.json()["error"]
    service.store.close()
    assert "ahoy" in (project / "data" / "taught.yml").read_text()


@pytest.mark.parametrize(
    "body",
    [{}, {"text": 5}, {"text": "a", "colour": "red"}, {"text": "x" * 4001}, {"text": "a", "id": "\x00"}],
)
def test_a_body_that_is_not_as_expected_is_refused_with_a_sentence(client, body):
    answer = client.post("/api/conversations/ann/messages", json=body, headers=DEVELOPER)
    assert answer.status_code == 422
    assert answer.json()["retry"] is False


def test_half_a_surrogate_pair_is_no_text(client):
    headers = {**DEVELOPER, "Content-Type": "application/json"}
    answer = client.post("/api/conversations/ann/messages", content=b'{"text": "\\ud800"}', headers=headers)
    assert answer.status_code == 422


def test_what_no_person_says_cannot_be_said_by_a_client(client):
    say(client, "greet", metadata={"is_external": True})
    assert [item["type"] for item in get(client, "/api/conversations/ann/messages")["items"]] == ["user", "reply"]


def test_health_and_metrics(client):
    assert client.get("/health/live").json() == {"status": "ok"}
    assert client.get("/health/ready").json() == {"status": "ok", "model": "one", "store": "ok"}
    say(client, "greet", id="m1")
    say(client, "greet", id="m1")
    say(client, "boom")
    say(client, "blub")
    text = client.get("/metrics", headers=DEVELOPER).text
    for line in (
        'starfold_turn_seconds_count{channel="web"} 3.0',
        "starfold_repeated_total 1.0",
        'starfold_action_errors_total{action="action_boom"} 1.0',
        "starfold_belief_top_count 3.0",
        "starfold_mailbox 0.0",
    ):
        assert line in text
    assert 'kind="rephrase"' in text


def test_openapi_names_every_path(client):
    paths = client.get("/openapi.json").json()["paths"]
    assert {"/api/session", "/api/conversations/{conversation}/messages", "/api/model", "/metrics"} <= paths.keys()
