"""An index of events by type: who waits for a reminder is found without reading every conversation."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_events_type", "events", ["type", "conversation_id"])


def downgrade() -> None:
    op.drop_index("ix_events_type", "events")
