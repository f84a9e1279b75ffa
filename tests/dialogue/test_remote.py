"""Custom actions over HTTP: on rasa-sdk's own server, and on servers that do all that servers do."""

import json
import logging
import os
import random
import re
import signal
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from rasa_sdk import events as sdk

from dialogue import events as ev
from dialogue.actions.base import ActionError, ActionRejected
from dialogue.actions.http import PAUSES
from dialogue.actions.remote import ActionServer, RemoteActions
from dialogue.actions.respond import Responder
from dialogue.domain import ActionSpec, Domain
from dialogue.message import Button, Message
from dialogue.project import read_data
from dialogue.tracker import Tracker
from policies.testing import belief
from tests.dialogue.desk import DOMAIN, MemoryStore, Talk, chain, make_bot
from tests.dialogue.servers import FakeServer, action_server, free_port, hangs_up, no_http, sleeps, trickles
from tests.dialogue.test_actions import request
from tests.policies.worlds import action, rule, user

DATA = Path(__file__).parents[2] / "data"
RESPONDER = Responder(random.Random(1))
APOLOGY = "Sorry, something went wrong on my side. Please try again later."
NOTHING = {"events": [], "responses": []}

SERVED = """
import actions  # Nova's
from datetime import datetime
from rasa_sdk import Action, FormValidationAction
from rasa_sdk import events as e
from rasa_sdk.interfaces import ActionExecutionRejection


class Everything(Action):
    def name(self):
        return "action_everything"

    def run(self, dispatcher, tracker, domain):
        seen = [event["event"] for event in tracker.events]
        return [
            e.SlotSet("note", {"seen": seen, "applied": len(tracker.applied_events()), "domain": sorted(domain)}),
            e.BotUttered("said", {"image": None}), e.AgentUttered("a person"), e.AllSlotsReset(),
            e.ReminderScheduled("bye", datetime(2030, 1, 2, 3, 4, 5), {"city": "Rome"}, "r"),
            e.ReminderCancelled("r"), e.FollowupAction("utter_bye"), e.ConversationPaused(), e.ConversationResumed(),
            e.ActionReverted(), e.UserUtteranceReverted(), e.StoryExported(), e.ActionExecuted("action_listen"),
            e.UserUttered("hi", {"intent": {"name": "greet"}}), e.LoopInterrupted(True), e.ActiveLoop("booking"),
            e.ActionExecutionRejected("booking"), e.SessionStarted(), e.SessionEnded(), e.Restarted(),
        ]


class Boom(Action):
    def name(self):
        return "action_boom"

    async def run(self, dispatcher, tracker, domain):
        if tracker.get_slot("city") == "Oslo":
            raise ActionExecutionRejection("action_boom", "not today")
        raise KeyError(1)


class Loop(Action):
    def name(self):
        return "action_loop"

    async def run(self, dispatcher, tracker, domain):
        button = {"title": "T", "payload": "P"}
        dispatcher.utter_message(response="utter_booked", note="by the server", buttons=[button])
        dispatcher.utter_message(text="plain", image="i.png", json_message={"a": 1})
        return [e.FollowupAction("action_listen")]


class Validate(FormValidationAction):
    def name(self):
        return "validate_booking"

    async def required_slots(self, domain_slots, dispatcher, tracker, domain):
        return domain_slots[:2] if tracker.get_slot("city") == "Oslo" else domain_slots

    def validate_city(self, value, dispatcher, tracker, domain):
        if value == "Rome":
            dispatcher.utter_message(text="Not to Rome.")
            return {"city": None}
        return {"city": value}

    async def validate_people(self, value, dispatcher, tracker, domain):
        return {"people": int(value) + 1}

    def validate_note(self, value, dispatcher, tracker, domain):
        return {"note": value}
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    (folder / "served.py").write_text(textwrap.dedent(SERVED))
    with action_server("served", folder, DATA) as (found, _):
        yield found


def listing(*names, **options):
    return replace(DOMAIN, actions={name: ActionSpec(name, **options) for name in names})


def remote(url, domain=None, **options):
    names = ("action_boom", "action_loop", "action_weather", "action_everything", "validate_booking")
    return RemoteActions(ActionServer(url, **options), domain or listing(*names), RESPONDER)


def run(place, name, domain=DOMAIN, **slots):
    return place.run(request(name, domain, Tracker("ada", {"city": None, "people": None, "note": None, **slots})))


# --- rasa-sdk's own server --------------------------------------------------------------------------------------------


def test_novas_booking_on_the_real_server(url):
    domain = read_data([DATA / "en"]).domain
    place = RemoteActions(ActionServer(url), domain, RESPONDER)
    slots = {"visit_date": "next Friday", "party_size": "4", "email": "lee@home.example", "bookings": None}
    tracker = Tracker("visitor-1", {**dict.fromkeys(domain.slots), **slots})
    result = place.run(request("action_submit_booking", domain, tracker))
    assert "A party of 4 on " in result.replies[0].text
    assert "lee@home.example" in result.replies[0].text
    after = tracker.apply(result.events)
    assert after.slots["party_size"] is None
    assert list(after.slots["bookings"]) == [after.slots["booking_code"]]


def test_every_event_goes_there_and_comes_back(url):
    events = [kind(**made) for kind, made in EXAMPLES.items()]
    tracker = Tracker("ada", {"note": None}).apply(events)
    result = remote(url).run(request("action_everything", DOMAIN, tracker))
    untold = {"action", "bot", "entities", "user_featurization"}
    assert {event.wire for event in result.events} | untold == set(ev.EVENTS)
    assert [reply.text for reply in result.replies] == ["said"], "a bot event is said"
    first = result.events[0]
    assert first.value["seen"] == [event.wire for event in events]
    assert first.value["domain"] == sorted(DOMAIN.as_dict())
    reminder = next(event for event in result.events if event.wire == "reminder")
    assert (reminder.date_time.year, reminder.entities, reminder.name) == (2030, {"city": "Rome"}, "r")
    assert all(event.timestamp > 0 for event in result.events)


EXAMPLES = {
    kind: {
        "slot": {"name": "city", "value": 1},
        "entities": {"entities": [{"entity": "city", "value": "Rome"}]},
        "reminder": {"intent": "bye", "date_time": ev._date("2030-01-01T00:00:00+00:00")},
        "followup": {"name": "x"},
        "active_loop": {"name": None},
        "loop_interrupted": {"is_interrupted": True},
        "action_execution_rejected": {"name": "x"},
        "action": {"name": "x"},
        "user": {"text": "hi", "parse_data": {"intent": {"name": "greet"}}},
    }.get(wire, {})
    for wire, kind in ev.EVENTS.items()
}


@pytest.mark.parametrize(
    "made",
    [
        *(
            kind()
            for kind in (sdk.Restarted, sdk.SessionStarted, sdk.SessionEnded, sdk.AllSlotsReset, sdk.StoryExported)
        ),
        *(kind() for kind in (sdk.UserUtteranceReverted, sdk.ActionReverted, sdk.ConversationPaused)),
        *(kind() for kind in (sdk.ConversationResumed, sdk.ReminderCancelled, sdk.BotUttered, sdk.AgentUttered)),
        *(sdk.SlotSet("a", 1), sdk.FollowupAction("a"), sdk.ActionExecuted("a", "p", 0.5), sdk.ActiveLoop("f")),
        *(sdk.UserUttered("a"), sdk.LoopInterrupted(is_interrupted=True), sdk.ActionExecutionRejected("a")),
        sdk.ReminderScheduled("a", ev._date("2030-01-01T00:00:00"), [{"entity": "b"}], "n", kill_on_user_message=False),
    ],
    ids=lambda made: made["event"],
)
def test_every_event_of_the_sdk_is_read_whole(made):
    wire = json.loads(json.dumps(ev.Event.from_dict(made).as_dict()))
    assert {key: wire[key] for key, value in made.items() if value is not None} == {
        key: value for key, value in made.items() if value is not None
    }


def test_responses_of_the_server_are_rendered_here(url):
    named, plain = run(remote(url), "action_loop", city="Paris", people=2).replies
    assert named.text == "Booked: Paris, 2, by the server."
    assert named.buttons == (Button("T", "P"),)
    assert (plain.text, plain.image, plain.custom) == ("plain", "i.png", {"a": 1})


def test_a_refusal_and_a_failure_of_the_real_server(url):
    with pytest.raises(ActionRejected, match="not today"):
        run(remote(url), "action_boom", city="Oslo")
    with pytest.raises(
        ActionError, match=r"action server http://127.0.0.1:\d+/webhook, action 'action_boom': status 500: 1"
    ):
        run(remote(url), "action_boom")
    with pytest.raises(ActionError, match="has no action 'action_weather': No registered action found"):
        run(remote(url), "action_weather")


def test_compressed_requests_and_the_domain_only_on_demand(url):
    tracker = Tracker("ada", {"note": None})
    for options in ({"compress": True}, {"selective_domain": True}):
        result = remote(url, **options).run(request("action_everything", DOMAIN, tracker))
        assert result.events[0].value["domain"]
    other = remote(url, replace(listing("action_everything"), responses={}), selective_domain=True)
    assert "responses" in run(other, "action_everything").events[0].value["domain"]


def test_a_form_validated_by_the_real_server(url):
    domain = listing("validate_booking")
    talk = Talk(make_bot(custom=remote(url, domain), domain=domain))
    assert talk.say("book") == ["Which city?"]
    assert talk.say("Rome") == ["Not to Rome.", "Which city?"]
    assert talk.say("Oslo") == ["How many?"]
    assert talk.say("3") == ["Booked: Oslo, 4, ."], "for Oslo nothing more is required"
    assert (talk.tracker.active_form, talk.tracker.requested_slot) == (None, None)


SLOW = """
import pathlib, time
from rasa_sdk import Action

