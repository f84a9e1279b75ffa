"""The fold of events into the state of a conversation."""

import json
import time
from collections.abc import Sequence
from itertools import chain
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialogue.events import (
    ActionExecuted,
    ActionExecutionRejected,
    ActionReverted,
    ActiveLoop,
    AllSlotsReset,
    BotUttered,
    ConversationPaused,
    ConversationResumed,
    DefinePrevUserUtteredFeaturization,
    EntitiesAdded,
    Event,
    FollowupAction,
    LoopInterrupted,
    Restarted,
    SessionEnded,
    SessionStarted,
    SlotSet,
    UserUtteranceReverted,
    UserUttered,
)
from dialogue.tracker import Tracker

LISTEN = ActionExecuted("action_listen")
SLOTS = {"city": None, "seats": 2, "requested_slot": None}


def user(intent: str | None, text: str = "", **fields: Any) -> UserUttered:
    parse = {"intent": {"name": intent, "confidence": 0.9}, "entities": fields.pop("entities", []), "text": text}
    return UserUttered(text, parse, **fields)


def act(name: str, kind: str | None = None) -> ActionExecuted:
    return ActionExecuted(name, metadata={} if kind is None else {"kind": kind})


def tracker(*events: Event) -> Tracker:
    return Tracker("ann", SLOTS).apply(events)


def shape(turns) -> list[tuple[str | None, tuple[str, ...]]]:
    return [(turn.intent, turn.actions) for turn in turns]


# What the fold must equal, done the plain way: by replaying everything after each event, as Rasa does.


def undo(events: list[Event], kind: type[Event]) -> None:
    while events and not isinstance(events.pop(), kind):
        pass


def was_left(form: str, events: Sequence[Event]) -> bool:
    following = None
    for event in reversed(events):
        if isinstance(event, ActiveLoop) and event.name is None:
            return True
        if isinstance(event, ActionExecutionRejected) and event.name == form:
            return True
        if isinstance(event, UserUttered) and following not in (None, form):
            return True
        if isinstance(event, ActionExecuted):
            if event.name == form:
                return False
            following = event.name
    return True


def replayed(log: Sequence[Event]) -> list[Event]:
    forms: set[str] = set()
    counts: list[Event] = []
    for event in log:
        if isinstance(event, (Restarted, SessionStarted)):
            counts = []
        elif isinstance(event, ActionReverted):
            undo(counts, ActionExecuted)
        elif isinstance(event, UserUtteranceReverted):
            undo(counts, UserUttered)
            undo(counts, ActionExecuted)
        elif isinstance(event, ActionExecuted) and event.name in forms and not was_left(event.name, counts):
            ran = max(i for i, e in enumerate(counts) if isinstance(e, ActionExecuted) and e.name == event.name)
            gone = (ActionExecuted, UserUttered, DefinePrevUserUtteredFeaturization)
            counts = counts[: ran + 1] + [e for e in counts[ran + 1 :] if not isinstance(e, gone)]
        else:
            counts.append(event)
        if isinstance(event, ActiveLoop) and event.name:
            forms.add(event.name)
    return counts


def changes(state: dict[str, Any], event: Event) -> dict[str, Any]:
    match event:
        case SlotSet(name, value) if name in SLOTS:
            return {"slots": {**state["slots"], name: value}}
        case AllSlotsReset():
            return {"slots": dict(SLOTS)}
        case ActionExecuted(name):
            return {"action": name, "followup": None}
        case UserUttered():
            return {"message": event, "followup": None}
        case ActiveLoop(name):
            return {"loop": name}
        case FollowupAction(name):
            return {"followup": name}
        case ConversationPaused() | ConversationResumed():
            return {"paused": isinstance(event, ConversationPaused)}
    return {}


def plain_state(log: Sequence[Event]) -> dict[str, Any]:
    """Slots, last action and pause by Rasa's rule: a rewind resets all and plays back what counts."""
    state: dict[str, Any] = {}

    def reset():
        state.update(slots=dict(SLOTS), paused=False, action=None, message=None, loop=None, followup="action_listen")

    def play(event):
        state.update(changes(state, event))

    reset()
    for index, event in enumerate(log):
        if isinstance(event, (Restarted, SessionStarted)):
            reset()
            state["followup"] = "action_session_start" if isinstance(event, Restarted) else "action_listen"
        elif isinstance(event, (ActionReverted, UserUtteranceReverted)):
            reset()
            for counted in replayed(log[: index + 1]):
                play(counted)
        else:
            play(event)
    return state


