"""Turns of several conversations at once are the turns they would be alone, and wait for nobody."""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar, copy_context

import pytest

import dialogue.together
from dialogue.message import Message
from dialogue.store.base import ConflictError, StoreError
from dialogue.store.sql import SqlTrackerStore
from dialogue.turn import REPEATED, TurnResult
from tests.dialogue.desk import FakeUnderstanding, MemoryStore, SlowDesk, make_bot
from tests.dialogue.stores import scratch_schema

TEXTS = ("greet", "book", "faq", "greet Oslo", "weather", "gibberish", "/greet", "deny", "")
FAST = 10.0  # seconds within which nothing here is late


@pytest.fixture
def elsewhere():
    with ThreadPoolExecutor(4) as pool:
        yield pool


@pytest.fixture(params=["file", pytest.param("postgres", marks=pytest.mark.server("postgres"))])
def store(request, tmp_path):
    with contextlib.ExitStack() as opened:
        file = request.param == "file"
        url = f"sqlite:///{tmp_path / 'bot.db'}" if file else opened.enter_context(scratch_schema())
        yield opened.enter_context(contextlib.closing(SqlTrackerStore(url, turn_timeout=0.1)))


def heard(*texts):
    return [Message(text, sender=f"user {place}", id=f"m {text}") for place, text in enumerate(texts)]


def run(bot, messages, pool):
    """What `handle_many` returns."""
    return bot.handle_many(messages, [copy_context() for _ in messages], pool)


def ends(outcome):
    """A turn, also one that goes on by itself."""
    return outcome.result(20) if isinstance(outcome, Future) else outcome


def told(turn):
    return [reply.text for reply in turn.replies], turn.decision, [event.wire for event in turn.events]


def test_each_turn_is_what_it_would_be_alone(store, elsewhere, monkeypatch):
    monkeypatch.setattr(dialogue.together, "MOMENT", FAST)
    bot, alone = make_bot(store=store), make_bot()
    for _ in range(3):
        turns = run(bot, [Message(text, sender=text or "empty") for text in TEXTS], elsewhere)
        assert all(isinstance(turn, TurnResult) for turn in turns)
        assert [told(turn) for turn in turns] == [
            told(alone.handle(Message(text, sender=text or "empty"))) for text in TEXTS
        ]
    for text in TEXTS:
        mine, theirs = bot.tracker(text or "empty"), alone.tracker(text or "empty")
        assert mine.state() == theirs.state()
        assert [event.wire for event in store.events(text or "empty")] == [event.wire for event in theirs.events]


def test_texts_are_read_at_once_and_shortcuts_not_at_all(elsewhere):
    bot, asked = make_bot(), []
    reader = FakeUnderstanding()
    bot.understanding.parse_many = lambda texts: asked.append(list(texts)) or reader.parse_many(texts)
    run(bot, heard("greet", "/greet", "book"), elsewhere)
    run(bot, heard("/greet"), elsewhere)
    assert asked == [["greet", "book"]]


def test_an_action_that_takes_its_time_is_not_waited_for(store, elsewhere):
    desk = SlowDesk(at_once=False)
    bot = make_bot(store=store, custom=desk)
    greeted, late, booked = run(bot, heard("greet", "weather", "book"), elsewhere)
    assert isinstance(greeted, TurnResult)
    assert isinstance(booked, TurnResult)
    assert store.events("user 0")
    assert store.events("user 1") == [], "all of it or nothing"
    with pytest.raises(StoreError, match="busy"):  # it keeps the right to its conversation
        bot.handle(Message("greet", sender="user 1"))
    bot.handle(Message("greet", sender="user 0"))
    begun = time.monotonic()
    again = run(bot, [Message("weather", sender="user 3"), Message("greet", sender="user 4")], elsewhere)
    assert isinstance(again[1], TurnResult)
    assert time.monotonic() - begun < 5
    desk.go_on.set()
    turn = ends(late)
    assert turn.replies[0].text == "Sun."
    assert {"load", "understand", "encode", "decide", "act", "store"} <= turn.milliseconds.keys()
    assert [event.wire for event in store.events("user 1")] == [event.wire for event in turn.events]
    assert ends(again[0]).replies
    assert desk.runs == 2
    assert ends(run(bot, heard("greet", "weather"), elsewhere)[1]).decision == REPEATED, "and lets go of it"


def test_one_known_to_take_long_is_not_waited_for_even_a_moment(elsewhere, monkeypatch):
    desk = SlowDesk(at_once=False)
    bot = make_bot(custom=desk)
    first = run(bot, heard("weather"), elsewhere)[0]
    time.sleep(2 * dialogue.together.MOMENT)
    desk.go_on.set()
    ends(first)
    desk.go_on.clear()
    monkeypatch.setattr(dialogue.together, "MOMENT", FAST)
    bot._together._took["action_weather"] = 2 * FAST
    begun = time.monotonic()
    second = run(bot, [Message("weather", sender="bob")], elsewhere)[0]
    assert time.monotonic() - begun < FAST / 2
    desk.go_on.set()
    ends(second)
    assert bot._together._took["action_weather"] < FAST, "it may be quick again"


