"""Threads that store at the same time share a transaction, and nothing else."""

import threading
import time

import pytest
import sqlalchemy as sa

from dialogue.events import SlotSet
from dialogue.message import Message, Reply
from dialogue.store.base import Answered, ConflictError, StoreError
from dialogue.store.sql import SqlTrackerStore
from tests.dialogue.stores import traced

SOME = [SlotSet("x", 1)]


@pytest.fixture
def store(tmp_path):
    opened = SqlTrackerStore(f"sqlite:///{tmp_path / 'bot.db'}")
    yield opened
    opened.close()


@pytest.fixture
def commits(store):
    return traced(store, "COMMIT")


def at_once(store, calls):
    """What each call returned or raised, all begun while somebody else writes."""
    outcomes = [None] * len(calls)

    def run(number):
        try:
            outcomes[number] = calls[number]()
        except Exception as error:
            outcomes[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(calls))]
    with store.database.write() as connection:
        connection.exec_driver_sql("SELECT 1")
        for thread in threads:
            thread.start()
        until = time.monotonic() + 10
        while len(store.database._together._waiting) < len(calls):
            assert time.monotonic() < until
            time.sleep(0.002)
    for thread in threads:
        thread.join(10)
    return outcomes


def test_those_that_wait_are_committed_together(store, commits):
    calls = [lambda i=i: store.append(f"user {i}", 0, SOME * (i + 1)) for i in range(8)]
    assert at_once(store, calls) == list(range(1, 9))
    assert len(commits) == 2, "whoever wrote before, and all of them"
    assert [len(store.events(f"user {i}")) for i in range(8)] == list(range(1, 9))


def test_one_alone_waits_for_nobody(store, commits):
    for number in range(5):
        assert store.append("ann", number, SOME) == number + 1
    assert len(commits) == 5


def test_what_fails_fails_alone(store):
    message = Message("hi", id="m1")
    store.append("eve", 0, SOME, answered=Answered(message, (Reply("hello"),)))
    calls = [
        lambda: store.append("ann", 0, SOME),
        lambda: store.append("ann", 7, SOME),
        lambda: store.append("bob", 0, SOME * 2),
        lambda: store.append("eve", 1, SOME, answered=Answered(message, ())),
        lambda: store.append("joe", 0, SOME * 3),
    ]
    one, gone_on, two, answered, three = at_once(store, calls)
    assert (one, two, three) == (1, 2, 3)
    assert isinstance(gone_on, ConflictError)
    assert isinstance(answered, ConflictError)
    assert [len(store.events(name)) for name in ("ann", "bob", "eve", "joe")] == [1, 2, 1, 3]


def test_a_database_that_cannot_be_written_fails_each_and_works_again(store, monkeypatch):
    def broken(*_):
        raise sa.exc.OperationalError("BEGIN", {}, Exception("disk I/O error"))

    sa.event.listen(store.database.engine, "checkout", broken)
    threads, errors = [], []

    def append(name):
        try:
            store.append(name, 0, SOME)
        except StoreError as error:
            errors.append(str(error))

    for name in "abcd":
        threads.append(threading.Thread(target=append, args=(name,)))
        threads[-1].start()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert len(errors) == 4
    assert all("disk I/O error" in error for error in errors)
    sa.event.remove(store.database.engine, "checkout", broken)
    assert store.append("a", 0, SOME) == 1
    assert store.conversations() == ["a"], "what failed is not stored later"


def test_order_and_numbers_hold_however_many_write(store):
    def talk(name):
        for number in range(25):
            store.append(name, number, [SlotSet("x", number)])
            store.append("all", None, [SlotSet(name, number)])

    threads = [threading.Thread(target=talk, args=(f"user {i}",)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    together = store.events("all")
    assert len(together) == 150
    for i in range(6):
        assert [event.value for event in store.events(f"user {i}")] == list(range(25))
        assert [event.value for event in together if event.name == f"user {i}"] == list(range(25))
