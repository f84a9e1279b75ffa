"""Conversations with a whole bot whose understanding is fake."""

import json
import logging
from dataclasses import replace
from itertools import count

import pytest

from dialogue import events as ev
from dialogue.actions.base import ActionRejected, ActionResult
from dialogue.bot import Bot
from dialogue.errors import StoreError
from dialogue.message import Button, Message
from dialogue.store.base import ConflictError
from policies.testing import belief
from policies.types import Belief, Candidate, Kind
from tests.dialogue.desk import DOMAIN, Custom, MemoryStore, Talk, chain, make_bot
from tests.policies.worlds import action, rule, user

GOLDEN = (
    ("greet", ["Hello!"]),
    ("weather in Oslo", ["Shall I book?"]),
    ("faq wifi?", ["The wifi is free."]),
    ("deny", ["Fine."]),
    ("book for 4", ["Anything else?"]),
    ("a window seat", ["Booked: Oslo, 4, a window seat."]),
    ("bye", ["Bye."]),
)


def names(events):
    return [event.name for event in events if isinstance(event, ev.ActionExecuted)]


def test_a_golden_dialogue():
    talk = Talk(make_bot())
    for text, answer in GOLDEN:
        assert talk.say(text) == answer, text


def test_the_same_conversation_gives_the_same_events():
    def wire():
        store = MemoryStore()
        talk = Talk(make_bot(store=store, clock=lambda: 100.0))
        for number, (text, _) in enumerate(GOLDEN):
            talk.turn(text, id=str(number))
        rows = [event.as_dict() for event in store.events("ada")]
        return [{key: value for key, value in row.items() if key != "timestamp"} for row in rows]

    assert wire() == wire()
    json.dumps(wire(), allow_nan=False)


def test_a_form_from_trigger_to_submission():
    talk = Talk(make_bot())
    assert talk.say("book") == ["Which city?"]
    assert (talk.tracker.active_form, talk.tracker.requested_slot) == ("booking", "city")
    assert talk.say("chat") == ["Nice weather.", "Which city?"]
    assert talk.say("Rome") == ["How many?"]
    assert talk.say("3") == ["Anything else?"]
    assert talk.say("deny") == ["Booked: Rome, 3, none."]
    assert (talk.tracker.active_form, talk.tracker.requested_slot) == (None, None)
    assert talk.say("greet") == ["Hello!"]


def test_gibberish_in_a_form_is_asked_again_and_the_form_stays():
    talk = Talk(make_bot())
    talk.say("book")
    result = talk.turn("blub")
    assert result.decision.kind is Kind.REPHRASE
    assert any(isinstance(event, ev.ActionExecutionRejected) for event in result.events)
    assert talk.say("Oslo") == ["How many?"]


VAGUE = belief(*((name, 0.12) for name in ("greet", "bye", "book", "chat", "faq", "deny")))


@pytest.mark.parametrize(("text", "second"), [("blub", Kind.REPHRASE), ("hm", Kind.CLARIFY)])
def test_what_is_not_understood_climbs_the_ladder_and_a_clear_word_goes_back_down(text, second):
    talk = Talk(make_bot(beliefs={"hm": VAGUE}))
    kinds = [talk.turn(text).decision.kind for _ in range(4)]
    assert kinds == [Kind.REPHRASE, second, Kind.HAND_OVER, Kind.HAND_OVER]
    assert talk.say("greet") == ["Hello!"]
    assert talk.turn("blub").decision.kind is Kind.REPHRASE


def test_gibberish_fills_no_slot_by_its_intent():
    sure, lost = belief(("affirm", 0.95)), belief(("affirm", 0.2))
    talk = Talk(make_bot(beliefs={"yes": sure, "yblub": lost}))
    talk.say("yblub")
    assert talk.tracker.slots["likes"] is None
    talk.say("yes")
    assert talk.tracker.slots["likes"] is True


def test_two_close_intents_are_offered_as_buttons():
    talk = Talk(make_bot(beliefs={"hm": belief(("affirm", 0.48), ("bye", 0.45))}))
    result = talk.turn("hm")
    assert result.decision.kind is Kind.CLARIFY
    (reply,) = result.replies
    assert reply.text == "Which of these do you mean?"
    assert reply.buttons == (Button("Please do", "/affirm"), Button("bye", "/bye"))
    assert talk.say(reply.buttons[1].payload) == ["Bye."]