EVENT = st.one_of(
    st.builds(user, st.sampled_from(["greet", "book", "inform", None]), st.sampled_from(["a", "b"])),
    st.sampled_from(["action_listen", "action_listen", "utter_x", "f", "f", "g"]).map(ActionExecuted),
    st.builds(SlotSet, st.sampled_from(["city", "seats", "unheard_of"]), st.integers(0, 5)),
    st.builds(ActiveLoop, st.sampled_from(["f", "g", None])),
    st.builds(ActionExecutionRejected, st.sampled_from(["f", "g", "utter_x"])),
    st.sampled_from(
        [
            UserUtteranceReverted,
            ActionReverted,
            Restarted,
            SessionStarted,
            AllSlotsReset,
            ConversationPaused,
            ConversationResumed,
            BotUttered,
            SessionEnded,
        ]
    ).map(lambda kind: kind()),
    st.builds(FollowupAction, st.just("utter_x")),
    st.builds(LoopInterrupted, st.booleans()),
    st.builds(DefinePrevUserUtteredFeaturization, st.booleans()),
    st.just(EntitiesAdded([{"entity": "city", "value": "Rome"}])),
)
# A form in full swing, which random events seldom make.
ANSWER = st.sampled_from(["action_listen", "utter_x"]).map(
    lambda name: [user("inform"), act("f"), SlotSet("city", 1), act(name)]
)
LOG = st.lists(st.one_of(EVENT.map(lambda event: [event]), ANSWER), max_size=40).map(lambda parts: list(chain(*parts)))


@settings(max_examples=300, deadline=None)
@given(LOG)
def test_going_back_equals_a_replay_of_what_counts(log):
    folded = tracker(*log)
    expected = plain_state(log)
    assert folded.events == log
    assert folded.applied_events == replayed(log)
    assert folded.slots == expected["slots"]
    assert folded.paused == expected["paused"]
    assert folded.latest_action == expected["action"]
    assert folded.latest_message == expected["message"]
    assert folded.active_form == expected["loop"]
    assert folded.followup_action == expected["followup"]


@settings(max_examples=100, deadline=None)
@given(LOG, st.data())
def test_one_by_one_equals_all_at_once(log, data):
    at_once = tracker(*log)
    cut = data.draw(st.integers(0, len(log)))
    begun = tracker(*log[:cut])
    before = (begun.as_dict("ALL"), begun.state())
    assert begun.apply(log[cut:]).as_dict("ALL") == at_once.as_dict("ALL")
    assert begun.apply(log[cut:]).state() == at_once.state()
    assert (begun.as_dict("ALL"), begun.state()) == before
    single = Tracker("ann", SLOTS)
    for event in log:
        single = single.apply([event])
    assert single.as_dict("ALL") == at_once.as_dict("ALL")
    assert single.state() == at_once.state()
    json.dumps(at_once.as_dict("ALL"), allow_nan=False)


def test_a_new_tracker_waits():
    new = Tracker("ann", SLOTS)
    assert new.fresh
    assert new.followup_action == "action_listen"
    assert new.state().turns == ()
    assert not new.state().started
    assert new.as_dict() == {
        "sender_id": "ann",
        "slots": SLOTS,
        "latest_message": {"intent": {}, "entities": [], "text": None, "message_id": None, "metadata": {}},
        "latest_event_time": None,
        "followup_action": "action_listen",
        "paused": False,
        "events": [],
        "latest_input_channel": None,
        "active_loop": {},
        "latest_action": {},
        "latest_action_name": None,
    }


def test_turns_hold_what_was_said_and_done():
    found = {"entity": "city", "start": 3, "end": 7, "value": "Rome", "extractor": "fusion", "confidence_entity": 0.8}
    done = tracker(act("action_session_start"), SessionStarted(), LISTEN, user("book", "to Rome", entities=[found]))
    assert not done.state().started
    done = done.apply([EntitiesAdded([found, {"entity": "day", "value": "today"}]), act("utter_ok"), BotUttered("ok")])
    (turn,) = done.state().turns
    assert (turn.intent, turn.text, turn.actions) == ("book", "to Rome", ("utter_ok",))
    assert [(entity.entity, entity.value, entity.confidence) for entity in turn.entities] == [
        ("city", "Rome", 0.8),
        ("day", "today", None),
    ]
    assert not done.state().started
    assert done.apply([LISTEN]).state().started
    late = done.apply([EntitiesAdded([{"entity": "late"}])])
    assert late.state().turns == done.state().turns, "entities belong to a message nothing has answered"


