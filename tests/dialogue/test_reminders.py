"""Reminders that come due, and conversations that a bot remembers."""

import json
from dataclasses import replace
from datetime import datetime, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialogue import events as ev
from dialogue.actions.base import ActionResult
from dialogue.domain import IntentSpec
from dialogue.reminders import NONE, after, overdue
from dialogue.store.base import Look
from dialogue.store.recent import Recent
from dialogue.store.sql import SqlTrackerStore
from dialogue.tracker import Tracker
from tests.dialogue.desk import DOMAIN, MemoryStore, Talk, chain, make_bot
from tests.dialogue.test_form_loop import Place
from tests.policies.worlds import action, rule, user

START = 1_000_000.0
REMINDED = replace(DOMAIN, intents={**DOMAIN.intents, "EXTERNAL_call": IntentSpec("EXTERNAL_call")})
RULE = rule("remind", user("EXTERNAL_call"), action("utter_offer"))


def at(seconds):
    return datetime.fromtimestamp(START + seconds, tz=timezone.utc)


def schedule(seconds, **more):
    return ev.ReminderScheduled(intent="EXTERNAL_call", date_time=at(seconds), **more)


def reminding(*events, store=None, now=None):
    """A bot whose `boom` does what the events say, and its clock, a list of one number."""
    now = [START] if now is None else now
    place = Place(action_boom=lambda request: ActionResult(tuple(events)))
    return make_bot(
        custom=place, store=store or MemoryStore(), domain=REMINDED, policies=chain(RULE), clock=lambda: now[0]
    ), now


def test_a_reminder_comes_in_when_it_is_due_and_once():
    bot, now = reminding(schedule(60, name="call", entities={"city": "Rome"}))
    talk = Talk(bot)
    talk.turn("boom", channel="rest")
    assert bot.due() == []
    now[0] = START + 61
    (turn,) = bot.due()
    assert [reply.text for reply in turn.replies] == ["Shall I book?"]
    assert (turn.message.sender, turn.message.channel) == ("ada", "rest")
    said = next(event for event in turn.events if isinstance(event, ev.UserUttered))
    assert (said.text, said.intent, said.external) == ("EXTERNAL: EXTERNAL_call", "EXTERNAL_call", True)
    assert [(one["entity"], one["value"]) for one in said.entities] == [("city", "Rome")]
    assert talk.tracker.slots["city"] == "Rome"
    assert bot.due() == []
    assert bot.due(START + 1e6) == []


def test_reminders_outlive_the_program_and_an_old_session(tmp_path):
    url = f"sqlite:///{tmp_path / 'talk.db'}"
    store = SqlTrackerStore(url)
    bot, _ = reminding(schedule(7200, kill_on_user_msg=False), store=store)
    Talk(bot).say("boom")
    Talk(bot, "bob").say("greet")
    assert store.conversations(having="reminder") == ["ada"]
    bot.close()
    again, _ = reminding(store=SqlTrackerStore(url), now=[START + 9000])
    (turn,) = again.due()
    assert not any(isinstance(event, ev.SessionStarted) for event in turn.events)
    assert again.due() == []
    again.close()


def test_what_the_user_says_kills_a_reminder_unless_told_otherwise():
    bot, _ = reminding(schedule(60), schedule(61, name="stays", kill_on_user_msg=False))
    talk = Talk(bot)
    talk.say("boom")
    assert len(talk.tracker.reminders) == 2
    talk.say("greet")
    assert list(talk.tracker.reminders) == ["stays"]
    assert len(bot.due(START + 100)) == 1


def test_one_reminder_does_not_kill_another_and_the_earliest_is_first():
    bot, _ = reminding(schedule(60, name="late"), schedule(30, name="soon"), schedule(90, name="later"))
    Talk(bot).say("boom")
    turns = bot.due(START + 70)
    assert [turn.message.id for turn in turns] == ["reminder:7", "reminder:6"]
    assert len(bot.due(START + 100, sender="ada")) == 1


