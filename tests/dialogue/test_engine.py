"""The turn as a dialogue between the engine and whoever drives it, and the slots a message fills."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialogue import events as ev
from dialogue.actions.base import ActionError, ActionRejected, ActionResult
from dialogue.domain import Domain, Form, MappingCondition, Slot, SlotMapping
from dialogue.engine import Engine
from dialogue.extraction import Heard, extract_on_activation, extract_slots
from dialogue.message import Message, Reply
from dialogue.tracker import Tracker
from policies.testing import belief
from policies.types import Entity
from tests.dialogue.desk import DOMAIN, chain


def drive(outcomes, intent="weather", tracker=None, **options):
    """Names asked for and the turn, when the actions come out as told (and well, when nothing is told)."""
    told = iter(outcomes)
    steps = Engine(DOMAIN, chain(), **options).turn(
        tracker or Tracker("ada"), Message("hi", "ada"), belief((intent, 0.95)), lambda: 5.0
    )
    asked = []
    try:
        wanted = next(steps)
        while True:
            asked.append(wanted.name)
            wanted = steps.send(next(told, ActionResult()))
    except StopIteration as stop:
        return asked, stop.value


def test_the_engine_asks_for_actions_in_order():
    asked, turned = drive([])
    assert asked == ["action_session_start", "action_weather", "utter_offer"]
    assert turned.tracker.latest_action == "action_listen"
    assert all(event.timestamp == 5.0 for event in turned.events)


def test_an_action_sees_the_events_before_it_but_not_itself():
    engine = Engine(DOMAIN, chain())
    steps = engine.turn(Tracker("ada"), Message("hi", "ada"), belief(("weather", 0.95)), lambda: 5.0)
    next(steps)
    first = steps.send(ActionResult())
    assert first.tracker.latest_action == "action_listen"
    assert first.decision.policy == "rules"
    second = steps.send(ActionResult((ev.SlotSet(name="city", value="Oslo"),), (Reply("Sunny."),)))
    assert second.tracker.latest_action == "action_weather"
    assert second.tracker.slots["city"] == "Oslo"


def test_action_then_what_it_says_then_its_events():
    _, turned = drive([ActionResult(), ActionResult((ev.SlotSet(name="city", value="Oslo"),), (Reply("Sunny."),))])
    wires = [event.wire for event in turned.events]
    place = wires.index("bot")
    assert wires[place - 1 : place + 2] == ["action", "bot", "slot"]
    assert turned.replies == (Reply("Sunny."),)


def test_a_session_starts_even_if_its_action_fails():
    _, turned = drive([ActionError("no")])
    assert [event.wire for event in turned.events][:4] == ["action", "session_started", "action", "user"]


def test_a_failing_apology_does_not_loop():
    asked, turned = drive([ActionResult(), ActionError("no"), ActionError("no again")])
    assert asked == ["action_session_start", "action_weather", "action_apologize"]
    assert turned.tracker.latest_action == "action_listen"
    assert turned.decision.action == "action_weather"


def test_the_decision_told_is_the_first_that_was_followed():
    _, turned = drive([ActionResult(), ActionRejected("no")])
    assert turned.decision.action == "action_default_fallback"


@settings(deadline=None)
@given(st.lists(st.sampled_from(["well", "refuse", "fail", "rewind", "listen", "follow", "restart"]), max_size=30))
def test_whatever_actions_do_the_turn_ends_listening(script):
    made = {
        "well": ActionResult(),
        "refuse": ActionRejected("no"),
        "fail": ActionError("no"),
        "rewind": ActionResult((ev.UserUtteranceReverted(),)),
        "listen": ActionResult((ev.ActionExecuted(name="action_listen"),)),
        "follow": ActionResult((ev.FollowupAction(name="action_weather"),)),
        "restart": ActionResult((ev.Restarted(),)),
    }
    asked, turned = drive([made[step] for step in script])
    assert len(asked) <= 13
    executed = [event.name for event in turned.events if isinstance(event, ev.ActionExecuted)]
    assert executed[-1] == "action_listen"
    assert turned.tracker.events == list(turned.events)


# --- slots ------------------------------------------------------------------------------------------------------------


def entity(name, value, role=None):
    return Entity(name, 0, 1, value, "test", role=role)


def extracted(slots, heard, form=None, active=None, requested=None):
    domain = Domain(slots={one.name: one for one in slots}, forms={form.name: form} if form else {})
    tracker = Tracker("ada", {one.name: None for one in slots})
    if active:
        tracker = tracker.apply([ev.ActiveLoop(name=active), ev.SlotSet(name="requested_slot", value=requested)])
    return {event.name: event.value for event in extract_slots(domain, tracker, heard)}


def filled(kind, **more):
    return Slot("x", more.pop("slot_type", "text"), mappings=(SlotMapping(kind, **more),))


@pytest.mark.parametrize(
    ("mapping", "heard", "expected"),
    [
        (
            filled("from_entity", entity="city"),
            Heard("", "i", [entity("city", "Oslo"), entity("city", "Rome")]),
            "Rome",
        ),
        (filled("from_entity", entity="city", slot_type="list"), Heard("", "i", [entity("city", "Oslo")]), ["Oslo"]),
        (filled("from_entity", entity="city", role="to"), Heard("", "i", [entity("city", "Oslo", "to")]), "Oslo"),
        (filled("from_entity", entity="city", role="to"), Heard("", "i", [entity("city", "Oslo")]), None),
        (filled("from_entity", entity="city"), Heard("", "i", [entity("city", "Oslo", "to")]), None),
        (filled("from_text"), Heard("anything", None, []), "anything"),
        (filled("from_text", not_intents=("i",)), Heard("anything", "i", []), None),
        (filled("from_text", intents=("i",)), Heard("anything", None, []), None),
        (filled("from_intent", value=False, intents=("i",)), Heard("", "i", []), False),
        (filled("from_intent", value=1), Heard("", None, []), None),
        (filled("from_trigger_intent", value=1, intents=("i",)), Heard("", "i", []), None),
        (filled("custom"), Heard("a", "i", [entity("x", "y")]), None),
        (filled("from_text", conditions=(MappingCondition(None),)), Heard("a", "i", []), "a"),
        (filled("from_text", conditions=(MappingCondition("f"),)), Heard("a", "i", []), None),
    ],
)
def test_mappings(mapping, heard, expected):
    assert extracted([mapping], heard).get("x") == expected


def test_the_first_mapping_that_finds_something_wins():
    two = Slot("x", "text", mappings=(SlotMapping("from_entity", entity="city"), SlotMapping("from_text")))
    assert extracted([two], Heard("in Oslo", "i", [entity("city", "Oslo")]))["x"] == "Oslo"
    assert extracted([two], Heard("there", "i", []))["x"] == "there"


def number(name):
    return Slot(name, "float", mappings=(SlotMapping("from_entity", entity="number"),))


def test_an_entity_that_two_slots_of_a_form_want_fills_the_one_asked_for():
    form = Form("f", ("adults", "kids"))
    heard = Heard("3", "i", [entity("number", 3)])
    assert extracted([number("adults"), number("kids")], heard, form, "f", "kids") == {"kids": 3}
    assert extracted([number("adults"), number("kids")], heard, form) == {"adults": 3, "kids": 3}


def test_intents_tell_two_slots_with_one_entity_apart():
    form = Form("f", ("start", "end"))
    start, end = filled("from_entity", entity="city", intents=("leave",)), filled("from_entity", entity="city")
    slots = [replace(start, name="start"), replace(end, name="end")]
    heard = [entity("city", "Oslo")]
    assert extracted(slots, Heard("", "leave", heard), form, "f", "start") == {"start": "Oslo", "end": "Oslo"}
    assert extracted(slots, Heard("", "say", heard), form, "f", "start") == {"end": "Oslo"}


def test_ignored_intents_fill_no_slot_of_the_form():
    form = Form("f", ("x",), ignored_intents=("chat",))
    assert extracted([filled("from_text")], Heard("hm", "chat", []), form, "f", "x") == {}
    assert extracted([filled("from_text")], Heard("hm", "say", []), form, "f", "x") == {"x": "hm"}


def test_a_mapping_that_names_an_ignored_intent_wants_it():
    form = Form("f", ("x",), ignored_intents=("chat",))
    named = filled("from_intent", value="none", intents=("chat",))
    assert extracted([named], Heard("hm", "chat", []), form, "f", "x") == {"x": "none"}


def test_the_intent_that_begins_a_form_may_fill_its_slots():
    mapping = SlotMapping("from_trigger_intent", value="indoor", intents=("book",), conditions=(MappingCondition("f"),))
    slots = [Slot("x", "text", mappings=(mapping,)), Slot("beside", "text", mappings=(mapping,))]
    assert on_activation(slots, Heard("", "book", ())) == {"x": "indoor", "beside": "indoor"}
    assert on_activation(slots, Heard("", "other", ())) == {}


def on_activation(slots, heard):
    domain = Domain(slots={one.name: one for one in slots}, forms={"f": Form("f", ("x", "y"))})
    tracker = Tracker("ada", dict.fromkeys(domain.slots)).apply([ev.ActiveLoop(name="f")])
    return {event.name: event.value for event in extract_on_activation(domain, tracker, heard)}


def test_the_message_that_begins_a_form_fills_slots_for_which_the_form_must_be_active():
    within = (MappingCondition("f"),)
    asked = (MappingCondition("f", "x"),)
    heard = Heard("to Oslo", "book", [entity("city", "Oslo")])
    assert on_activation([filled("from_entity", entity="city", conditions=within)], heard) == {"x": "Oslo"}
    assert on_activation([filled("from_entity", entity="city", conditions=asked)], heard) == {}
    assert on_activation([filled("from_entity", entity="city", conditions=(MappingCondition("g"),))], heard) == {}
    assert on_activation([filled("from_entity", entity="city")], heard) == {}, "that was set with the message"
    two = [filled("from_entity", entity="city", conditions=within)]
    assert on_activation([*two, replace(two[0], name="y")], heard) == {}, "it may be for either"


# What the mappings must equal, done the plain way.

VALUES = ("from_entity", "from_text", "from_intent", "custom", "from_trigger_intent")
CONDITION = st.builds(MappingCondition, st.sampled_from([None, "f", "g"]), st.sampled_from([None, "a", "b"]))
NAMES = st.lists(st.sampled_from(["i", "j", "nlu_fallback"]), max_size=2).map(tuple)
MAPPING = st.builds(
    SlotMapping,
    st.sampled_from(VALUES),
    entity=st.sampled_from(["city", "number"]),
    role=st.sampled_from([None, "to"]),
    value=st.sampled_from([True, "v"]),
    intents=NAMES,
    not_intents=NAMES,
    action=st.sampled_from([None, "action_x"]),
    conditions=st.lists(CONDITION, max_size=2).map(tuple),
)
KIND = st.sampled_from(["text", "list"])
SLOTS = st.tuples(*(st.tuples(KIND, st.lists(MAPPING, max_size=3).map(tuple)) for _ in "abc")).map(
    lambda made: {name: Slot(name, kind, mappings=found) for name, (kind, found) in zip("abc", made, strict=True)}
)
FOUND = st.lists(
    st.builds(
        entity,
        st.sampled_from(["city", "number"]),
        st.sampled_from(["Oslo", 3]),
        st.sampled_from([None, "to"]),
    ),
    max_size=3,
)
HEARD = st.builds(Heard, st.sampled_from(["", "words"]), st.sampled_from([None, "i", "j", "nlu_fallback"]), FOUND)


def plainly(slots, heard, active, requested, interrupted):
    """Slot by slot, mapping by mapping, as the contract words it."""
    required = {"f": ("a", "b"), "g": ("c",)}.get(active, ())
    filled = []
    for name, slot in slots.items():
        for one in slot.mappings:
            here = not one.conditions or any(c.active_loop == "f" for c in one.conditions)
            if active == "f" and heard.intent == "j" and here and not one.intents:
                continue
            there = [c for c in one.conditions if c.active_loop == active and c.requested_slot in (None, requested)]
            if one.conditions and (not there or (interrupted and name == requested)):
                continue
            if heard.intent in one.not_intents or (one.intents and heard.intent not in one.intents):
                continue
            value = []
            if one.type == "from_text":
                value = [heard.text] if heard.text else []
            elif one.type == "from_intent":
                value = [one.value] if one.intents or heard.intent not in (None, "nlu_fallback") else []
            elif one.type == "from_entity":
                key = (one.entity, one.role, None)
                shared = [other for other in required if other != name and one in slots[other].mappings]
                if not (name in required and name != requested and shared):
                    value = [e.value for e in heard.entities if (e.entity, e.role, e.group) == key]
            elif one.type == "custom" and one.action and one.action not in filled:
                filled.append(one.action)
            if value:
                filled.append((name, value if slot.type == "list" else value[-1]))
                break
    return filled


@settings(deadline=None)
@given(SLOTS, HEARD, st.sampled_from([None, "f", "g"]), st.sampled_from([None, "a", "b", "c"]), st.booleans())
def test_slot_mappings_equal_the_plain_way(slots, heard, active, requested, interrupted):
    domain = Domain(slots=slots, forms={"f": Form("f", ("a", "b"), ("j",)), "g": Form("g", ("c",))})
    tracker = Tracker("ada", dict.fromkeys(slots))
    if active:
        begun = [ev.ActiveLoop(name=active), ev.SlotSet(name="requested_slot", value=requested)]
        tracker = tracker.apply([*begun, ev.LoopInterrupted(is_interrupted=interrupted)])
    else:
        requested = None
    found = [one if isinstance(one, str) else (one.name, one.value) for one in extract_slots(domain, tracker, heard)]
    assert found == plainly(slots, heard, active, requested, interrupted and active is not None)
