"""The mailbox in SQLite and PostgreSQL: once, in order, held by one, taken up when its holder dies."""

from __future__ import annotations

import threading
import time

import pytest

from dialogue.message import Message, Reply
from dialogue.store.base import Answered, StoreError
from dialogue.store.mailbox import Mailbox
from dialogue.store.sql import SqlTrackerStore
from tests.dialogue.stores import scratch_schema

ADDRESS = {"chat": 7, "odd": "\x00😀"}


@pytest.fixture(params=["memory", "file", pytest.param("postgres", marks=pytest.mark.server("postgres"))])
def store(request, tmp_path):
    if request.param == "postgres":
        with scratch_schema() as url:
            made = SqlTrackerStore(url)
            yield made
            made.close()
    else:
        made = SqlTrackerStore("sqlite://" if request.param == "memory" else f"sqlite:///{tmp_path / 'bot.db'}")
        yield made
        made.close()


def message(number, sender="ann", channel="post"):
    return Message(f"text {number}", sender, channel, id=str(number), metadata={"n": number})


def put(box, *messages):
    return box.put([(one, ADDRESS) for one in messages])


def ids(letters):
    return [letter.message.id for letter in letters]


def test_a_letter_comes_out_as_it_went_in(store):
    box = Mailbox(store.database)
    assert put(box, message(1)) == 1
    (letter,) = box.claim(10)
    assert letter.message == message(1) or letter.message.time
    assert (letter.message.text, letter.message.metadata) == ("text 1", {"n": 1})
    assert (letter.address, letter.sent, letter.attempts) == (ADDRESS, 0, 0)
    assert box.claim(10) == []
    box.remove(letter)
    assert box.waiting() == 0


def test_a_message_counts_once_also_when_it_was_answered(store):
    box = Mailbox(store.database)
    assert put(box, message(1), message(1), message(2)) == 2
    assert put(box, message(2), message(3)) == 1
    store.append("ann", None, [], answered=Answered(message(4), (Reply("hi"),)))
    assert put(box, message(4)) == 0
    assert put(box, message(1, channel="other"), message(1, sender="bob")) == 2
    assert box.waiting() == 5


def test_only_the_oldest_letter_of_a_conversation_can_be_claimed(store):
    box = Mailbox(store.database)
    put(box, message(1), message(2), message(3, "bob"), message(4, channel="other"))
    first = box.claim(10)
    assert ids(first) == ["1", "3"]
    box.remove(first[0])
    second = box.claim(10)
    assert ids(second) == ["2"]
    box.put_off(second[0], 0, "not now")
    again = box.claim(10)
    assert (ids(again), again[0].attempts) == (["2"], 1)
    box.give_up(again[0], "never")
    assert ids(box.claim(10)) == ["4"], "the conversation goes on without it"
    assert box.export("ann")[0]["error"] == "never"


def test_what_is_put_off_waits_and_holds_up_its_conversation(store):
    box = Mailbox(store.database)
    put(box, message(1), message(2))
    (letter,) = box.claim(10)
    box.put_off(letter, 0.3, "later")
    assert box.claim(10) == []
    time.sleep(0.4)
    assert ids(box.claim(10)) == ["1"]


def test_a_claim_ends_with_its_lease_unless_it_is_kept(store):
    mine, other = Mailbox(store.database, lease=0.5), Mailbox(store.database, lease=5)
    put(mine, message(1))
    (letter,) = mine.claim(1)
    assert mine.mark_sent(letter, 1)
    time.sleep(0.3)
    mine.keep([letter.id])
    time.sleep(0.3)
    assert other.claim(1) == []
    time.sleep(0.4)
    (taken,) = other.claim(1)
    assert (taken.sent, taken.attempts) == (1, 1)
    assert not mine.mark_sent(letter, 2), "the one who lost it is told"
    mine.remove(letter)
    mine.put_off(letter, 0, "mine")
    assert other.mark_sent(taken, 2)


def clock(monkeypatch, store):
    """Sets the clock that the mailbox goes by, by so many seconds."""
    truth = Mailbox._now

    def set_by(seconds):
        monkeypatch.setattr(Mailbox, "_now", lambda box, connection: truth(box, connection) + seconds)

    return set_by


def test_a_clock_that_was_days_ahead_leaves_no_letter_waiting_for_long(store, monkeypatch):
    box, set_by = Mailbox(store.database), clock(monkeypatch, store)
    put(box, message(1))
    set_by(10 * 24 * 3600)
    assert ids(box.claim(1)) == ["1"]
    set_by(0)
    assert ids(Mailbox(store.database).claim(1)) == ["1"]


def test_a_clock_that_is_set_back_holds_a_letter_no_longer_than_a_lease(store, monkeypatch):
    box, set_by = Mailbox(store.database, lease=0.3), clock(monkeypatch, store)
    put(box, message(1))
    box.put_off(box.claim(1)[0], 5, "not now")
    set_by(-1800)
    assert box.claim(1) == []
    time.sleep(0.4)
    assert ids(box.claim(1)) == ["1"]


def test_many_claim_at_once_and_each_letter_goes_to_one(store):
    put(Mailbox(store.database), *(message(number, f"user {number % 20}") for number in range(100)))
    claimed, guard = [], threading.Lock()

    def work():
        box = Mailbox(store.database)
        empty = 0
        while empty < 20:
            letters = box.claim(3)
            empty = 0 if letters else empty + 1
            for letter in letters:
                with guard:
                    claimed.append(letter.message)
                box.remove(letter)
            time.sleep(0 if letters else 0.01)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(int(one.id) for one in claimed) == list(range(100))
    for user in range(20):
        mine = [int(one.id) for one in claimed if one.sender == f"user {user}"]
        assert mine == sorted(mine)


def test_the_last_address_is_remembered_until_the_conversation_is_forgotten(store):
    box = Mailbox(store.database)
    box.put([(message(1), {"chat": 1}), (message(2), {"chat": 2})])
    assert box.address("post", "ann") == {"chat": 2}
    assert box.address("post", "bob") is None
    assert store.delete("ann")
    assert box.address("post", "ann") is None
    assert box.waiting() == 0


def test_what_is_no_json_is_refused_whole(store):
    box = Mailbox(store.database)
    with pytest.raises(StoreError, match="address cannot be kept as JSON"):
        box.put([(message(1), ADDRESS), (message(2), {"x": object()})])
    assert box.waiting() == 0
