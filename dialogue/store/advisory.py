"""The exclusive right to run a turn, as PostgreSQL's advisory locks."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from dialogue.store.database import Database, sentence
from dialogue.store.driver import Prepared, Straight
from dialogue.store.locks import Held, busy

logger = logging.getLogger(__name__)

_LOCK_NOT_AVAILABLE = "55P03"
# An advisory lock belongs to a database: the schema keeps two bots in one database apart.
# The settings are made before the lock is waited for, and end with the transaction. A slow action must not cost the
# lock where the server ends idle transactions.
_WAIT = Prepared(
    sa.text("""
    WITH settings AS MATERIALIZED (
        SELECT set_config('idle_in_transaction_session_timeout', '0', true) || set_config('lock_timeout', :wait, true)
    )
    SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '/' || :name, 0)) FROM settings
    """)
)
_TRY = Prepared(
    sa.text("""
    SELECT name FROM unnest(CAST(:names AS text[])) AS name
    WHERE pg_try_advisory_lock(hashtextextended(current_schema() || '/' || name, 0))
    """)
)
_UNLOCK = Prepared(
    sa.text("""
    SELECT pg_advisory_unlock(hashtextextended(current_schema() || '/' || name, 0))
    FROM unnest(CAST(:names AS text[])) AS name
    """)
)


class PostgresLocks:
    """Advisory locks: the server releases them when the connection ends, in whatever way.

    One that is waited for belongs to a transaction. Those that are taken together belong to the connection, so that
    each can be let go of by itself; a pooler that changes connections between transactions would lose them.

    Args:
        database: with connections enough for every turn that runs at once.
        timeout: seconds to wait.
    """

    def __init__(self, database: Database, timeout: float) -> None:
        self.database = database
        self.timeout = timeout

    @contextlib.contextmanager
    def hold(self, name: str) -> Iterator[None]:
        """See `Locks`."""
        with self.database.errors():
            pooled = self.database.engine.raw_connection()
        try:
            with self.database.errors():
                self._wait(pooled, name)
            yield
        finally:
            self._release(pooled, name)

    @contextlib.contextmanager
    def hold_free(self, names: Sequence[str]) -> Iterator[Held]:
        """See `Locks`."""
        session = _Session(self.database)
        held = Held(session.take(names), session.let_go)
        try:
            yield held
        finally:
            held.end()

    def _wait(self, pooled: sa.PoolProxiedConnection, name: str) -> None:
        wanted = {"name": name, "wait": str(max(1, round(self.timeout * 1000)))}
        try:
            Straight(self.database.engine.dialect, pooled.cursor()).run(_WAIT, wanted)
        except Exception as error:
            if getattr(error, "sqlstate", None) == _LOCK_NOT_AVAILABLE:
                raise busy(name, self.timeout) from error
            raise

    def _release(self, pooled: sa.PoolProxiedConnection, name: str) -> None:
        try:
            pooled.rollback()
        except self.database.engine.dialect.loaded_dbapi.Error as error:
            _lost(name, error)
            self.database.drop_lost(pooled, error)
        pooled.close()


class _Session:
    """A connection that holds locks; it goes back to the pool with the last of them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        with database.errors():
            self._pooled = database.engine.raw_connection()
        driver: Any = self._pooled.driver_connection
        driver.autocommit = True
        self._driver = driver
        self._straight = Straight(database.engine.dialect, driver.cursor())
        self._held: set[str] = set()
        self._using = threading.Lock()

    def take(self, names: Sequence[str]) -> Sequence[str]:
        """Those of the locks that nobody holds. Raises `StoreError`, and holds none, if they cannot be asked for."""
        try:
            with self._database.errors():
                taken = [name for (name,) in self._straight.rows(_TRY, {"names": list(names)})]
        except Exception as error:
            self._give_up(error)
            raise
        self._held.update(taken)
        if not taken:
            self._give_back()
        return taken

    def let_go(self, names: Sequence[str]) -> None:
        """Release some. Where the connection is lost they are released already."""
        with self._using:
            self._held.difference_update(names)
            if not self._pooled.is_valid:
                return
            try:
                self._straight.rows(_UNLOCK, {"names": list(names)})
            except self._database.engine.dialect.loaded_dbapi.Error as error:
                _lost(", ".join(names), error)
                self._give_up(error)
                return
            if not self._held:
                self._give_back()

    def _give_back(self) -> None:
        self._driver.autocommit = False
        self._pooled.close()

    def _give_up(self, error: Exception) -> None:
        """End the connection, and with it the locks."""
        self._database.drop_lost(self._pooled, error.__cause__ if isinstance(error.__cause__, Exception) else error)
        if self._pooled.is_valid:
            self._pooled.invalidate(error)


def _lost(name: str, error: Exception) -> None:
    # The server dropped the connection, and with it the lock. What was appended is numbered, so it is in order.
    logger.warning("the lock of %s was lost before its turn ended: %s", name, sentence(error))
