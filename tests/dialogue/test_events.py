"""Events and their wire form."""

import json
import math
from dataclasses import FrozenInstanceError, fields
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialogue.events import (
    EVENTS,
    ActionExecuted,
    ActiveLoop,
    BotUttered,
    Event,
    LoopInterrupted,
    ReminderScheduled,
    SlotSet,
    UserUttered,
)

RASA_EVENTS = {
    *("user", "bot", "action", "slot", "entities", "user_featurization", "reminder", "cancel_reminder", "rewind"),
    *("undo", "restart", "reset_slots", "pause", "resume", "followup", "export", "agent", "active_loop"),
    *("loop_interrupted", "action_execution_rejected", "session_started", "session_ended"),
}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(st.text(max_size=5), JSON, max_size=3)
VALUES = {
    "str": st.text(),
    "str | None": st.none() | st.text(),
    "bool": st.booleans(),
    "bool | None": st.none() | st.booleans(),
    "float": st.floats(allow_nan=False, allow_infinity=False),
    "float | None": st.none() | st.floats(0, 1),
    "datetime": st.datetimes(timezones=st.none() | st.just(timezone.utc)),
    "Mapping[str, Any]": OBJECTS,
    "list[Mapping[str, Any]]": st.lists(OBJECTS, max_size=2),
    "Any": JSON,
}


def any_event(kind: type[Event]) -> st.SearchStrategy[Event]:
    values = {item.name: VALUES[str(item.type)] for item in fields(kind)}
    if kind is ActionExecuted:
        values["name"] = st.text(min_size=1)
    return st.builds(kind, **values)


EVENT = st.sampled_from(sorted(EVENTS)).flatmap(lambda wire: any_event(EVENTS[wire]))


def test_every_event_of_rasa_is_known():
    assert set(EVENTS) == RASA_EVENTS
    assert all(kind.wire == wire for wire, kind in EVENTS.items())


@given(EVENT)
def test_an_event_survives_its_wire_form(event):
    wire = json.loads(json.dumps(event.as_dict()))
    again = Event.from_dict(wire)
    assert type(again) is type(event)
    assert again == event
    assert again.as_dict() == wire


def test_wire_form_of_a_user_message_has_the_keys_of_rasa_in_its_order():
    event = UserUttered("hi", {"intent": {"name": "greet"}}, "rest", "m1", timestamp=1.5, metadata={"k": 1})
    assert list(event.as_dict().items()) == [
        ("event", "user"),
        ("timestamp", 1.5),
        ("metadata", {"k": 1}),
        ("text", "hi"),
        ("parse_data", {"intent": {"name": "greet"}}),
        ("input_channel", "rest"),
        ("message_id", "m1"),
    ]
    assert event.intent == "greet"


def test_what_an_action_server_sends_is_read():
    sent = {"event": "reminder", "timestamp": None, "intent": "call", "date_time": "2030-01-02T03:04:05Z", "name": None}
    event = Event.from_dict(sent)
    assert isinstance(event, ReminderScheduled)
    assert event.date_time == datetime(2030, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    assert event.kill_on_user_msg is True
    assert event.timestamp > 1.7e9
    bot = {"event": "bot", "text": "hi", "data": None, "metadata": None, "timestamp": 3}
    assert Event.from_dict(bot) == BotUttered("hi", timestamp=3.0)


def test_form_events_of_old_trackers_become_loop_events():
    assert Event.from_dict({"event": "form", "name": "f", "timestamp": 1.0}) == ActiveLoop("f", timestamp=1.0)
    assert Event.from_dict({"event": "form", "name": None, "timestamp": 1.0}) == ActiveLoop(None, timestamp=1.0)
    for validate in (True, False):
        old = {"event": "form_validation", "validate": validate, "timestamp": 1.0}
        assert Event.from_dict(old) == LoopInterrupted(not validate, timestamp=1.0)


@pytest.mark.parametrize(
    ("wire", "sentence"),
    [
        ({"event": "slto"}, "unknown event 'slto'; did you mean 'slot'?"),
        ({"event": "slot", "value": 1}, "event 'slot': 'name' is missing"),
        ({"event": "slot", "name": 3}, "event 'slot': expected 'name' to be a string, got 3"),
        ({"event": "slot", "name": None}, "event 'slot': expected 'name' to be a string, got None"),
        (
            {"event": "pause", "timestamp": "now"},
            "event 'pause': expected 'timestamp' to be a finite number, got 'now'",
        ),
        ({"event": "pause", "timestamp": math.nan}, "expected 'timestamp' to be a finite number, got nan"),
        ({"event": "pause", "timestamp": True}, "expected 'timestamp' to be a finite number, got True"),
        ({"event": "pause", "metadata": [1]}, "expected 'metadata' to be a mapping, got [1]"),
        ({"event": "action"}, "expected a 'name' or an 'action_text'"),
        (
            {"event": "action", "name": "a", "confidence": math.inf},
            "expected 'confidence' to be a finite number, got inf",
        ),
        (
            {"event": "reminder", "intent": "x", "date_time": "soon"},
            "expected 'date_time' to be an ISO 8601 date and time",
        ),
        (
            {"event": "user", "text": "x", "parse_data": {"intent": "greet"}},
            "expected 'parse_data.intent' to be a mapping",
        ),
        (
            {"event": "user", "text": "x", "parse_data": {"entities": [1]}},
            "'parse_data.entities' to be a list of mappings",
        ),
        ({"event": "entities", "entities": ["x"]}, "expected 'entities' to be a list of mappings"),
        ({"event": "loop_interrupted", "is_interrupted": "yes"}, "expected 'is_interrupted' to be true or false"),
        ({"name": "x"}, "expected an event, a mapping with a string under 'event', got {'name': 'x'}"),
        ("slot", "expected an event, a mapping with a string under 'event', got 'slot'"),
    ],
)
def test_a_malformed_event_is_refused_with_a_sentence(wire, sentence):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        Event.from_dict(wire)
    assert sentence in str(caught.value)


def test_reading_as_one_type_refuses_another():
    assert SlotSet.from_dict({"event": "slot", "name": "a", "timestamp": 1}) == SlotSet("a", timestamp=1.0)
    with pytest.raises(ValueError, match="expected an event of type 'slot', got 'pause'"):
        SlotSet.from_dict({"event": "pause"})


def test_unknown_keys_are_ignored():
    assert Event.from_dict({"event": "slot", "name": "a", "value": 1, "filled_by": "x", "timestamp": 2}) == SlotSet(
        "a", 1, timestamp=2.0
    )


def test_an_event_does_not_change():
    with pytest.raises(FrozenInstanceError):
        SlotSet("a").name = "b"  # type: ignore[misc]


def test_an_action_tells_why():
    event = ActionExecuted("utter_x", "gate", 0.9, metadata={"kind": "act", "reason": "it is sure"})
    assert (event.kind, event.reason) == ("act", "it is sure")
    assert ActionExecuted("utter_x").kind is None