def test_a_retrieval_intent_is_offered_with_its_best_answer():
    hm = belief(("faq", 0.48), ("bye", 0.45))
    answers = {"faq": (belief(("wifi", 1.0)).intents[0],)}
    talk = Talk(make_bot(beliefs={"hm": type(hm)(hm.intents, hm.unknown, 0.5, 0.1, answers)}))
    button = talk.turn("hm").replies[0].buttons[0]
    assert button == Button("wifi", "/faq/wifi")
    assert talk.say(button.payload) == ["The wifi is free."]


def test_a_belief_split_between_two_answers_of_one_intent_is_asked_about():
    sure = belief(("faq", 0.97))
    torn = {"faq": (Candidate("faq/wifi", 0.55, 0.4, 0.7), Candidate("faq/pets", 0.45, 0.3, 0.6))}
    talk = Talk(make_bot(beliefs={"may it in": Belief(sure.intents, sure.unknown, 0.5, 0.1, torn)}))
    asked = talk.turn("may it in")
    assert asked.decision.kind is Kind.CLARIFY
    assert asked.decision.confidence == pytest.approx(0.97 * 0.55)
    assert [button.payload for button in asked.replies[0].buttons] == ["/faq/wifi", "/faq/pets"]
    assert talk.say("/faq/pets") == ["No pets."]


def test_built_in_words_are_in_the_language_of_the_message():
    assert Talk(make_bot()).say("咕噜咕噜") == ["抱歉，我没有听懂。您能换个说法吗？"]
    assert Talk(make_bot(language="zh-CN")).say("blub") == ["抱歉，我没有听懂。您能换个说法吗？"]


def test_the_projects_own_fallback_rule_answers():
    talk = Talk(make_bot(policies=chain(rule("lost", user("nlu_fallback"), action("utter_fine"), action("utter_bye")))))
    result = talk.turn("blub")
    assert [reply.text for reply in result.replies] == ["Fine.", "Bye."]
    assert result.decision.kind is Kind.FALL_BACK


def test_a_failing_action_is_an_apology_a_log_an_event_and_a_whole_turn(caplog):
    talk = Talk(make_bot())
    with caplog.at_level(logging.ERROR):
        result = talk.turn("boom")
    assert [reply.text for reply in result.replies] == [
        "Sorry, something went wrong on my side. Please try again later."
    ]
    (failed,) = [event for event in result.events if "error" in event.metadata]
    assert (failed.name, failed.metadata["error"]) == ("action_boom", "ZeroDivisionError: no weather today")
    assert names(result.events)[-2:] == ["action_apologize", "action_listen"]
    assert "conversation ada" in caplog.text
    assert "ZeroDivisionError" in caplog.text
    assert caplog.records[0].exc_info
    assert talk.say("greet") == ["Hello!"]


def test_an_action_that_nobody_runs_fails_likewise(caplog):
    result = Talk(make_bot()).turn("hop")
    assert "action 'action_lost' is custom, and neither a file nor a server of the bot's runs it" in next(
        e.metadata["error"] for e in result.events if "error" in e.metadata
    )


class Refusing(Custom):
    def run(self, request):
        raise ActionRejected("not now")


def test_a_refused_action_gives_way_to_another():
    result = Talk(make_bot(custom=Refusing())).turn("boom")
    (refused,) = [event for event in result.events if isinstance(event, ev.ActionExecutionRejected)]
    assert (refused.name, refused.policy) == ("action_boom", "rules")
    assert result.decision.kind is Kind.FALL_BACK
    assert result.decision.action == "action_default_fallback"
    assert names(result.events)[-1] == "action_listen"


def test_a_turn_has_at_most_ten_actions(caplog):
    talk = Talk(make_bot())
    result = talk.turn("loop")
    assert names(result.events)[2:] == ["action_loop"] * 10 + ["action_listen"]
    assert "after 10 actions" in caplog.text
    assert talk.say("greet") == ["Hello!"]


def test_a_message_delivered_twice_is_answered_once():
    store = MemoryStore()
    talk = Talk(make_bot(store=store))
    first = talk.turn("greet", id="m1")
    events = list(store.events("ada"))
    again = talk.turn("greet", id="m1")
    assert again.replies == first.replies
    assert again.events == ()
    assert store.events("ada") == events
    assert talk.turn("greet", id="m2").events


class Conflicting(MemoryStore):
    def append(self, *args, **more):
        raise ConflictError("the conversation went on")


