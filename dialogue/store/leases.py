"""What one process does at a time of all those on a database: whoever holds the lease, until it lets it run out."""

from __future__ import annotations

import time
import uuid

import sqlalchemy as sa

from dialogue.store.database import Database

SECONDS = 10.0
FAR = 3600.0  # no lease is so long; one that seems to be was written by a clock that went wrong
_TAKE = sa.text(
    "INSERT INTO leases (name, holder, until) VALUES (:name, :holder, :until) "
    "ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until "
    "WHERE leases.holder = excluded.holder OR leases.until < :now OR leases.until > :far"
)
_FREE = sa.text("DELETE FROM leases WHERE name = :name AND holder = :holder")


class Lease:
    """A right with a name. May be used from any thread. Whatever goes wrong is a `StoreError`.

    Args:
        database: with the tables of `schema`.
        name: of what is done.
        seconds: until another may take it from a holder that is gone.
    """

    def __init__(self, database: Database, name: str, *, seconds: float = SECONDS) -> None:
        self.seconds = seconds
        self._database = database
        self._name = name
        self._holder = uuid.uuid4().hex

    def take(self) -> bool:
        """Take it, or hold it for longer. False while another has it."""
        with self._database.write() as connection:
            return self.take_in(connection)

    def take_in(self, connection: sa.Connection) -> bool:
        """`take` as a part of a transaction."""
        now = time.time()
        row = {"name": self._name, "holder": self._holder, "until": now + self.seconds, "now": now, "far": now + FAR}
        return connection.execute(_TAKE, row).rowcount > 0

    def release(self) -> None:
        """Let another take it at once."""
        with self._database.write() as connection:
            connection.execute(_FREE, {"name": self._name, "holder": self._holder})
