"""The tables. What an existing database needs to become so is in `migrations`."""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()

conversations = sa.Table(
    "conversations",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("sequence", sa.Integer, nullable=False),
    sa.Column("updated", sa.Double, nullable=False, index=True),
)
"""`name` is the conversation's id outside, `sequence` the number of its last event, `updated` seconds since 1970."""

events = sa.Table(
    "events",
    metadata,
    sa.Column("conversation_id", sa.ForeignKey(conversations.c.id, ondelete="CASCADE"), primary_key=True),
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("time", sa.Double, nullable=False),
    sa.Column("data", sa.Text, nullable=False),
    sa.Index("ix_events_type", "type", "conversation_id"),
)
"""`data` is the event's wire form as ASCII JSON: PostgreSQL's own JSON types refuse texts with a NUL."""

messages = sa.Table(
    "messages",
    metadata,
    sa.Column("conversation_id", sa.ForeignKey(conversations.c.id, ondelete="CASCADE"), primary_key=True),
    sa.Column("channel", sa.Text, primary_key=True),
    sa.Column("message_id", sa.Text, primary_key=True),
    sa.Column("sequence", sa.Integer, nullable=False),
    sa.Column("replies", sa.Text, nullable=False),
)
"""Messages that were answered, `sequence` being the last event of their turn. Some channels number per conversation."""