def test_no_more_than_some_go_on_by_themselves_and_the_others_are_run_alone(elsewhere, monkeypatch):
    monkeypatch.setattr(dialogue.together, "MOST_LATE", 2)
    desk = SlowDesk(at_once=False)
    bot = make_bot(custom=desk)
    outcomes = run(bot, heard(*["weather"] * 4), elsewhere)
    assert len(bot.understanding.read) == 4
    desk.go_on.set()
    assert [ends(one).replies[0].text for one in outcomes] == ["Sun."] * 4
    assert len(bot.understanding.read) == 4, "what a message means is known"
    assert desk.runs == 4
    assert bot._together._late == 0


def test_what_was_answered_before_is_answered_again(elsewhere):
    bot = make_bot()
    first = run(bot, heard("greet", "book"), elsewhere)
    again = run(bot, heard("greet", "book"), elsewhere)
    assert [turn.replies for turn in again] == [turn.replies for turn in first]
    assert {turn.decision for turn in again} == {REPEATED}
    assert all(not turn.events for turn in again)


def test_a_conversation_that_somebody_has_is_waited_for_alone(store, elsewhere):
    bot = make_bot(store=store)
    with store.turn("user 1"):
        first, busy = run(bot, heard("greet", "book"), elsewhere)
        assert isinstance(first, TurnResult)
        with pytest.raises(StoreError, match="busy"):
            ends(busy)
    assert ends(run(bot, heard("greet", "book"), elsewhere)[1]).replies
    assert run(bot, [], elsewhere) == []


class Refusing(MemoryStore):
    """Has it that user 1's conversation went on meanwhile."""

    def append_many(self, additions):
        return super().append_many([one for one in additions if one.conversation != "user 1"])


def test_what_was_not_stored_is_run_again(elsewhere):
    bot = make_bot(store=Refusing())
    first, left, third = run(bot, heard("greet", "book", "faq"), elsewhere)
    assert isinstance(first, TurnResult)
    assert isinstance(third, TurnResult)
    assert ends(left).replies
    assert bot.tracker("user 1").events


class Conflicting(MemoryStore):
    """Conversations that go on by themselves have gone on elsewhere."""

    def append(self, conversation, expected_sequence, events, *, answered=None):
        raise ConflictError("went on meanwhile")


def test_whoever_waits_for_a_turn_that_cannot_be_stored_is_told(elsewhere):
    desk = SlowDesk(at_once=False)
    bot = make_bot(store=Conflicting(), custom=desk)
    (late,) = run(bot, heard("weather"), elsewhere)
    desk.go_on.set()
    with pytest.raises(ConflictError):
        ends(late)
    assert bot._together._late == 0


class Failing(MemoryStore):
    """Fails for several at once."""

    def look(self, several):
        if len(several) > 1:
            raise StoreError("no")
        return super().look(several)


def test_a_failure_of_all_is_told_and_each_runs_by_itself(caplog, elsewhere):
    left = run(make_bot(store=Failing()), heard("greet", "book"), elsewhere)
    turns = [told(ends(one)) for one in left]
    assert "2 turns are run one by one: StoreError: no" in caplog.text
    assert turns == [told(make_bot().handle(message)) for message in heard("greet", "book")]


def test_a_failure_after_all_was_stored_answers_everybody_once(store, monkeypatch, caplog, elsewhere):
    bot = make_bot(store=store)
    monkeypatch.setattr(bot._memory, "went_on", lambda *_: 1 / 0)
    turns = [ends(one) for one in run(bot, heard("greet", "book"), elsewhere)]
    assert "ZeroDivisionError" in caplog.text
    assert [turn.decision for turn in turns] == [REPEATED, REPEATED]
    assert all(turn.replies for turn in turns)
    assert [len([e for e in store.events(name) if e.wire == "user"]) for name in ("user 0", "user 1")] == [1, 1]


@pytest.mark.parametrize("after", [False, True])
def test_a_message_that_nobody_can_decide_on_costs_the_others_nothing(after, monkeypatch, elsewhere):
    monkeypatch.setattr(dialogue.together, "MOMENT", FAST)
    bot = make_bot(custom=SlowDesk())
    turn = bot._engine.turn

    def fails(tracker, message, *more):
        if message.text != "weather":
            return (yield from turn(tracker, message, *more))
        if after:
            steps = turn(tracker, message, *more)
            request = next(steps)
            while request.name != "action_weather":
                request = steps.send((yield request))
            yield request
        raise ZeroDivisionError("no")

    monkeypatch.setattr(bot._engine, "turn", fails)
    first, second = run(bot, heard("greet", "weather"), elsewhere)
    assert ends(first).replies
    with pytest.raises(ZeroDivisionError):
        ends(second)


def test_what_a_message_is_logged_with_is_its_own(monkeypatch, elsewhere):
    name: ContextVar[str] = ContextVar("name")
    seen, contexts = [], []
    bot = make_bot()
    turn = bot._engine.turn

    def steps(*given):
        seen.append(name.get())
        return (yield from turn(*given))

    monkeypatch.setattr(bot._engine, "turn", steps)
    for one in ("ann", "bob"):
        context = copy_context()
        context.run(name.set, one)
        contexts.append(context)
    bot.handle_many(heard("greet", "book"), contexts, elsewhere)
    assert seen == ["ann", "bob"]


def test_each_is_told_its_share_of_the_time(elsewhere):
    for turn in run(make_bot(), heard("greet", "book", "faq", "deny"), elsewhere):
        assert {"load", "understand", "encode", "decide", "store"} <= turn.milliseconds.keys()
        assert turn.milliseconds["encode"] == pytest.approx(0.001 / 4)
        assert all(spent >= 0 for spent in turn.milliseconds.values())