def test_what_the_bot_does_before_the_user_speaks_is_remembered_as_long_as_the_first_turn():
    begun = (act("utter_old"), act("action_session_start"), SessionStarted(), LISTEN, act("utter_offer"), LISTEN)
    assert tracker(*begun).state().opening == ("utter_offer",)
    now = Tracker("ann", history=2).apply([*begun, user("yes"), act("utter_x"), user("no")])
    assert (now.state().opening, len(now.state().turns)) == (("utter_offer",), 2)
    assert now.apply([user("why")]).state().opening == ()
    assert now.apply([Restarted()]).state().opening == ()


def test_only_the_last_turns_are_remembered():
    events = [event for number in range(30) for event in (user(f"i{number}"), act("utter_x"), LISTEN)]
    turns = Tracker("ann", history=7).apply(events).state().turns
    assert [turn.intent for turn in turns] == [f"i{number}" for number in range(23, 30)]
    with pytest.raises(ValueError, match="history: expected at least 1 turn, got 0"):
        Tracker("ann", history=0)


def test_a_turn_that_was_not_understood_has_no_intent():
    for kind, intent in (("act", "book"), ("clarify", None), ("rephrase", None), ("fall_back", None)):
        assert tracker(user("book"), act("utter_x", kind)).state().turns[-1].intent == intent


def test_slots_outside_the_bot_are_ignored():
    done = tracker(SlotSet("city", "Rome"), SlotSet("unheard_of", 1), SlotSet("session_started_metadata", {"a": 1}))
    assert done.slots == {"city": "Rome", "seats": 2, "requested_slot": None, "session_started_metadata": {"a": 1}}
    assert done.apply([AllSlotsReset()]).slots == SLOTS
    assert Tracker("ann").apply([SlotSet("anything", 1)]).slots == {"anything": 1}


def test_an_answered_question_of_a_form_leaves_its_slot_and_no_turn():
    asked = [user("book"), act("f"), ActiveLoop("f"), SlotSet("requested_slot", "city"), LISTEN]
    done = tracker(*asked)
    assert (done.active_form, done.requested_slot) == ("f", "city")
    done = done.apply([user("inform", "Rome")])
    assert shape(done.state().turns) == [("book", ("f",)), ("inform", ())]
    done = done.apply([act("f"), SlotSet("city", "Rome"), SlotSet("requested_slot", None), ActiveLoop(None)])
    assert shape(done.apply([act("utter_booked")]).state().turns) == [("book", ("f", "utter_booked"))]
    assert done.latest_message.text == "Rome"
    assert done.slots["city"] == "Rome"
    assert done.active_loop is None


def test_a_form_that_was_left_for_a_question_keeps_the_turn():
    asked = [user("book"), act("f"), ActiveLoop("f"), LISTEN]
    left = tracker(*asked, user("ask"), ActionExecutionRejected("f"))
    assert left.state().rejected == {"f"}
    assert left.active_loop.rejected
    left = left.apply([act("utter_answer")])
    assert left.state().rejected == frozenset(), "once another action was run the form may ask again"
    left = left.apply([LoopInterrupted(True)])
    assert left.active_loop.is_interrupted
    again = left.apply([act("f"), LISTEN])
    assert shape(again.state().turns) == [("book", ("f",)), ("ask", ("utter_answer", "f"))]
    assert (again.active_loop.is_interrupted, again.active_loop.rejected) == (False, False)
    assert again.as_dict()["active_loop"]["trigger_message"]["intent"]["name"] == "book"


