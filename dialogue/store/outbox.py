"""What a message broker has not taken yet: the events of a conversation beyond the number it is published up to.

The events themselves are the outbox. Nothing is written with a turn, and nothing is lost while no broker answers. One
process publishes at a time, by a lease that it takes anew with each claim; when it dies, another goes on after
`leases.SECONDS`. What it published and could not note any more is published again.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import sqlalchemy as sa

from dialogue.store import leases
from dialogue.store.database import Database
from dialogue.store.leases import Lease
from dialogue.store.schema import conversations, events

MOST_CONVERSATIONS, MOST_EVENTS = 32, 128  # of a claim; what is claimed when its process dies may be published twice
NAME = "event broker"
_behind = conversations.c.published < conversations.c.sequence


@dataclass(frozen=True, slots=True)
class Unpublished:
    """An event that is to be published: `number` in its conversation, seconds since 1970, and its wire form as JSON.

    `key` is the conversation in the tables.
    """

    key: int
    conversation: str
    number: int
    time: float
    data: str

    @property
    def id(self) -> str:
        """The same whenever this event is published again, and no other event's: a UUID."""
        return str(uuid.uuid5(uuid.NAMESPACE_OID, json.dumps([self.conversation, self.number, self.time])))

    def body(self) -> str:
        """The message as Rasa's event brokers have it, the event beside its `sender_id`, with its `sequence` number."""
        return json.dumps({"sender_id": self.conversation, "sequence": self.number, **json.loads(self.data)})


class Outbox:
    """The outbox in a database. May be used from any thread. Whatever goes wrong is a `StoreError`.

    Args:
        database: with the tables of `schema`.
        lease: seconds until another process may publish.
    """

    def __init__(self, database: Database, *, lease: float = leases.SECONDS) -> None:
        self.lease = Lease(database, NAME, seconds=lease)
        self._database = database

    def claim(self, but: Collection[int] = ()) -> list[list[Unpublished]]:
        """The next events of some conversations, in order, those longest behind first; none while another publishes.

        Args:
            but: keys of conversations to leave out.
        """
        if not self._waits(but):  # only a look, so that a server at rest writes nothing
            return []
        with self._database.write() as connection:
            return self._read(connection, but) if self.lease.take_in(connection) else []

    def note(self, published: Iterable[Unpublished]) -> None:
        """Write down how far conversations are published, each by the last of its events that was taken.

        One that was deleted meanwhile, or that another process went on with, stays as it is.
        """
        mine = sa.exists().where(
            events.c.conversation_id == conversations.c.id,
            events.c.sequence == sa.bindparam("number"),
            events.c.time == sa.bindparam("at"),
        )
        forward = (
            sa.update(conversations)
            .where(conversations.c.id == sa.bindparam("key"), conversations.c.published < sa.bindparam("number"), mine)
            .values(published=sa.bindparam("number"))
        )
        rows = [{"key": one.key, "number": one.number, "at": one.time} for one in published]
        if rows:
            with self._database.write() as connection:
                connection.execute(forward, rows)

    def waiting(self) -> int:
        """How many events are not published."""
        query = sa.select(sa.func.sum(conversations.c.sequence - conversations.c.published)).where(_behind)
        with self._database.read() as connection:
            return int(connection.scalar(query) or 0)

    def _waits(self, but: Collection[int]) -> bool:
        query = sa.select(conversations.c.id).where(_behind, conversations.c.id.not_in(but)).limit(1)
        with self._database.read() as connection:
            return connection.execute(query).first() is not None

    def _read(self, connection: sa.Connection, but: Collection[int]) -> list[list[Unpublished]]:
        some = sa.select(conversations.c.id).where(_behind, conversations.c.id.not_in(but))
        some = some.order_by(conversations.c.updated).limit(MOST_CONVERSATIONS)
        query = (
            sa.select(events, conversations.c.name)
            .join(conversations)
            .where(conversations.c.id.in_(some), events.c.sequence > conversations.c.published)
            .order_by(events.c.conversation_id, events.c.sequence)
            .limit(MOST_EVENTS)
        )
        found: dict[int, list[Unpublished]] = {}
        for row in connection.execute(query):
            one = Unpublished(row.conversation_id, row.name, row.sequence, row.time, row.data)
            found.setdefault(one.key, []).append(one)
        return list(found.values())
