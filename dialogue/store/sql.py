"""Conversations in SQLite or PostgreSQL."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from dialogue.events import Event
from dialogue.message import Reply
from dialogue.store import looking, migrations, schema
from dialogue.store.advisory import PostgresLocks
from dialogue.store.appending import Turn, store_at_once
from dialogue.store.base import Addition, Answered, ConflictError, Look, Rights, StoreError
from dialogue.store.database import Database
from dialogue.store.driver import Prepared
from dialogue.store.locks import FileLocks, Held, Locks
from dialogue.store.wire import check, read_reply

_NAMED = schema.conversations.c.name == sa.bindparam("conversation")
_LATER = schema.events.c.sequence > sa.bindparam("after")
_EVENTS = Prepared(
    sa.select(schema.events.c.sequence, schema.events.c.data)
    .join(schema.conversations)
    .where(_NAMED, _LATER)
    .order_by(schema.events.c.sequence)
)
_UPGRADE_LOCK = sa.text("SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '/starfold schema', 0))")


class SqlTrackerStore:
    """A `TrackerStore` in a database. Opening it creates or upgrades the tables.

    A turn of a conversation is stored in one transaction and its sender a row that the transaction locks, so that
    events are numbered without a gap and in the order they were committed.

    Args:
        url: `sqlite:///conversations.db`, `sqlite://` (in memory, gone when closed) or
            `postgresql://user:password@host/database`.
        turn_timeout: seconds that `turn` waits for another turn of the same conversation.
        most_turns: how many turns may run at once in this process on PostgreSQL; each holds a connection.

    Raises:
        StoreError: if the database cannot be opened, is of a newer version or is another program's.
    """

    def __init__(self, url: str, *, turn_timeout: float = 60.0, most_turns: int = 40) -> None:
        with contextlib.ExitStack() as opened:
            self._database = Database(url, connections=10)
            opened.callback(self._database.close)
            self._locks = self._open_locks(url, opened, turn_timeout, most_turns)
            self._upgrade()
            self._opened = opened.pop_all()

    @property
    def database(self) -> Database:
        """For what else is kept there: mailbox, feedback, the record of turns."""
        return self._database

    def events(self, conversation: str, *, after: int = 0) -> list[Event]:
        """See `TrackerStore`."""
        check("conversation", conversation)
        rows = self._database.rows(_EVENTS, {"conversation": conversation, "after": after})
        return [_read_event(conversation, sequence, data) for sequence, data in rows]

    def append(
        self,
        conversation: str,
        expected_sequence: int | None,
        events: Sequence[Event],
        *,
        answered: Answered | None = None,
    ) -> int:
        """See `TrackerStore`."""
        turn = Turn.of(Addition(conversation, expected_sequence, events, answered))
        stored = {} if self._database.is_sqlite else self._at_once([turn])
        return stored[conversation] if conversation in stored else self._database.store(turn.store)

    def append_many(self, additions: Sequence[Addition]) -> Collection[str]:
        """See `TrackerStore`."""
        turns = [Turn.of(added) for added in additions]
        if not self._database.is_sqlite:
            return self._at_once(turns)
        with contextlib.suppress(ConflictError):  # one by one they say whose it is
            self._database.store(lambda straight: [turn.store(straight) for turn in turns])
            return {turn.conversation for turn in turns}
        return ()

    def _at_once(self, turns: Sequence[Turn]) -> dict[str, int]:
        return self._database.by_itself(lambda straight: store_at_once(straight, turns))

    @contextlib.contextmanager
    def turn(self, conversation: str) -> Iterator[None]:
        """See `TrackerStore`."""
        with self._locks.hold(_lock_of(conversation)):
            yield

    @contextlib.contextmanager
    def free_turns(self, conversations: Sequence[str]) -> Iterator[Rights]:
        """See `TrackerStore`."""
        names = {_lock_of(one): one for one in conversations}
        with self._locks.hold_free(list(names)) as held:
            yield _Turns({names[name] for name in held.names}, held)

    def look(self, several: Sequence[Look]) -> list[tuple[tuple[Reply, ...] | None, list[Event]]]:
        """See `TrackerStore`."""
        wanted = [looking.asked(look) for look in several]
        rows_of = looking.one_by_one if self._database.is_sqlite else looking.at_once
        found = self._database.by_itself(lambda straight: rows_of(straight, wanted))
        return [_seen(values["conversation"], rows) for values, rows in zip(wanted, found, strict=True)]

    def conversations(self, *, having: str | None = None) -> list[str]:
        """See `TrackerStore`."""
        query = sa.select(schema.conversations.c.name).order_by(
            schema.conversations.c.updated.desc(), schema.conversations.c.name
        )
        if having is not None:
            keys = sa.select(schema.events.c.conversation_id).where(schema.events.c.type == having)
            query = query.where(schema.conversations.c.id.in_(keys))
        with self._database.read() as connection:
            return list(connection.scalars(query))

    def delete(self, conversation: str) -> bool:
        """See `TrackerStore`."""
        name = check("conversation", conversation)
        by_name = (
            sa.delete(schema.conversations).where(schema.conversations.c.name == name),
            sa.delete(schema.mailbox).where(schema.mailbox.c.conversation == name),
            sa.delete(schema.addresses).where(schema.addresses.c.conversation == name),
        )
        with self._database.write() as connection:
            return sum(connection.execute(query).rowcount for query in by_name) > 0

    def export(self, conversation: str) -> dict[str, Any]:
        """See `TrackerStore`."""
        mine = schema.conversations.c.name == check("conversation", conversation)
        said = sa.select(schema.events.c.data).join(schema.conversations).where(mine).order_by(schema.events.c.sequence)
        heard = sa.select(schema.messages).join(schema.conversations).where(mine).order_by(schema.messages.c.sequence)
        with self._database.read() as connection:
            wire = connection.scalars(said).all()
            rows = connection.execute(heard).all()
        return {
            "conversation": conversation,
            "events": [json.loads(data) for data in wire],
            "messages": [
                {"id": row.message_id, "channel": row.channel, "replies": json.loads(row.replies)} for row in rows
            ],
        }

    def close(self) -> None:
        """See `TrackerStore`."""
        self._opened.close()

    def _open_locks(self, url: str, opened: contextlib.ExitStack, timeout: float, most_turns: int) -> Locks:
        if self._database.file is not None:
            return FileLocks(self._database.file, timeout)
        if self._database.is_sqlite:
            folder = opened.enter_context(tempfile.TemporaryDirectory(prefix="starfold-"))
            return FileLocks(Path(folder, "memory"), timeout)
        # Connections of their own: were turns to hold those that `append` waits for, all would wait for ever.
        own = Database(url, connections=most_turns)
        opened.callback(own.close)
        return PostgresLocks(own, timeout)

    def _upgrade(self) -> None:
        if not self._database.is_sqlite:
            with self._database.write() as connection:
                connection.execute(_UPGRADE_LOCK)
                migrations.upgrade(connection)
            return
        with self._locks.hold("schema"):
            with self._database.write() as connection:
                migrations.upgrade(connection)
            self._database.use_wal()


class _Turns:
    """See `Rights`."""

    def __init__(self, conversations: Collection[str], held: Held) -> None:
        self.conversations = conversations
        self._held = held

    def keep(self, conversation: str) -> Callable[[], None]:
        """See `Rights`."""
        return self._held.keep(_lock_of(conversation))


def _lock_of(conversation: str) -> str:
    """The name of its lock. Raises `StoreError` for what no database can keep."""
    return f"conversation {check('conversation', conversation)!r}"


def _seen(conversation: str, rows: Sequence[looking.Row]) -> tuple[tuple[Reply, ...] | None, list[Event]]:
    """What the rows of a look tell of a message."""
    replies = looking.replies_in(rows)
    if replies is not None:
        return tuple(map(read_reply, replies)), []
    # A conversation without such events is one row all the same.
    return None, [_read_event(conversation, number, data) for _, number, data in rows if number is not None]


def _read_event(conversation: str, sequence: int, data: str) -> Event:
    try:
        return Event.from_dict(json.loads(data))
    except ValueError as error:
        raise StoreError(f"event {sequence} of conversation {conversation!r} cannot be read: {error}") from error
