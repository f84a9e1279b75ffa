"""What a store keeps and gives back, on every database."""

import json
import math
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from dialogue.events import ActionExecuted, SlotSet, UserUttered
from dialogue.message import Button, Message, Reply
from dialogue.store.base import Addition, Answered, ConflictError, Look, StoreError, TrackerStore
from dialogue.store.sql import SqlTrackerStore
from dialogue.tracker import Tracker
from tests.dialogue.stores import scratch_schema, traced

ODD = "nul \0, half \ud83d, whole 🙂, 中文, 'quote' \\"


@pytest.fixture(params=["file", "memory", pytest.param("postgres", marks=pytest.mark.server("postgres"))])
def url(request, tmp_path):
    if request.param == "file":
        yield f"sqlite:///{tmp_path / 'bot.db'}"
    elif request.param == "memory":
        yield "sqlite://"
    else:
        with scratch_schema() as schema:
            yield schema


@pytest.fixture
def store(url):
    opened = SqlTrackerStore(url, turn_timeout=10)
    yield opened
    opened.close()


def look(store, conversation, message, *, after=0):
    (found,) = store.look([Look(replace(message, sender=conversation), after)])
    return found


def test_it_is_a_store(store):
    assert isinstance(store, TrackerStore)


def test_events_come_back_as_they_went_in(store):
    turn = [UserUttered(ODD, {"intent": {"name": "a"}}), SlotSet("x", {"y": [1, None, ODD]}), ActionExecuted("utter_x")]
    assert store.events("ann") == []
    assert store.append("ann", 0, turn) == 3
    assert store.append("ann", 3, [SlotSet("z", 1.5)]) == 4
    assert store.append("bob", None, [SlotSet("z", 2)]) == 1
    back = store.events("ann")
    assert back[:3] == turn
    assert store.events("ann", after=2) == back[2:]
    assert store.events("ann", after=4) == []
    assert Tracker("ann").apply(back).slots == {"x": {"y": [1, None, ODD]}, "z": 1.5}


@pytest.mark.parametrize("name", ["ann", "a/b c", "x' OR '1'='1", "表情🙂", "n" * 512])
def test_any_conversation_id(store, name):
    store.append(name, None, [SlotSet("x", 1)])
    with store.turn(name):
        assert len(store.events(name)) == 1
    assert store.conversations() == [name]


@pytest.mark.parametrize("name", ["", "a\0b", "n" * 513, "\ud800"])
def test_an_id_no_database_can_keep_is_refused(store, name):
    for call in (store.events, store.delete, store.export, lambda name: store.append(name, None, [])):
        with pytest.raises(StoreError, match=r"^conversation: expected 1 to 512 characters"):
            call(name)
    with pytest.raises(StoreError, match=r"^conversation: expected"), store.turn(name):
        pytest.fail("a turn began")


def test_a_turn_that_began_elsewhere_is_refused_whole(store):
    store.append("ann", 0, [SlotSet("x", 1), SlotSet("x", 2)])
    answered = Answered(Message("hi", id="m1"), (Reply("hello"),))
    with pytest.raises(ConflictError, match="'ann' went on meanwhile: its last event is number 2, expected 1"):
        store.append("ann", 1, [SlotSet("x", 3)], answered=answered)
    with pytest.raises(ConflictError):
        store.append("new", 1, [SlotSet("x", 3)])
    assert len(store.events("ann")) == 2
    assert look(store, "ann", answered.message)[0] is None
    assert store.conversations() == ["ann"]


def test_a_redelivered_message_is_answered_from_the_store(store):
    message = Message("hi", sender="ann", channel="rest", id="m1")
    replies = (
        Reply(ODD, buttons=(Button("yes", "/yes"),)),
        Reply(image="https://x/y.png", attachment={"a": 1}, custom={"b": [2]}, metadata={"k": "v"}),
    )
    assert look(store, "ann", message)[0] is None
    store.append("ann", 0, [UserUttered("hi")], answered=Answered(message, replies))
    assert look(store, "ann", message) == (replies, [])
    assert look(store, "ann", Message("other text", sender="ann", channel="rest", id="m1")) == (replies, [])
    assert look(store, "bob", message)[0] is None, "an answer is for its own conversation"
    assert look(store, "ann", Message("hi", channel="telegram", id="m1"))[0] is None
    with pytest.raises(ConflictError, match="message 'm1' from 'rest' was answered already"):
        store.append("ann", None, [UserUttered("hi")], answered=Answered(message, ()))
    assert len(store.events("ann")) == 1