class Slow(Action):
    def name(self):
        return "action_weather"

    def run(self, dispatcher, tracker, domain):
        pathlib.Path(__file__).with_name("running").touch()
        time.sleep(60)
"""


def test_a_server_that_is_killed_while_the_action_runs(tmp_path):
    (tmp_path / "slow.py").write_text(SLOW)
    store = MemoryStore()
    with action_server("slow", tmp_path) as (url, process), ThreadPoolExecutor(1) as aside:
        talk = Talk(make_bot(custom=remote(url), store=store))
        turn = aside.submit(talk.turn, "weather in Oslo")
        until = time.monotonic() + 30
        while not (tmp_path / "running").exists() and time.monotonic() < until:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
        result = turn.result(timeout=30)
    assert [reply.text for reply in result.replies] == [APOLOGY]
    (failed,) = [event for event in result.events if event.metadata.get("error")]
    assert "broke off" in failed.metadata["error"]
    assert store.events("ada") == list(result.events)
    assert talk.say("weather") == [APOLOGY], "now there is none at all"
    assert "cannot be reached" in next(e for e in talk.tracker.backwards() if e.metadata.get("error")).metadata["error"]


# --- servers that do all that servers do ------------------------------------------------------------------------------


def test_what_a_request_holds():
    with FakeServer((200, NOTHING)) as fake:
        talk = Talk(make_bot(custom=remote(fake.url)))
        talk.say("greet")
        talk.say("weather in Oslo")
    (sent,) = fake.requests
    assert set(sent) == {"next_action", "sender_id", "tracker", "version", "domain", "domain_digest"}
    assert (sent["next_action"], sent["sender_id"], sent["version"]) == ("action_weather", "ada", "3.6.21")
    tracker = sent["tracker"]
    assert set(tracker) == {
        *("sender_id", "slots", "latest_message", "latest_event_time", "followup_action", "paused", "events"),
        *("latest_input_channel", "active_loop", "latest_action", "latest_action_name"),
    }
    assert tracker["slots"]["city"] == "Oslo"
    assert tracker["latest_message"]["intent"]["name"] == "weather"
    assert [event["event"] for event in tracker["events"]].count("user") == 2
    assert set(sent["domain"]) >= {"intents", "slots", "responses", "forms", "actions", "entities", "session_config"}


def test_options_of_the_connection():
    options = {
        "params": {"x": "1"},
        "headers": {"X-Own": "yes"},
        "token": "s3cret",
        "basic_auth": ("ada", "pw"),
        "compress": True,
    }
    with FakeServer((200, NOTHING), (500, {})) as fake:
        place = remote(f"{fake.url}?a=b", **options)
        run(place, "action_loop")
        with pytest.raises(ActionError) as problem:
            run(place, "action_loop")
    assert fake.paths[0] == "/webhook?a=b&x=1&token=s3cret"
    headers = fake.headers[0]
    assert headers["X-Own"] == "yes"
    assert headers["Authorization"] == "Basic YWRhOnB3"
    assert (headers["Content-Encoding"], headers["Content-Type"]) == ("deflate", "application/json")
    assert headers["User-Agent"].startswith("starfold/")
    assert "s3cret" not in str(problem.value)


def test_the_domain_goes_along_as_asked():
    asking = Domain(actions={"action_loop": ActionSpec("action_loop"), "action_boom": ActionSpec("action_boom", True)})
    with FakeServer((200, NOTHING)) as fake:
        place = remote(fake.url, asking, selective_domain=True)
        run(place, "action_loop", asking)
        run(place, "action_boom", asking)
    assert ["domain" in sent for sent in fake.requests] == [False, True]
    assert len({sent["domain_digest"] for sent in fake.requests}) == 1
    missing = {"error": "Missing domain context", "action_name": "action_loop"}
    with FakeServer((449, missing), (200, NOTHING)) as fake:
        run(remote(fake.url, asking, selective_domain=True), "action_loop", asking)
    assert ["domain" in sent for sent in fake.requests] == [False, True]
    with FakeServer((449, missing)) as fake, pytest.raises(ActionError, match="status 449: Missing domain"):
        run(remote(fake.url, asking, selective_domain=True), "action_loop", asking)
    assert len(fake.requests) == 2, "once more, not for ever"


FAULTS = [
    ((500, {"error": "KeyError"}), "status 500: KeyError"),
    ((502, b"<html>bad gateway</html>"), "status 502"),
    ((404, {"error": "No such", "action_name": "action_weather"}), "has no action 'action_weather': No such"),
    ((404, b"not here"), "nothing at this address"),
    ((400, {"error": "Invalid body request"}), "status 400: Invalid body request"),
    ((400, b"<html>"), "status 400"),
    ((302, b""), "status 302"),
    ((204, b""), "status 204"),
    ((200, b""), "is not JSON"),
    ((200, b"hello there"), "is not JSON .*'hello there'"),
    ((200, b"\xff\xfe\x00"), "is not JSON"),
    ((200, b"[" * 100_000), "is not JSON"),
    ((200, b'{"events": [], "responses": [NaN]}'), "NaN is no JSON"),
    ((200, None), "expected an object, got None"),
    ((200, [1]), "expected an object"),
    ((200, {"events": {"a": 1}}), "expected 'events' to be a list"),
    ((200, {"responses": "hi"}), "expected 'responses' to be a list"),
    ((200, {"events": ["x"]}), "not a mapping"),
    ((200, {"events": [{"event": "slto"}]}), "unknown event 'slto'; did you mean 'slot'"),
    ((200, {"events": [{"event": "slot"}]}), "'name' is missing"),
    ((200, {"responses": [{"text": 5}]}), "'text' is 5, expected a string"),
    ((200, {"responses": [{"buttons": ["a"]}]}), "'buttons' holds what is no mapping"),
    ((200, {"responses": [{"buttons": {"a": 1}}]}), "'buttons' is .* expected a list"),
    ((200, {"responses": [{"custom": [1]}]}), "'custom' is .* expected a mapping"),
    (hangs_up, "broke off"),
    (no_http, "broke off"),
    (sleeps(1.0), "did not answer within 0.2 seconds"),
    (trickles([b" "] * 60, 0.05), "did not finish its answer within 0.2 seconds"),
    (trickles([b" " * 2**20] * 20, 0), "more than 16 MiB"),
]
HASTE = {"timeout": 0.2, "connect_timeout": 0.3}


@pytest.mark.parametrize(("answer", "said"), FAULTS, ids=[said for _, said in FAULTS])
def test_whatever_a_server_does_the_turn_is_whole_and_the_user_is_told(answer, said, caplog):
    options = HASTE if "0.2 seconds" in said else {}
    with FakeServer(answer) as fake, caplog.at_level(logging.ERROR):
        store = MemoryStore()
        talk = Talk(make_bot(custom=remote(fake.url, **options), store=store))
        result = talk.turn("weather in Oslo")
        sent = len(fake.requests)
        assert [reply.text for reply in result.replies] == [APOLOGY]
        (failed,) = [event for event in result.events if event.metadata.get("error")]
        assert failed.name == "action_weather"
        assert re.search(said, failed.metadata["error"])
        assert sent == 1, "what went out is not sent again"
        assert store.events("ada") == list(result.events)
        assert talk.tracker.latest_action == "action_listen"
        assert talk.tracker.slots["city"] == "Oslo"
        assert "conversation ada" in caplog.text
        assert talk.say("greet") == ["Hello!"]
    with pytest.raises(ActionError, match=said), FakeServer(answer) as fake:
        run(remote(fake.url, **options), "action_weather")


def test_a_refusal_over_http_gives_way_to_another_action():
    with FakeServer((400, {"error": "not today", "action_name": "action_boom"})) as fake:
        result = Talk(make_bot(custom=remote(fake.url))).turn("boom")
    assert any(isinstance(event, ev.ActionExecutionRejected) for event in result.events)
    assert result.decision.action == "action_default_fallback"


def test_a_server_that_is_not_there_is_tried_again_and_then_an_apology():
    begun = time.monotonic()
    result = Talk(make_bot(custom=remote(f"http://127.0.0.1:{free_port()}/webhook"))).turn("weather")
    assert time.monotonic() - begun >= sum(PAUSES)
    assert [reply.text for reply in result.replies] == [APOLOGY]
    (failed,) = [event for event in result.events if event.metadata.get("error")]
    assert "cannot be reached" in failed.metadata["error"]


def test_a_server_that_comes_up_meanwhile_is_found(monkeypatch):
    with FakeServer((200, NOTHING)) as fake:
        place = remote(f"http://127.0.0.1:{free_port()}/webhook")
        place._server._url, right = place._server._url, fake.url
        monkeypatch.setattr("dialogue.actions.http.time.sleep", lambda _: setattr(place._server, "_url", right))
        run(place, "action_loop")
    assert len(fake.requests) == 1


def test_a_form_whose_validation_is_down_asks_again_when_it_is_back():
    with FakeServer((200, NOTHING), hangs_up, (200, NOTHING)) as fake:
        domain = listing("validate_booking")
        talk = Talk(make_bot(custom=remote(fake.url, domain), domain=domain))
        assert talk.say("book") == ["Which city?"]
        assert talk.say("Rome") == [APOLOGY]
        assert talk.tracker.active_form == "booking"
        assert talk.say("Rome") == ["How many?"]


def test_what_the_bot_says_itself_is_not_asked_of_the_server():
    domain = replace(listing("utter_greet", "booking", "action_x"), responses=DOMAIN.responses)
    place = remote("http://127.0.0.1:9/webhook", domain)
    assert [place.knows(name) for name in ("utter_greet", "booking", "action_x", "action_y")] == [
        False,
        False,
        True,
        False,
    ]


def test_a_default_action_is_replaced_by_listing_it():
    domain = listing("action_restart", "action_session_start")
    answer = {"responses": [{"text": "Anew."}], "events": [sdk.Restarted()]}
    begin = {"events": [sdk.SessionStarted(), sdk.SlotSet("city", "Oslo"), sdk.ActionExecuted("action_listen")]}
    with FakeServer((200, begin), (200, answer), (200, begin)) as fake:
        talk = Talk(make_bot(custom=remote(fake.url, domain), domain=domain))
        assert talk.say("/restart") == ["Anew."]
        assert talk.tracker.slots["city"] == "Oslo"
    assert [sent["next_action"] for sent in fake.requests][:2] == ["action_session_start", "action_restart"]


@pytest.mark.parametrize("options", [{"url": "http://[::1"}, {"url": "http://x", "cafile": "/no/such/file.pem"}])
def test_an_endpoint_that_cannot_be(options):
    with pytest.raises(ActionError, match="action server http"):
        RemoteActions(ActionServer(**options), DOMAIN, RESPONDER)


def test_a_slot_that_is_no_json_is_a_sentence():
    with FakeServer((200, NOTHING)) as fake, pytest.raises(ActionError, match="cannot be sent as JSON"):
        run(remote(fake.url), "action_loop", note=float("nan"))


def test_a_message_that_makes_the_action_known_by_a_rule():
    # The whole way: rule, request, events, next turn.
    domain = listing("action_count")
    answer = {"events": [sdk.SlotSet("note", 7)], "responses": [{"text": "7 stars", "empty": None, "image": ""}]}
    with FakeServer((200, answer)) as fake:
        bot = make_bot(
            custom=remote(fake.url, domain),
            domain=domain,
            policies=chain(rule("count", user("stars"), action("action_count"))),
            beliefs={"how many": belief(("stars", 0.97))},
        )
        turn = bot.handle(Message("how many", sender="ada"))
    assert [reply.as_dict() for reply in turn.replies] == [{"text": "7 stars"}]
    assert bot.tracker("ada").slots["note"] == 7
