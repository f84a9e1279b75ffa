"""Alembic runs this. The connection, already in its transaction, comes from `dialogue.store.migrations.upgrade`."""

from alembic import context

from dialogue.store.migrations import VERSION_TABLE
from dialogue.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,
)
context.run_migrations()