def test_failures_are_counted_although_they_are_rewound():
    failed = [user("blub"), act("action_default_fallback"), BotUttered("?"), UserUtteranceReverted(), LISTEN]
    done = tracker(LISTEN, *failed)
    assert done.failures == 1
    assert done.state().turns == ()
    done = done.apply([user("x"), act("utter_rephrase", "rephrase"), act("utter_more", "clarify"), LISTEN])
    assert done.failures == 2, "a turn fails once"
    done = done.apply([user("x"), act("utter_human", "hand_over"), LISTEN])
    assert done.state().failures == 3
    assert done.apply([user("greet"), act("utter_hi", "act"), LISTEN]).failures == 0
    assert done.apply([Restarted()]).failures == 0
    assert done.apply([SessionStarted()]).failures == 0


def test_restart_and_session():
    done = tracker(LISTEN, user("book", input_channel="rest"), act("utter_x"), SlotSet("city", "Rome"), LISTEN)
    restarted = done.apply([Restarted()])
    assert restarted.fresh
    assert restarted.followup_action == "action_session_start"
    assert restarted.slots == SLOTS
    assert restarted.as_dict()["latest_input_channel"] == "rest"
    assert restarted.last_heard.intent == "book"
    begun = restarted.apply([act("action_session_start"), SessionStarted(), LISTEN])
    assert [event.wire for event in begun.events[-4:]] == ["restart", "action", "session_started", "action"]
    assert [event["event"] for event in begun.as_dict()["events"]] == ["action", "session_started", "action"]
    assert [event["event"] for event in begun.as_dict("APPLIED")["events"]] == ["action"]
    assert len(begun.as_dict("ALL")["events"]) == 9
    assert begun.as_dict("NONE")["events"] is None
    assert tracker(SessionEnded()).ended
    assert not tracker(SessionEnded(), SessionStarted()).ended


def test_the_state_of_a_real_conversation_has_the_shape_of_rasa():
    parse = {"intent": {"name": "greet", "confidence": 0.99}, "entities": [], "text": "hello", "message_id": "m1"}
    parse |= {"metadata": {}, "text_tokens": [[0, 5]], "intent_ranking": [{"name": "greet", "confidence": 0.99}]}
    told = [
        {"event": "action", "timestamp": 1.0, "name": "action_session_start", "policy": None, "confidence": 1.0},
        {"event": "session_started", "timestamp": 2.0},
        {"event": "action", "timestamp": 3.0, "name": "action_listen", "policy": None, "confidence": None},
        {"event": "user", "timestamp": 4.0, "text": "hello", "parse_data": parse, "input_channel": "rest"},
        {"event": "user_featurization", "timestamp": 5.0, "use_text_for_featurization": False},
        {"event": "action", "timestamp": 6.0, "name": "utter_greet", "policy": "memory", "confidence": 1.0},
        {"event": "bot", "timestamp": 7.0, "text": "Hey!", "data": {"buttons": None}},
        {"event": "action", "timestamp": 8.0, "name": "action_listen", "policy": "memory", "confidence": 1.0},
    ]
    state = Tracker("u1", {"name": None}).apply(Event.from_dict(event) for event in told).as_dict()
    events = state.pop("events")
    assert [event["event"] for event in events] == [event["event"] for event in told]
    assert json.loads(json.dumps(state)) == {
        "sender_id": "u1",
        "slots": {"name": None},
        "latest_message": parse,
        "latest_event_time": 8.0,
        "followup_action": None,
        "paused": False,
        "latest_input_channel": "rest",
        "active_loop": {},
        "latest_action": {"action_name": "action_listen"},
        "latest_action_name": "action_listen",
    }


def test_an_action_predicted_as_text():
    done = tracker(user("greet"), ActionExecuted(action_text="Hello you"))
    assert done.as_dict()["latest_action"] == {"action_text": "Hello you"}
    assert done.latest_action == "Hello you"


def seconds_for(events: Sequence[Event]) -> float:
    def once() -> float:
        begun = time.process_time()
        folded = Tracker("ann")
        for event in events:
            folded = folded.apply([event])
        folded.state()
        return time.process_time() - begun

    return min(once() for _ in range(3))


@pytest.mark.parametrize("form", [False, True])
def test_time_grows_with_the_events_and_no_faster(form):
    name = "f" if form else "utter_x"
    turn = [user("inform"), act(name), SlotSet("city", 1), BotUttered("x"), LISTEN]
    head = [user("book"), act("f"), ActiveLoop("f"), LISTEN]
    short, long = head + turn * 250, head + turn * 2000
    assert seconds_for(long) < 8 * 3 * seconds_for(short)