def test_a_turn_begins_with_one_look(store):
    message, other = Message("hi", channel="rest", id="m1"), Message("hi", channel="rest", id="m2")
    assert look(store, "ann", message) == (None, [])
    turn = [UserUttered("hi"), SlotSet("x", 1), SlotSet("x", 2)]
    store.append("ann", 0, turn, answered=Answered(message, ()))
    assert look(store, "ann", message) == ((), []), "an answer without a reply is an answer"
    assert look(store, "ann", other) == (None, turn)
    assert look(store, "ann", other, after=2) == (None, turn[2:])
    assert look(store, "ann", other, after=3) == (None, [])
    assert look(store, "bob", other) == (None, [])
    with pytest.raises(StoreError, match=r"^message id: expected 1 to 512 characters"):
        look(store, "ann", Message("hi", id="a\0b"))


def test_turns_of_several_conversations_begin_with_one_look(store):
    heard = [Message("hi", sender=name, channel="rest", id="m1") for name in ("ann", "bob", "cem", "dee")]
    turn = [UserUttered("hi"), SlotSet("x", ODD)]
    store.append("ann", 0, turn, answered=Answered(heard[0], (Reply("a"),)))
    store.append("bob", 0, turn)
    store.append("dee", None, [])
    looks = [Look(message, after) for message, after in zip(heard, (0, 1, 0, 0), strict=True)]
    assert store.look(looks) == [((Reply("a"),), []), (None, turn[1:]), (None, []), (None, [])]
    assert store.look(looks[::-1]) == store.look(looks)[::-1]
    assert store.look([]) == []
    with pytest.raises(StoreError, match=r"^message id: expected"):
        store.look([*looks, Look(Message("hi", id="a\0b"))])


def test_turns_of_several_conversations_are_stored_at_once(store):
    store.append("ann", 0, [SlotSet("x", 0)])
    heard, said = Message("hi", sender="bob", channel="rest", id="m1"), UserUttered("hi", {"text": ODD})
    additions = [
        Addition("ann", 1, [SlotSet("x", 1), SlotSet("x", 2)]),
        Addition("bob", 0, [said], Answered(heard, (Reply("b"),), {"decide": 1.5})),
        Addition("cem", None, []),
    ]
    assert set(store.append_many(additions)) == {"ann", "bob", "cem"}
    assert [event.value for event in store.events("ann")] == [0, 1, 2]
    assert store.events("bob") == [said]
    assert look(store, "bob", heard) == ((Reply("b"),), [])
    assert set(store.conversations()) == {"ann", "bob", "cem"}
    assert store.append("bob", 1, [SlotSet("x", 3)]) == 2


@pytest.mark.parametrize("wrong", ["elsewhere", "answered"])
def test_what_cannot_be_added_among_several_is_told_and_costs_none_of_the_others(store, wrong):
    heard = Answered(Message("hi", channel="rest", id="m1"), ())
    store.append("bob", 0, [SlotSet("x", 0)], answered=heard)
    bad = Addition("bob", 0 if wrong == "elsewhere" else 1, [SlotSet("x", 1)], heard if wrong == "answered" else None)
    several = [Addition("ann", 0, [SlotSet("x", 1)]), bad, Addition("cem", 0, [SlotSet("x", 1)])]
    stored = set(store.append_many(several))
    assert "bob" not in stored
    for one in (several[0], several[2]):
        assert (one.conversation in stored) == (store.events(one.conversation) != [])
        if one.conversation not in stored:
            assert store.append(one.conversation, one.expected_sequence, one.events) == 1
    with pytest.raises(ConflictError):
        store.append(bad.conversation, bad.expected_sequence, bad.events, answered=bad.answered)
    assert len(store.events("bob")) == 1


def test_what_no_database_can_keep_is_refused_before_anything_is_added(store):
    with pytest.raises(StoreError, match="event 'slot'"):
        store.append_many([Addition("ann", 0, [SlotSet("x", 1)]), Addition("bob", 0, [SlotSet("x", object())])])
    assert store.conversations() == []