def test_a_new_reminder_of_a_name_replaces_the_old():
    bot, _ = reminding(schedule(60, name="call"), schedule(600, name="call"))
    Talk(bot).say("boom")
    assert bot.due(START + 100) == []
    assert len(bot.due(START + 700)) == 1


@pytest.mark.parametrize(
    ("cancel", "left"),
    [
        ({}, []),
        ({"name": "a"}, ["b"]),
        ({"name": "x"}, ["a", "b"]),
        ({"intent": "EXTERNAL_call"}, []),
        ({"intent": "bye"}, ["a", "b"]),
        ({"entities": {"city": "Rome"}}, ["a"]),
        ({"entities": [{"entity": "city", "value": "Rome"}], "name": "a"}, ["a", "b"]),
    ],
)
def test_cancelling(cancel, left):
    events = [schedule(1, name="a"), schedule(2, name="b", entities=[{"entity": "city", "value": "Rome"}])]
    tracker = Tracker("ada").apply([*events, ev.ReminderCancelled(**cancel)])
    assert list(tracker.reminders) == left


def test_a_restart_forgets_reminders():
    assert not Tracker("ada").apply([schedule(1), ev.Restarted()]).reminders


def test_a_date_without_a_zone_is_local():
    naive = datetime.fromtimestamp(START)
    (one,) = after(NONE, ev.ReminderScheduled(intent="x", date_time=naive), 1).values()
    assert one.due == START
    assert overdue({"x": one}, START) == [one]
    assert overdue({"x": one}, START - 1) == []


def test_entities_of_no_known_shape_are_left_out(caplog):
    bot, _ = reminding(schedule(1, entities="Rome"))
    Talk(bot).say("boom")
    assert len(bot.due(START + 2)) == 1
    assert "entities of a reminder are ignored" in caplog.text


def test_an_intent_may_be_triggered_from_outside():
    bot, _ = reminding()
    turn = bot.trigger("ada", "EXTERNAL_call", {"city": "Oslo"})
    assert turn is not None
    assert [reply.text for reply in turn.replies] == ["Shall I book?"]
    assert any(isinstance(event, ev.SessionStarted) for event in turn.events)
    with pytest.raises(ValueError, match="entities of 'greet'"):
        bot.trigger("ada", "greet", 5)


def test_what_nobody_said_is_no_answer_in_words_to_a_form():
    bot, _ = reminding(schedule(60, kill_on_user_msg=False))
    talk = Talk(bot)
    for text in ("boom", "book", "Rome", "3"):
        talk.say(text)
    (turn,) = bot.due(START + 61)
    assert talk.tracker.slots["note"] is None
    assert talk.tracker.requested_slot == "note"
    assert turn.replies[0].text == "Shall I book?"
    assert talk.say("a window") == ["Booked: Rome, 3, a window."]


class Flaky(MemoryStore):
    """Another process fires the reminder between the look and the turn."""

    def events(self, conversation, *, after=0):
        found = super().events(conversation, after=after)
        if getattr(self, "race", None):
            race, self.race = self.race, None
            race()
        return found


def test_two_processes_fire_a_reminder_once():
    store = Flaky()
    bot, _ = reminding(schedule(60), store=store)
    Talk(bot).say("boom")
    other, _ = reminding(store=store)
    store.race = lambda: other.due(START + 61)
    assert bot.due(START + 61) == []
    assert sum(isinstance(event, ev.UserUttered) and event.external for event in store.events("ada")) == 1


# --- conversations that a bot remembers -------------------------------------------------------------------------------


class Counting(MemoryStore):
    def __init__(self):
        super().__init__()
        self.read = 0

    def events(self, conversation, *, after=0):
        found = super().events(conversation, after=after)
        self.read += len(found)
        return found


def test_a_turn_reads_only_what_is_new():
    store = Counting()
    talk = Talk(make_bot(store=store))
    for _ in range(30):
        talk.say("greet")
    before = store.read
    talk.say("greet")
    assert store.read - before < 12
    assert len(store.events("ada")) > 100


