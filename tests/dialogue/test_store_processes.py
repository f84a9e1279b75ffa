"""Processes that share a conversation, and processes that are killed."""

import json
import random
import re
import signal
import time

import pytest
import sqlalchemy as sa

from dialogue.events import SlotSet
from dialogue.message import Message, Reply
from dialogue.store import looking
from dialogue.store.base import Answered, ConflictError, Look
from dialogue.store.driver import Straight
from dialogue.store.records import Records
from dialogue.store.sql import SqlTrackerStore
from tests.dialogue.stores import finish, scratch_schema, start

TALK = """
import sys
from dialogue.events import ActionExecuted, SlotSet, UserUttered
from dialogue.store.sql import SqlTrackerStore
url, name, turns = sys.argv[1:]
store = SqlTrackerStore(url)
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(turns)):
    with store.turn("ann"):
        events = store.events("ann")
        count = events[-1].value if events else 0
        turn = [UserUttered(f"{name} {number}"), ActionExecuted("count"), SlotSet("count", count + 1)]
        store.append("ann", len(events), turn)
store.close()
"""


def test_two_processes_on_one_conversation_neither_lose_nor_reorder(url):
    turns = 40
    processes = [start(TALK, url, name, str(turns)) for name in "ab"]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        finish(process)
    store = SqlTrackerStore(url)
    events = store.events("ann")
    store.close()
    assert [event.wire for event in events] == ["user", "action", "slot"] * 2 * turns
    assert [event.value for event in events[2::3]] == list(range(1, 2 * turns + 1))
    said = [event.text.split() for event in events[::3]]
    for name in "ab":
        assert [int(number) for speaker, number in said if speaker == name] == list(range(turns))


SPEAK_WITHOUT_ASKING = """
import sys
from dialogue.events import SlotSet
from dialogue.store.sql import SqlTrackerStore
url, name = sys.argv[1:]
store = SqlTrackerStore(url)
print("ready", flush=True)
sys.stdin.readline()
for number in range(40):
    store.append("ann", None, [SlotSet(name, number), SlotSet(name, number)])
store.close()
"""


def test_appending_outside_of_turns_loses_nothing_either(url):
    processes = [start(SPEAK_WITHOUT_ASKING, url, name) for name in "abc"]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        finish(process)
    store = SqlTrackerStore(url)
    events = store.events("ann")
    store.close()
    assert events[::2] == [
        SlotSet(event.name, event.value, timestamp=first.timestamp)
        for first, event in zip(events[::2], events[1::2], strict=True)
    ], "what is appended together stays together"
    for name in "abc":
        assert [event.value for event in events[::2] if event.name == name] == list(range(40))


TALK_UNTIL_KILLED = """
import itertools, sys, time
from dialogue.events import ActionExecuted, SlotSet, UserUttered
from dialogue.message import Message, Reply
from dialogue.store.base import Answered
from dialogue.store.sql import SqlTrackerStore
store = SqlTrackerStore(sys.argv[1])
for _ in itertools.count():
    with store.turn("ann"):
        last = len(store.events("ann"))
        turn = [UserUttered("hi"), ActionExecuted("x"), SlotSet("big", "y" * 20000)]
        message = Message("hi", id=str(last))
        store.append("ann", last, turn, answered=Answered(message, (Reply(str(last)),)))
        print(last + 3, flush=True)
"""