def test_only_turns_that_nobody_runs_are_begun_together(store):
    with store.turn("bob"):
        with store.free_turns(["ann", "bob", "cem"]) as mine:
            assert set(mine.conversations) == {"ann", "cem"}
            with store.free_turns(["ann", "bob", "dee"]) as theirs:
                assert set(theirs.conversations) == {"dee"}
        with store.free_turns(["ann", "bob"]) as mine:
            assert set(mine.conversations) == {"ann"}, "whose turn ended is free again"
        with store.free_turns(["bob"]) as mine:
            assert set(mine.conversations) == set()
    store._locks.timeout = 0.1
    with store.free_turns(["ann"]), pytest.raises(StoreError, match="'ann' is busy"), store.turn("ann"):
        pytest.fail("a turn began beside another")
    with pytest.raises(StoreError, match=r"^conversation: expected"), store.free_turns(["ann", ""]):
        pytest.fail("a turn began")
    with store.turn("ann"), store.turn("bob"):
        pass


def test_a_right_that_is_kept_lasts_until_it_is_let_go_of_in_whatever_thread(store):
    store._locks.timeout = 0.1
    with store.free_turns(["ann", "bob", "cem"]) as mine:
        releases = [mine.keep("ann"), mine.keep("cem")]
    with store.turn("bob"):
        pass
    for release, name in zip(releases, ("ann", "cem"), strict=True):
        with pytest.raises(StoreError, match=f"'{name}' is busy"), store.turn(name):
            pytest.fail("a turn began beside another")
        thread = threading.Thread(target=release)
        thread.start()
        thread.join(10)
        with store.turn(name):
            pass
    with store.free_turns(["ann", "bob", "cem"]) as mine:
        assert set(mine.conversations) == {"ann", "bob", "cem"}


def test_threads_that_write_wait_their_turn_without_asking_sqlite(tmp_path):
    store = SqlTrackerStore(f"sqlite:///{tmp_path / 'bot.db'}")
    begun = traced(store, "BEGIN IMMEDIATE")
    waiting = threading.Thread(target=lambda: store.append("bob", None, [SlotSet("x", 1)]))
    with store.database.write() as connection:
        begun.clear()
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive()
        assert begun == [], "it waits for us, not in SQLite, which would sleep"
        connection.exec_driver_sql("SELECT 1")
    waiting.join(10)
    assert len(store.events("bob")) == 1
    store.close()


@pytest.mark.server("postgres")
def test_a_connection_that_rested_is_asked_whether_it_is_still_there(monkeypatch):
    with scratch_schema() as url:
        store, other = SqlTrackerStore(url), SqlTrackerStore(url)
        for rested in (True, False):
            monkeypatch.setattr("dialogue.store.database._PING_SECONDS", 0.0 if rested else 60.0)
            with store.database.read() as connection:
                pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
            with other.database.read() as connection:
                connection.exec_driver_sql(f"SELECT pg_terminate_backend({pid}, 10000)")
            if rested:
                assert store.events("ann") == []
            else:
                with pytest.raises(StoreError, match="terminat"):
                    store.events("ann")
        assert store.events("ann") == [], "then all of them are opened anew"
        store.close()
        other.close()


def test_conversations_are_listed_latest_first(store):
    for number, name in enumerate(["ann", "bob", "eve"]):
        store.append(name, 0, [SlotSet("x", 1, timestamp=100.0 + number)])
    store.append("ann", 1, [SlotSet("x", 2, timestamp=200.0)])
    assert store.conversations() == ["ann", "eve", "bob"]


def test_delete_forgets_everything_of_one_conversation(store):
    message = Message("hi", id="m1")
    for name in ("ann", "bob"):
        store.append(name, 0, [SlotSet("x", 1)], answered=Answered(message, (Reply("hello"),)))
    assert store.delete("ann")
    assert not store.delete("ann")
    assert store.events("ann") == []
    assert look(store, "ann", message)[0] is None
    assert store.export("ann") == {"conversation": "ann", "events": [], "messages": []}
    assert len(store.events("bob")) == 1
    assert store.append("ann", 0, [SlotSet("x", 1)]) == 1


