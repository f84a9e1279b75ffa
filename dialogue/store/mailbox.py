"""Messages that were acknowledged to a platform, kept until their replies have reached it.

A letter is put in before the platform's delivery is acknowledged. Whoever claims it, in any process on the database,
has the bot answer it and sends the replies. The answer itself is stored with the turn (`messages`), so a letter needs
to know only how many replies were sent: after a crash the store gives the same replies again, and sending goes on
where it stopped. A claim is a lease in `due`: when its holder dies, others may take the letter up. Only the oldest
letter of a conversation can be claimed, which keeps its messages in order. `due` is NULL for what was given up. Times
are the database server's, so that machines need not agree on them.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from dialogue.clock import SetClock
from dialogue.message import Message
from dialogue.store.database import Database
from dialogue.store.schema import addresses, conversations, mailbox, messages
from dialogue.store.wire import check, plain_message, read_message, to_json

LEASE = 10.0  # seconds a claim holds unless it is kept
FAR = 3600.0  # no letter waits longer than this
SET_BACK = 1.0  # seconds; less is no harm
_SERVER_TIME = sa.text("SELECT extract(epoch FROM clock_timestamp())")


@dataclass(frozen=True, slots=True)
class Letter:
    """A claimed message, where its replies go, how many of them were sent, and how often it was tried before."""

    id: int
    message: Message
    address: Mapping[str, Any]
    sent: int
    attempts: int


class Mailbox:
    """The mailbox in a database. May be used from any thread. Whatever goes wrong is a `StoreError`.

    Args:
        database: with the tables of `schema`.
        lease: seconds a claim holds unless it is kept.
    """

    def __init__(self, database: Database, *, lease: float = LEASE) -> None:
        self.lease = lease
        self._database = database
        self._holder = uuid.uuid4().hex
        self._clock = SetClock()

    def put(self, heard: Iterable[tuple[Message, Mapping[str, Any]]]) -> int:
        """Keep messages with their addresses, all or none; those that are known, also answered ones, are ignored.

        Returns:
            How many were new.
        """
        rows = [_row(message, address) for message, address in heard]
        with self._database.write() as connection:
            return sum(_put(connection, row) for row in rows)

    def post(self, message: Message, address: Mapping[str, Any]) -> None:
        """Keep a message that is answered already, for its replies to be sent."""
        with self._database.write() as connection:
            _insert(connection, _row(message, address))

    def claim(self, most: int) -> list[Letter]:
        """At most so many letters that nobody holds, each the oldest of its conversation."""
        older = mailbox.alias()
        waits = older.c.conversation == mailbox.c.conversation, older.c.id < mailbox.c.id, older.c.due.is_not(None)
        with self._database.write() as connection:
            now = self._now(connection)
            if self._clock.moved(now) < -SET_BACK:
                late = sa.update(mailbox).where(mailbox.c.due > now + self.lease)
                connection.execute(late.values(due=now + self.lease))
            query = (
                sa.select(mailbox)
                .where(sa.or_(mailbox.c.due <= now, mailbox.c.due > now + FAR))
                .where(~sa.exists(sa.select(older.c.id).where(*waits)))
                .order_by(mailbox.c.id)
                .limit(most)
                .with_for_update(skip_locked=True, of=mailbox)
            )
            rows = connection.execute(query).all()
            if rows:
                mine = mailbox.c.id.in_([row.id for row in rows])
                held = {"holder": self._holder, "due": now + self.lease, "attempts": mailbox.c.attempts + 1}
                connection.execute(sa.update(mailbox).where(mine).values(held))
        return [_letter(row) for row in rows]

    def keep(self, letters: Iterable[int]) -> None:
        """Hold these claims, by the letters' ids, for another lease."""
        self._change(list(letters), self.lease)

    def mark_sent(self, letter: Letter, sent: int) -> bool:
        """Write down how many replies were sent. False if the claim was lost meanwhile."""
        return self._change([letter.id], self.lease, sent=sent) > 0

    def put_off(self, letter: Letter, seconds: float, error: str) -> None:
        """Let it be claimed again after so many seconds."""
        self._change([letter.id], min(seconds, FAR), holder=None, error=error)

    def give_up(self, letter: Letter, error: str) -> None:
        """Keep it for people to look at; the conversation goes on without it."""
        self._change([letter.id], None, holder=None, error=error)

    def remove(self, letter: Letter) -> None:
        """It is answered and all its replies are sent."""
        mine = mailbox.c.id == letter.id, mailbox.c.holder == self._holder
        with self._database.write() as connection:
            connection.execute(sa.delete(mailbox).where(*mine))

    def waiting(self) -> int:
        """How many letters are not done, those given up aside."""
        query = sa.select(sa.func.count()).select_from(mailbox).where(mailbox.c.due.is_not(None))
        with self._database.read() as connection:
            return int(connection.scalar(query) or 0)

    def address(self, channel: str, conversation: str) -> Mapping[str, Any] | None:
        """Where the conversation's user was last heard from on a channel."""
        mine = addresses.c.channel == channel, addresses.c.conversation == conversation
        with self._database.read() as connection:
            found = connection.scalar(sa.select(addresses.c.address).where(*mine))
        return None if found is None else dict(json.loads(found))

    def export(self, conversation: str) -> list[dict[str, Any]]:
        """The conversation's letters, for JSON."""
        columns = mailbox.c.message, mailbox.c.address, mailbox.c.sent, mailbox.c.error
        query = sa.select(*columns).where(mailbox.c.conversation == conversation).order_by(mailbox.c.id)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return [
            {
                "message": json.loads(row.message),
                "address": json.loads(row.address),
                "sent": row.sent,
                "error": row.error,
            }
            for row in rows
        ]

    def _change(self, ids: list[int], wait: float | None, **values: Any) -> int:
        """Change letters of ours: due after so many seconds, or never again. Returns how many still were ours."""
        if not ids:
            return 0
        mine = mailbox.c.id.in_(ids), mailbox.c.holder == self._holder
        with self._database.write() as connection:
            due = None if wait is None else self._now(connection) + wait
            return connection.execute(sa.update(mailbox).where(*mine).values(due=due, **values)).rowcount

    def _now(self, connection: sa.Connection) -> float:
        if self._database.is_sqlite:
            return time.time()
        return float(connection.execute(_SERVER_TIME).scalar_one())


