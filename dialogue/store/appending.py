"""How turns are stored: statement by statement or, by PostgreSQL, all in one, a trip to the server instead of six."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from dialogue.store import schema
from dialogue.store.base import Addition, Answered, ConflictError
from dialogue.store.driver import Prepared, Straight
from dialogue.store.wire import check, plain_reply, to_json

_CLAIM = Prepared(
    sa.select(schema.conversations.c.id, schema.conversations.c.sequence)
    .where(schema.conversations.c.name == sa.bindparam("conversation"))
    .with_for_update()
)
# Whoever else inserts it at the same time is waited for, and wins.
_BEGIN = Prepared(
    sa.text(
        "INSERT INTO conversations (name, sequence, updated) VALUES (:conversation, 0, 0) ON CONFLICT (name) DO NOTHING"
    )
)
_INSERT_EVENTS = Prepared(sa.insert(schema.events))
_GO_ON = Prepared(
    sa.update(schema.conversations)
    .where(schema.conversations.c.id == sa.bindparam("key"))
    .values(sequence=sa.bindparam("last"), updated=sa.bindparam("time"))
)
_INSERT_ANSWER = Prepared(sa.insert(schema.messages))
# `claimed` waits for whoever holds the rows and sees what he stored. The update does not see what `begun` inserts.
_AT_ONCE = Prepared(
    sa.text("""
    WITH turns AS MATERIALIZED (
        SELECT * FROM json_to_recordset(:turns) AS (
            conversation text, expected int, count int, updated float8, events json,
            channel text, message_id text, replies text, milliseconds text
        )
    ), claimed AS MATERIALIZED (
        SELECT mine.id, mine.sequence, turns.* FROM turns CROSS JOIN LATERAL (
            SELECT id, sequence FROM conversations WHERE name = turns.conversation FOR UPDATE
        ) AS mine
    ), begun AS (
        INSERT INTO conversations (name, sequence, updated)
        SELECT conversation, count, coalesce(updated, 0) FROM turns
        WHERE coalesce(expected, 0) = 0 AND conversation NOT IN (SELECT conversation FROM claimed)
        ON CONFLICT (name) DO NOTHING RETURNING id, name
    ), going AS MATERIALIZED (
        SELECT * FROM claimed WHERE sequence = coalesce(expected, sequence)
        UNION ALL SELECT begun.id, 0, turns.* FROM begun JOIN turns ON turns.conversation = begun.name
    ), said AS (
        INSERT INTO events (conversation_id, sequence, type, time, data)
        SELECT id, going.sequence + place, type, time, data
        FROM going, ROWS FROM (json_to_recordset(going.events) AS (type text, time float8, data text))
            WITH ORDINALITY AS new (type, time, data, place)
    ), answered AS (
        INSERT INTO messages (conversation_id, channel, message_id, sequence, replies, first, milliseconds)
        SELECT id, channel, message_id, sequence + count, replies, sequence + 1, milliseconds
        FROM going WHERE message_id IS NOT NULL
    ), moved AS (
        UPDATE conversations
        SET sequence = going.sequence + going.count, updated = coalesce(going.updated, conversations.updated)
        FROM going WHERE conversations.id = going.id
    )
    SELECT conversation, sequence + count FROM going
    """).bindparams(sa.bindparam("turns", type_=postgresql.JSON))
)


@dataclass(frozen=True, slots=True)
class Turn:
    """What a turn adds to a conversation, checked and written as the tables keep it.

    Attributes:
        events: a row for each, but for the conversation's key and its place.
        answer: the row of the message that it answers, but for key and places; None if it answers none.
    """

    conversation: str
    expected: int | None
    events: Sequence[dict[str, Any]]
    answer: dict[str, Any] | None

    @classmethod
    def of(cls, added: Addition) -> Turn:
        """Raises `StoreError` for what no database can keep."""
        rows = [
            {"type": event.wire, "time": event.timestamp, "data": to_json(event.as_dict(), f"event {event.wire!r}")}
            for event in added.events
        ]
        answer = None if added.answered is None else _answer(added.answered)
        return cls(check("conversation", added.conversation), added.expected_sequence, rows, answer)

    def store(self, straight: Straight) -> int:
        """Statement by statement within a transaction. Returns the number of the conversation's last event.

        Raises:
            ConflictError: if the conversation went on meanwhile or the message was answered already.
        """
        key, last = self._claimed(straight)
        if self.expected is not None and self.expected != last:
            raise ConflictError(
                f"conversation {self.conversation!r} went on meanwhile: its last event is number {last}, "
                f"expected {self.expected}"
            )
        end = last + len(self.events)
        if self.events:
            places = enumerate(self.events, last + 1)
            straight.run_each(
                _INSERT_EVENTS, [{**row, "conversation_id": key, "sequence": place} for place, row in places]
            )
            straight.run(_GO_ON, {"key": key, "last": end, "time": self.events[-1]["time"]})
        if self.answer is not None:
            row = {**self.answer, "conversation_id": key, "sequence": end, "first": last + 1}
            try:
                straight.run(_INSERT_ANSWER, row)
            except straight.refused as error:
                raise self._answered_already() from error
        return end

    def _claimed(self, straight: Straight) -> tuple[int, int]:
        """Key and last sequence of the conversation, its row locked until the transaction ends."""
        wanted = {"conversation": self.conversation}
        rows = straight.rows(_CLAIM, wanted)
        if not rows:
            straight.run(_BEGIN, wanted)
            rows = straight.rows(_CLAIM, wanted)
        ((key, last),) = rows
        return key, last

    def _answered_already(self) -> ConflictError:
        message = self.answer or {}
        return ConflictError(f"message {message['message_id']!r} from {message['channel']!r} was answered already")


def store_at_once(straight: Straight, turns: Sequence[Turn]) -> dict[str, int]:
    """Turns of several conversations by one statement of PostgreSQL.

    Returns:
        The number of each conversation's last event; nothing for those where `Turn.store` would refuse, or somebody
        else begins the conversation at this moment. Of a message answered already nothing is stored at all.
    """
    values = [
        {
            "conversation": turn.conversation,
            "expected": turn.expected,
            "count": len(turn.events),
            "updated": turn.events[-1]["time"] if turn.events else None,
            "events": turn.events,
            **(turn.answer or {}),
        }
        for turn in sorted(turns, key=lambda turn: turn.conversation)  # two that lock several do not wait in a circle
    ]
    try:
        return dict(straight.rows(_AT_ONCE, {"turns": to_json(values, "turns")}))
    except straight.refused:
        return {}


def _answer(answered: Answered) -> dict[str, Any]:
    message = answered.message
    return {
        "channel": check("channel", message.channel),
        "message_id": check("message id", message.id),
        "replies": to_json([plain_reply(reply) for reply in answered.replies], "replies"),
        "milliseconds": to_json(dict(answered.milliseconds), "milliseconds"),
    }