def test_export_has_all_there_is_and_is_json(store):
    turn = [UserUttered("hi", timestamp=1.0), SlotSet("x", ODD, timestamp=2.0)]
    store.append("ann", 0, turn, answered=Answered(Message("hi", channel="rest", id="m1"), (Reply("hello"),)))
    exported = json.loads(json.dumps(store.export("ann")))
    assert exported == {
        "conversation": "ann",
        "events": [event.as_dict() for event in turn],
        "messages": [{"id": "m1", "channel": "rest", "replies": [{"text": "hello"}]}],
    }


@pytest.mark.parametrize("value", [math.nan, math.inf, object(), {1, 2}])
def test_a_value_that_is_not_json_is_refused_whole(store, value):
    with pytest.raises(StoreError, match="event 'slot' cannot be kept as JSON"):
        store.append("ann", None, [SlotSet("x", 1), SlotSet("y", value)])
    assert store.events("ann") == []
    assert store.conversations() == []


def test_threads_take_turns(store):
    def talk():
        for _ in range(15):
            with store.turn("ann"):
                events = store.events("ann")
                last = events[-1].value if events else 0
                store.append("ann", len(events), [SlotSet("x", last + 1)])

    threads = [threading.Thread(target=talk) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [event.value for event in store.events("ann")] == list(range(1, 61))


def test_conversations_do_not_wait_for_each_other(store):
    with store.turn("ann"), store.turn("bob"):
        store.append("bob", 0, [SlotSet("x", 1)])
    assert len(store.events("bob")) == 1


def test_a_turn_that_never_ends_is_not_waited_for_for_ever(url):
    store = SqlTrackerStore(url, turn_timeout=0.2)
    with store.turn("ann"):
        with (
            pytest.raises(StoreError, match=r"conversation 'ann' is busy: waited 0.2 s for another turn"),
            store.turn("ann"),
        ):
            pytest.fail("two turns at once")
        store.append("ann", 0, [SlotSet("x", 1)])
    with store.turn("ann"):
        pass
    store.close()


def test_an_error_in_a_turn_ends_it(store):
    with pytest.raises(ZeroDivisionError), store.turn("ann"):
        1 / 0  # noqa: B018
    with store.turn("ann"):
        assert store.events("ann") == []


def test_what_was_stored_is_there_when_opened_again(tmp_path):
    url = f"sqlite:///{tmp_path / 'bot.db'}"
    first = SqlTrackerStore(url)
    first.append("ann", 0, [SlotSet("x", 1)])
    with first.turn("ann"):
        pass
    first.close()
    assert [path.name for path in tmp_path.iterdir()] == ["bot.db"], "nothing is left behind"
    again = SqlTrackerStore(url)
    assert len(again.events("ann")) == 1
    again.close()


def test_stores_in_memory_are_strangers():
    one, other = SqlTrackerStore("sqlite://"), SqlTrackerStore("sqlite:///:memory:")
    one.append("ann", 0, [SlotSet("x", 1)])
    assert other.events("ann") == []
    one.close()
    other.close()


def test_every_commit_on_sqlite_is_synced(tmp_path):
    store = SqlTrackerStore(f"sqlite:///{tmp_path / 'bot.db'}")
    with store._database.read() as connection:
        pragmas = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")]
        assert pragmas == ["wal", 2]
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    store.close()


def test_a_long_conversation_loads_fast(store):
    store.append("ann", 0, [SlotSet("x", number) for number in range(10_000)])
    assert len(store.events("ann")) == 10_000
    assert [event.value for event in store.events("ann", after=9_998)] == [9_998, 9_999]


def test_an_event_nobody_can_read_is_named(tmp_path):
    store = SqlTrackerStore(f"sqlite:///{tmp_path / 'bot.db'}")
    store.append("ann", 0, [SlotSet("x", 1)])
    with store._database.write() as connection:
        connection.exec_driver_sql("""UPDATE events SET data = '{"event": "slto"}'""")
    with pytest.raises(StoreError, match=r"event 1 of conversation 'ann' cannot be read: unknown event 'slto'"):
        store.events("ann")
    store.close()


def test_migrations_are_beside_the_code():
    from dialogue.store import migrations

    folder = Path(migrations.__file__).parent
    assert sorted(path.name[1:5] for path in (folder / "versions").glob("v*.py")) == list(migrations.VERSIONS)
