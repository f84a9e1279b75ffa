"""How far a conversation's events are published, and who may do so just now."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("conversations", sa.Column("published", sa.Integer, nullable=False, server_default="0"))
    behind = sa.text("published < sequence")
    op.create_index(
        "ix_conversations_behind", "conversations", ["updated"], sqlite_where=behind, postgresql_where=behind
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("until", sa.Double, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("leases")
    op.drop_index("ix_conversations_behind", "conversations")
    with op.batch_alter_table("conversations") as table:
        table.drop_column("published")