def test_a_conversation_another_process_went_on_with_or_began_anew_is_read_as_it_is():
    store = MemoryStore()
    one, two = Talk(make_bot(store=store)), Talk(make_bot(store=store))
    for talk in (one, two, one, two):
        talk.say("greet in Oslo")
    assert one.tracker.events == two.tracker.events == store.events("ada")
    one.bot.reset("ada")
    assert two.tracker.fresh
    two.say("greet in Rome")
    for _ in range(4):
        one.say("greet")
    assert two.tracker.slots["city"] == one.tracker.slots["city"] == "Rome"
    assert two.tracker.events == store.events("ada")


def test_only_so_many_are_remembered():
    store = Counting()
    recent = Recent(store, {}, most=2)
    for name in ("a", "b", "c"):
        store.append(name, None, [ev.ActionExecuted(name="action_listen")] * 5)
        recent.tracker(name)
    before = store.read
    recent.tracker("c")
    assert store.read - before == 1
    recent.tracker("a")
    assert store.read - before == 6


def test_only_so_many_events_are_remembered_but_the_latest_conversation_whole():
    store = Counting()
    recent = Recent(store, {}, most_events=12)

    def reads(name):
        before = store.read
        recent.tracker(name)
        return store.read - before

    for name in ("a", "b"):
        store.append(name, None, [ev.ActionExecuted(name="action_listen")] * 5)
        assert reads(name) == 5
    assert (reads("a"), reads("b")) == (1, 1)
    store.append("b", None, [ev.ActionExecuted(name="action_listen")] * 3)
    assert reads("b") == 4, "what is new, and the event before"
    assert reads("a") == 5, "a had to go: 5 and 8 are more than 12"
    store.append("long", None, [ev.ActionExecuted(name="action_listen")] * 40)
    assert (reads("long"), reads("long")) == (40, 1)
    assert (reads("a"), reads("long")) == (5, 40)
    assert recent._events == sum(tracker.length for tracker in recent._known.values())


LINE = st.sampled_from(["greet", "book", "Rome", "3", "blub", "/restart", "/back", "boom", "reset", "weather"])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(LINE, st.booleans()), max_size=12))
def test_two_bots_on_one_store_always_see_the_same(lines):
    store = MemoryStore()
    bots = [make_bot(store=store, custom=Place(action_boom=[ev.SlotSet(name="note", value=(1, 2))])) for _ in range(2)]
    for line, second in lines:
        bot = bots[second]
        bot.reset("ada") if line == "reset" else Talk(bot).say(line)
        fresh = Tracker("ada", bots[0]._memory._slots).apply(store.events("ada"))
        for one in bots:
            assert one.tracker("ada").as_dict("ALL") == fresh.as_dict("ALL")
            assert one.tracker("ada").state() == fresh.state()


def test_a_reply_of_a_reminder_is_stored_with_its_turn():
    bot, _ = reminding(schedule(60))
    Talk(bot).say("boom")
    (turn,) = bot.due(START + 61)
    assert bot._store.look([Look(turn.message)]) == [(turn.replies, [])]


@pytest.mark.parametrize(("value", "reads"), [("Oslo", 1), ([{"a": [1, None]}], 1), (("Oslo",), 2), ({1: "Oslo"}, 2)])
def test_what_a_turn_made_is_not_read_again_unless_json_makes_another_thing_of_it(value, reads, monkeypatch):
    store = SqlTrackerStore("sqlite://")
    recent = Recent(store, {"city": None})
    turn = [ev.SlotSet(name="city", value=value), ev.ActionExecuted(name="action_listen")]
    store.append("ann", 0, turn)
    recent.went_on(Tracker("ann", {"city": None}).apply(turn), turn)
    read = []
    events = store.events
    monkeypatch.setattr(store, "events", lambda *given, **more: read.extend(found := events(*given, **more)) or found)
    assert recent.tracker("ann").slots["city"] == json.loads(json.dumps(value))
    assert len(read) == reads
    store.close()
