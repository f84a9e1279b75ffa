"""What a server needs: a mailbox, addresses, feedback, and what the turns of messages took."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("messages", sa.Column("first", sa.Integer))
    op.add_column("messages", sa.Column("milliseconds", sa.Text))
    op.create_table(
        "mailbox",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("conversation", sa.Text, nullable=False),
        sa.Column("message_id", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("sent", sa.Integer, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due", sa.Double),
        sa.Column("holder", sa.Text),
        sa.Column("error", sa.Text),
        sa.UniqueConstraint("channel", "conversation", "message_id", name="uq_mailbox_message"),
    )
    op.create_index("ix_mailbox_due", "mailbox", ["due"])
    op.create_index("ix_mailbox_conversation", "mailbox", ["conversation", "id"])
    op.create_table(
        "addresses",
        sa.Column("channel", sa.Text, primary_key=True),
        sa.Column("conversation", sa.Text, primary_key=True),
        sa.Column("address", sa.Text, nullable=False),
    )
    op.create_table(
        "feedback",
        sa.Column(
            "conversation_id",
            sa.Integer,
            sa.ForeignKey("conversations.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("message_id", sa.Text, primary_key=True),
        sa.Column("rating", sa.Text, nullable=False),
        sa.Column("comment", sa.Text),
        sa.Column("time", sa.Double, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("feedback")
    op.drop_table("addresses")
    op.drop_table("mailbox")
    with op.batch_alter_table("messages") as table:
        table.drop_column("milliseconds")
        table.drop_column("first")
