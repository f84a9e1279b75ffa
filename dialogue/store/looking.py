"""What turns begin with, for several messages: by one statement of PostgreSQL, on SQLite one after the other."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from dialogue.store import schema
from dialogue.store.base import Look
from dialogue.store.driver import Prepared, Straight
from dialogue.store.wire import check, to_json

Row = tuple[Any, ...]

_LOOK = Prepared(
    sa.select(schema.messages.c.replies, schema.events.c.sequence, schema.events.c.data)
    .select_from(schema.conversations)
    .outerjoin(
        schema.messages,
        (schema.messages.c.conversation_id == schema.conversations.c.id)
        & (schema.messages.c.channel == sa.bindparam("channel"))
        & (schema.messages.c.message_id == sa.bindparam("message_id")),
    )
    .outerjoin(
        schema.events,
        (schema.events.c.conversation_id == schema.conversations.c.id)
        & (schema.events.c.sequence > sa.bindparam("after"))
        & schema.messages.c.replies.is_(None),
    )
    .where(schema.conversations.c.name == sa.bindparam("conversation"))
    .order_by(schema.events.c.sequence)
)
# `OFFSET 0` has each part looked up by its key. Left to itself PostgreSQL expects a hundred conversations, and reads
# whole tables, or all events of a conversation for the last.
_LOOK_AT_ONCE = Prepared(
    sa.text("""
    SELECT asked.place, answer.replies, event.sequence, event.data
    FROM ROWS FROM (
        json_to_recordset(:asked) AS (conversation text, channel text, message_id text, after int)
    ) WITH ORDINALITY AS asked (conversation, channel, message_id, after, place)
    CROSS JOIN LATERAL (SELECT id FROM conversations WHERE name = asked.conversation OFFSET 0) AS mine
    LEFT JOIN LATERAL (
        SELECT replies FROM messages
        WHERE conversation_id = mine.id AND channel = asked.channel AND message_id = asked.message_id OFFSET 0
    ) AS answer ON true
    LEFT JOIN LATERAL (
        SELECT sequence, data FROM events
        WHERE conversation_id = mine.id AND sequence > asked.after AND answer.replies IS NULL OFFSET 0
    ) AS event ON true
    ORDER BY asked.place, event.sequence
    """).bindparams(sa.bindparam("asked", type_=postgresql.JSON))
)


def asked(look: Look) -> dict[str, Any]:
    """The values of a look, checked. Raises `StoreError` for what no database can keep."""
    return {
        "conversation": check("conversation", look.message.sender),
        "channel": check("channel", look.message.channel),
        "message_id": check("message id", look.message.id),
        "after": look.after,
    }


def one_by_one(straight: Straight, several: Sequence[dict[str, Any]]) -> list[list[Row]]:
    """For each look its rows: the replies stored for the message, or number and data of each event.

    No row for a conversation that nobody knows; one without event where there are none.
    """
    return [straight.rows(_LOOK, values) for values in several]


def at_once(straight: Straight, several: Sequence[dict[str, Any]]) -> list[list[Row]]:
    """The same by one statement of PostgreSQL: each trip to it costs both sides a switch."""
    found: list[list[Row]] = [[] for _ in several]
    for place, *row in straight.rows(_LOOK_AT_ONCE, {"asked": to_json(several, "looks")}):
        found[place - 1].append(tuple(row))
    return found


def replies_in(rows: Sequence[Row]) -> list[Any] | None:
    """The replies that the rows of a look hold, as they were written; None for a message that is new."""
    if not rows or rows[0][0] is None:
        return None
    replies: list[Any] = json.loads(rows[0][0])
    return replies