def test_a_turn_is_stored_whole_or_not_at_all():
    store = Conflicting()
    with pytest.raises(StoreError):
        Talk(make_bot(store=store)).turn("greet")
    assert store.events("ada") == []


def test_every_decision_is_in_the_log():
    result = Talk(make_bot()).turn("weather")
    executed = [event for event in result.events if isinstance(event, ev.ActionExecuted)][2:]
    assert [(event.name, event.policy, event.confidence, event.kind) for event in executed] == [
        ("action_weather", "rules", 0.95, "act"),
        ("utter_offer", "rules", 1.0, "act"),
        ("action_listen", "rules", 1.0, "listen"),
    ]
    assert all(event.reason for event in executed)
    assert ["forms", "no form is active"] in executed[0].metadata["passed"]


def test_bot_events_hold_what_was_shown():
    result = Talk(make_bot()).turn("weather")
    (said,) = [event for event in result.events if isinstance(event, ev.BotUttered)]
    assert said.text == "Shall I book?"
    assert said.data["buttons"] == [{"title": "Please do", "payload": "/affirm"}]
    assert set(said.data) == {"elements", "quick_replies", "buttons", "attachment", "image", "custom"}
    assert said.metadata["utter_action"] == "utter_offer"


@pytest.mark.parametrize(
    "text", ["/greet", "/greet@0.9", '/greet{"city": "Rome"}', ' /greet@1.0{"city": ["Oslo", "Rome"]} ']
)
def test_a_shortcut_is_not_read_by_the_model(text):
    bot = make_bot()
    assert Talk(bot).say(text) == ["Hello!"]
    assert bot._understanding.read == []


def test_a_shortcut_fills_slots():
    talk = Talk(make_bot())
    talk.say('/greet{"city": "Rome", "number": 2}')
    assert (talk.tracker.slots["city"], talk.tracker.slots["people"]) == ("Rome", 2)


def test_a_shortcut_that_doubts_itself_is_doubted():
    assert Talk(make_bot()).turn("/greet@0.2").decision.kind is Kind.REPHRASE


@pytest.mark.parametrize("text", ["/gret", "/faq/cats", '/greet{"city"', '/greet{"a": }', "/greet@1.2.3", "/greet@7"])
def test_a_wrong_shortcut_is_not_understood(text, caplog):
    result = Talk(make_bot()).turn(text)
    assert result.decision.kind is Kind.REPHRASE
    assert result.belief.unknown == 1.0
    assert repr(text) in caplog.text


def test_a_retrieval_intent_without_an_answer_says_nothing(caplog):
    assert Talk(make_bot()).say("/faq") == []
    assert "utter_faq: no answer was chosen" in caplog.text


def test_a_session_begins_in_the_right_order():
    events = Talk(make_bot()).turn("greet", metadata={"page": "home"}).events
    kinds = [event.wire for event in events]
    assert kinds[:6] == ["slot", "action", "session_started", "slot", "action", "user"]
    assert names(events)[:2] == ["action_session_start", "action_listen"]


def test_a_session_expires_and_slots_are_carried_over():
    now = count(0.0, 1.0)
    shift = [0.0]
    talk = Talk(make_bot(clock=lambda: shift[0] + next(now)))
    talk.say("weather in Oslo")
    assert not any(isinstance(event, ev.SessionStarted) for event in talk.turn("greet").events)
    shift[0] = 3700.0
    assert any(isinstance(event, ev.SessionStarted) for event in talk.turn("greet").events)
    assert talk.tracker.slots["city"] == "Oslo"
    assert talk.tracker.state().turns[0].intent == "greet"


def test_slots_need_not_outlive_a_session():
    shift = [0.0]
    domain = replace(DOMAIN, carry_over_slots=False, session_expiration_minutes=1)
    talk = Talk(make_bot(domain=domain, clock=lambda: shift[0]))
    talk.say("greet in Oslo")
    shift[0] = 61.0
    talk.say("greet")
    assert talk.tracker.slots["city"] is None


def test_a_session_may_last_for_ever():
    shift = [0.0]
    talk = Talk(make_bot(domain=replace(DOMAIN, session_expiration_minutes=0), clock=lambda: shift[0]))
    talk.say("greet")
    shift[0] = 1e9
    assert not any(isinstance(event, ev.SessionStarted) for event in talk.turn("greet").events)