def _row(message: Message, address: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "channel": check("channel", message.channel),
        "conversation": check("conversation", message.sender),
        "message_id": check("message id", message.id),
        "message": to_json(plain_message(message), "message"),
        "address": to_json(dict(address), "address"),
        "sent": 0,
        "attempts": 0,
        "due": 0.0,
    }


def _put(connection: sa.Connection, row: Mapping[str, Any]) -> int:
    if not _insert(connection, row):
        return 0
    latest = (
        "INSERT INTO addresses (channel, conversation, address) VALUES (:channel, :conversation, :address) "
        "ON CONFLICT (channel, conversation) DO UPDATE SET address = excluded.address"
    )
    connection.execute(sa.text(latest), {name: row[name] for name in ("channel", "conversation", "address")})
    # Asked only now: a letter that was removed just before this one went in had been answered before.
    answered = (
        sa.select(messages.c.sequence)
        .join(conversations)
        .where(
            conversations.c.name == row["conversation"],
            messages.c.channel == row["channel"],
            messages.c.message_id == row["message_id"],
        )
    )
    if connection.execute(answered).first() is None:
        return 1
    same = [mailbox.c[name] == row[name] for name in ("channel", "conversation", "message_id")]
    connection.execute(sa.delete(mailbox).where(*same))
    return 0


def _insert(connection: sa.Connection, row: Mapping[str, Any]) -> bool:
    names = ", ".join(row)
    values = ", ".join(f":{name}" for name in row)
    insert = f"INSERT INTO mailbox ({names}) VALUES ({values}) ON CONFLICT DO NOTHING"  # noqa: S608 (our own names)
    return connection.execute(sa.text(insert), row).rowcount > 0


def _letter(row: Any) -> Letter:
    return Letter(
        row.id, read_message(json.loads(row.message)), json.loads(row.address), sent=row.sent, attempts=row.attempts
    )
