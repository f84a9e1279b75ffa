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
    sa.Column("published", sa.Integer, nullable=False, server_default="0"),
)
"""`name` is the conversation's id outside, `sequence` the number of its last event, `updated` seconds since 1970.

`published` is the number of the last event that a message broker has taken; see `dialogue.store.outbox`.
"""
_behind = conversations.c.published < conversations.c.sequence
sa.Index("ix_conversations_behind", conversations.c.updated, sqlite_where=_behind, postgresql_where=_behind)

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
    sa.Column("first", sa.Integer),
    sa.Column("milliseconds", sa.Text),
)
"""Messages that were answered. Some channels number per conversation.

`first` and `sequence` are the numbers of the first and the last event of their turn, `milliseconds` what its stages
took, as JSON. `first` and `milliseconds` are NULL where an older version answered.
"""

mailbox = sa.Table(
    "mailbox",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("conversation", sa.Text, nullable=False),
    sa.Column("message_id", sa.Text, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("sent", sa.Integer, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("due", sa.Double, index=True),
    sa.Column("holder", sa.Text),
    sa.Column("error", sa.Text),
    sa.UniqueConstraint("channel", "conversation", "message_id", name="uq_mailbox_message"),
    sa.Index("ix_mailbox_conversation", "conversation", "id"),
)
"""Messages on their way: acknowledged to a platform, and not yet answered there. See `dialogue.store.mailbox`."""

addresses = sa.Table(
    "addresses",
    metadata,
    sa.Column("channel", sa.Text, primary_key=True),
    sa.Column("conversation", sa.Text, primary_key=True),
    sa.Column("address", sa.Text, nullable=False),
)
"""Where the user of a conversation was last heard from on a channel, for what the bot says of its own accord."""

feedback = sa.Table(
    "feedback",
    metadata,
    sa.Column("conversation_id", sa.ForeignKey(conversations.c.id, ondelete="CASCADE"), primary_key=True),
    sa.Column("message_id", sa.Text, primary_key=True),
    sa.Column("rating", sa.Text, nullable=False),
    sa.Column("comment", sa.Text),
    sa.Column("time", sa.Double, nullable=False),
)
"""What users thought of the answer to a message; the last word counts."""

leases = sa.Table(
    "leases",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("holder", sa.Text, nullable=False),
    sa.Column("until", sa.Double, nullable=False),
)
"""What only one process does at a time, which one, and until when, in seconds since 1970."""