def test_restart_and_back():
    talk = Talk(make_bot())
    talk.say("greet in Oslo")
    talk.say("/restart")
    assert talk.tracker.slots["city"] is None
    assert talk.tracker.latest_action == "action_listen"
    talk.say("weather")
    talk.say("chat")
    talk.say("/back")
    assert [turn.intent for turn in talk.tracker.state().turns] == ["weather"]
    assert talk.say("deny") == ["Fine."]


class Pausing(Custom):
    def run(self, request):
        return ActionResult((ev.ConversationPaused(),))


def test_a_paused_conversation_is_silent_until_restarted():
    talk = Talk(make_bot(custom=Pausing()))
    talk.say("weather")
    result = talk.turn("greet")
    assert result.replies == ()
    assert result.decision.reason == "the conversation is paused"
    talk.say("/restart")
    assert talk.say("greet") == ["Hello!"]


class Following(Custom):
    def run(self, request):
        return ActionResult((ev.FollowupAction(name="utter_bye"),))


def test_an_action_may_say_what_comes_next():
    result = Talk(make_bot(custom=Following())).turn("boom")
    assert [reply.text for reply in result.replies] == ["Bye."]
    assert names(result.events)[2:] == ["action_boom", "utter_bye", "action_listen"]


def test_parse_has_the_shape_of_rasa():
    parse = make_bot().parse("book Rome")
    assert list(parse)[:6] == ["text", "intent", "entities", "text_tokens", "intent_ranking", "response_selector"]
    assert parse["intent"] == {"name": "book", "confidence": 0.95}
    assert parse["entities"] == [{"entity": "city", "start": 5, "end": 9, "value": "Rome", "extractor": "test"}]
    assert parse["text_tokens"] == [[0, 4], [5, 9]]
    assert parse["response_selector"]["all_retrieval_intents"] == ["faq"]
    chosen = parse["response_selector"]["faq"]["response"]
    assert (chosen["intent_response_key"], chosen["utter_action"]) == ("faq/wifi", "utter_faq/wifi")
    assert chosen["responses"] == [{"text": "The wifi is free."}]
    asked = make_bot().parse("faq wifi?")["intent"]
    assert (asked["name"], asked["full_retrieval_intent_name"]) == ("faq", "faq/wifi")
    assert parse["belief"]["intents"][0] == {"name": "book", "mean": 0.95, "lower": pytest.approx(0.85), "upper": 1.0}
    assert set(parse["belief"]) == {"intents", "unknown", "entropy", "mutual_information", "contributions"}


def test_parse_without_answers_has_the_empty_block():
    selector = make_bot().parse("/greet")["response_selector"]
    assert selector["default"] == {
        "response": {"responses": None, "confidence": 0.0, "intent_response_key": None, "utter_action": "utter_None"},
        "ranking": [],
    }


def test_parse_changes_nothing():
    store = MemoryStore()
    make_bot(store=store).parse("greet")
    assert store.conversations() == []


def test_reset_forgets():
    talk = Talk(make_bot())
    talk.say("greet in Oslo")
    talk.bot.reset("ada")
    assert talk.tracker.fresh
    assert talk.tracker.slots["city"] is None


def test_milliseconds_per_stage():
    spent = Talk(make_bot()).turn("greet").milliseconds
    assert set(spent) == {"load", "understand", "encode", "decide", "act", "store"}
    assert all(value >= 0 for value in spent.values())


def test_conversations_do_not_mix():
    bot = make_bot()
    Talk(bot, "ada").say("book")
    assert Talk(bot, "bob").say("3") == ["Sorry, I cannot help with that."]
    assert Talk(bot, "ada").say("Rome") == ["How many?"]


def test_name_intents_and_end():
    store = MemoryStore()
    bot = make_bot(store=store, name="Desk")
    assert isinstance(bot, Bot)
    assert (bot.name, bot.intents[0]) == ("Desk", "greet")
    bot.close()
    assert store.closed


def test_on_the_real_store(tmp_path):
    from dialogue.store.sql import SqlTrackerStore

    url = f"sqlite:///{tmp_path / 'talk.db'}"
    first = make_bot(store=SqlTrackerStore(url))
    for text, answer in GOLDEN[:5]:
        assert Talk(first).say(text) == answer
    first.close()
    again = make_bot(store=SqlTrackerStore(url))
    for text, answer in GOLDEN[5:]:
        assert Talk(again).say(text) == answer
    again.close()


def test_message_default_sender():
    assert make_bot().handle(Message("greet")).replies[0].text == "Hello!"
