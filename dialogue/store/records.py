"""What is told of conversations beside their events: turns with their milliseconds, feedback, who was here when."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from dialogue.store.database import Database
from dialogue.store.schema import conversations, feedback, messages
from dialogue.store.wire import check


@dataclass(frozen=True, slots=True)
class TurnRecord:
    """Numbers of a turn's first and last event, the id of the message it answered, and what its stages took."""

    first: int
    last: int
    message_id: str
    milliseconds: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Met:
    """A conversation, the number of its last event, and when that was, in seconds since 1970."""

    conversation: str
    last: int
    updated: float


class Records:
    """Reads and writes them. May be used from any thread. Whatever goes wrong is a `StoreError`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def turns(self, conversation: str, *, after: int = 0) -> list[TurnRecord]:
        """The turns that end after the event of this number, in order."""
        columns = messages.c.first, messages.c.sequence, messages.c.message_id, messages.c.milliseconds
        query = (
            sa.select(*columns)
            .join(conversations)
            .where(conversations.c.name == check("conversation", conversation), messages.c.sequence > after)
            .order_by(messages.c.sequence)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        turns: list[TurnRecord] = []
        for row in rows:
            # An older version did not write down where a turn began.
            first = row.first or (turns[-1].last + 1 if turns else after + 1)
            turns.append(TurnRecord(first, row.sequence, row.message_id, json.loads(row.milliseconds or "{}")))
        return turns

    def met(self, most: int, *, before: float | None = None) -> list[Met]:
        """The conversations that went on last, latest first; with `before`, of those that rest since that time."""
        query = sa.select(conversations).order_by(conversations.c.updated.desc(), conversations.c.name).limit(most)
        if before is not None:
            query = query.where(conversations.c.updated < before)
        with self._database.read() as connection:
            return [Met(row.name, row.sequence, row.updated) for row in connection.execute(query)]

    def last(self, names: list[str]) -> dict[str, int]:
        """The number of the last event of each of these conversations that exists."""
        query = sa.select(conversations.c.name, conversations.c.sequence).where(conversations.c.name.in_(names))
        with self._database.read() as connection:
            return {row.name: row.sequence for row in connection.execute(query)}

    def rate(self, conversation: str, message_id: str, rating: str, comment: str | None) -> bool:
        """Keep what a user thought of an answer; False if the conversation has no such message."""
        answered = (
            sa.select(messages.c.conversation_id)
            .join(conversations)
            .where(
                conversations.c.name == check("conversation", conversation),
                messages.c.message_id == check("message id", message_id),
            )
        )
        put = (
            "INSERT INTO feedback (conversation_id, message_id, rating, comment, time) "
            "VALUES (:key, :message_id, :rating, :comment, :time) ON CONFLICT (conversation_id, message_id) "
            "DO UPDATE SET rating = excluded.rating, comment = excluded.comment, time = excluded.time"
        )
        with self._database.write() as connection:
            key = connection.scalar(answered)
            if key is None:
                return False
            row = {"key": key, "message_id": message_id, "rating": rating, "comment": comment, "time": time.time()}
            connection.execute(sa.text(put), row)
        return True

    def feedback(self, conversation: str) -> list[dict[str, Any]]:
        """What the conversation's user thought of answers, for JSON."""
        query = (
            sa.select(feedback)
            .join(conversations)
            .where(conversations.c.name == conversation)
            .order_by(feedback.c.time)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return [
            {"message_id": row.message_id, "rating": row.rating, "comment": row.comment, "time": row.time}
            for row in rows
        ]

    def ping(self) -> None:
        """Raises `StoreError` if the database does not answer."""
        with self._database.read() as connection:
            connection.exec_driver_sql("SELECT 1")
