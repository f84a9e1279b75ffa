"""Brings a database to the present schema. A change of `schema.py` comes with an Alembic file in `versions/`."""

from __future__ import annotations

import threading
from pathlib import Path

import sqlalchemy as sa

from dialogue.errors import StoreError
from dialogue.store.schema import metadata

VERSION_TABLE = "starfold_version"
VERSIONS = ("0001", "0002", "0003", "0004")
"""Every schema there was, oldest first."""

# Alembic keeps the migration it is running in module globals.
_ONE_AT_A_TIME = threading.Lock()


def upgrade(connection: sa.Connection) -> None:
    """Create or change the tables, inside the transaction of `connection`, which must exclude other processes.

    Raises:
        StoreError: if the database is of a newer version or belongs to another program.
    """
    version = current(connection)
    if version == VERSIONS[-1]:
        return
    if version is None:
        _refuse_foreign(connection)
    elif version not in VERSIONS:
        raise StoreError(
            f"the database has schema {version}, this version of starfold knows up to {VERSIONS[-1]}: "
            "a newer starfold wrote it, use that or another database"
        )
    _run(connection)


def current(connection: sa.Connection) -> str | None:
    """The schema a database has; None when it has none of ours. Alembic itself is slow to import."""
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    version = connection.scalar(sa.select(sa.column("version_num")).select_from(sa.table(VERSION_TABLE)))
    return None if version is None else str(version)


def _refuse_foreign(connection: sa.Connection) -> None:
    taken = sorted(set(metadata.tables) & set(sa.inspect(connection).get_table_names()))
    if taken:
        raise StoreError(
            f"the database already has tables of another program: {', '.join(taken)}; "
            "give starfold a database (or, in PostgreSQL, a schema) of its own"
        )


def _run(connection: sa.Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    with _ONE_AT_A_TIME:
        command.upgrade(config, "head")