def test_killed_at_any_moment_no_acknowledged_turn_is_lost_and_none_is_half(url):
    chance = random.Random(7)
    for _ in range(5):
        process = start(TALK_UNTIL_KILLED, url)
        acknowledged = int(process.stdout.readline())
        time.sleep(chance.uniform(0, 0.15))
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().split("\n")
        acknowledged = max([acknowledged, *(int(line) for line in rest[:-1])])
        process.communicate()
        store = SqlTrackerStore(url, turn_timeout=10)
        with store.turn("ann"):
            events = store.events("ann")
        exported = store.export("ann")
        store.close()
        assert len(events) in (acknowledged, acknowledged + 3), "at most the answer on its way was not acknowledged"
        assert [event.wire for event in events] == ["user", "action", "slot"] * (len(events) // 3)
        assert [message["replies"] for message in exported["messages"]] == [
            [{"text": str(number)}] for number in range(0, len(events), 3)
        ]


KILL_ITSELF_BEFORE_THE_COMMIT = """
import os, signal, sys
from dialogue.events import SlotSet
from dialogue.store.appending import Turn
from dialogue.store.base import Addition
from dialogue.store.driver import Straight
from dialogue.store.sql import SqlTrackerStore
store = SqlTrackerStore(sys.argv[1])
write = Straight.run_each
Straight.run_each = lambda *given: (write(*given), os.kill(os.getpid(), signal.SIGKILL))
with store.turn("ann"):
    store.database.store(Turn.of(Addition("ann", 0, [SlotSet("x", 2), SlotSet("x", 3)])).store)
"""


def test_killed_between_writing_and_committing(url):
    process = start(KILL_ITSELF_BEFORE_THE_COMMIT, url)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, errors
    store = SqlTrackerStore(url, turn_timeout=5)
    with store.turn("ann"):
        assert store.events("ann") == []
        assert store.conversations() == []
        store.append("ann", 0, [SlotSet("x", 4)])
    assert len(store.events("ann")) == 1
    store.close()


@pytest.mark.server("postgres")
def test_postgres_stores_a_turn_by_one_statement(monkeypatch):
    with scratch_schema() as url:
        store = SqlTrackerStore(url)
        ran, run = [], Straight.run
        monkeypatch.setattr(Straight, "run", lambda self, *given: (ran.append(given), run(self, *given)))
        assert store.append("ann", 0, [SlotSet("x", 1)]) == 1
        answered = Answered(Message("hi", id="m1"), (Reply("hello"),), {"store": 1.5})
        assert store.append("ann", 1, [SlotSet("x", 2), SlotSet("x", 3)], answered=answered) == 3
        assert store.append("ann", None, [SlotSet("x", 4)]) == 4
        assert store.append("ann", 4, [], answered=Answered(Message("ho", id="m2"), ())) == 4
        assert len(ran) == 4
        assert [event.value for event in store.events("ann")] == [1, 2, 3, 4]
        found = Records(store.database).turns("ann")
        assert [(turn.message_id, turn.first, turn.last) for turn in found] == [("m1", 2, 3), ("m2", 5, 4)]
        store.close()


@pytest.mark.server("postgres")
def test_a_lost_connection_loses_the_lock_but_no_order():
    with scratch_schema() as url:
        store = SqlTrackerStore(url, turn_timeout=5)
        admin = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
        # The lock's connection is the one that waits inside a transaction.
        kill = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = current_schema() AND state = 'idle in transaction'"
        )
        with store.turn("ann"):
            with admin.connect() as connection:
                assert connection.exec_driver_sql(kill).all() == [(True,)]
            with store.turn("ann"):
                store.append("ann", 0, [SlotSet("x", 1)])
            with pytest.raises(ConflictError):
                store.append("ann", 0, [SlotSet("x", 2)])
        with store.turn("ann"):
            assert len(store.events("ann")) == 1
        store.close()
        admin.dispose()


@pytest.mark.server("postgres")
def test_postgres_finds_what_turns_begin_with_by_its_keys():
    with scratch_schema() as url:
        store = SqlTrackerStore(url)
        for name in ("ann", "bob"):
            store.append(name, 0, [SlotSet("x", number) for number in range(500)])
        wanted = json.dumps([looking.asked(Look(Message("hi", sender=name), 499)) for name in ("ann", "bob")])
        sql, _ = looking._LOOK_AT_ONCE.told(store.database.engine.dialect)
        with store.database.read() as connection:
            told = connection.exec_driver_sql(f"EXPLAIN {sql}", {"asked": wanted})
            plan = "\n".join(row for (row,) in told)
        store.close()
    for key in (r"conversation_id = .*sequence > ", r"conversation_id = .*channel.* = .*message_id.* = "):
        assert re.search(f"Index Cond: .*{key}", plan), plan


@pytest.mark.server("postgres")
def test_a_right_that_goes_with_its_connection_is_told_of_and_free_again(caplog):
    with scratch_schema() as url:
        store = SqlTrackerStore(url, turn_timeout=5)
        with store.free_turns(["ann", "bob"]) as mine:
            release = mine.keep("ann")
            with store.database.write() as connection:
                connection.exec_driver_sql(
                    "SELECT pg_terminate_backend(pid) FROM pg_locks "
                    "WHERE locktype = 'advisory' AND pid IN (SELECT pid FROM pg_stat_activity "
                    "WHERE application_name = current_schema())"
                )
        release()
        assert caplog.text.count("was lost before its turn ended") == 1
        with store.turn("ann"), store.turn("bob"):
            pass
        store.close()
