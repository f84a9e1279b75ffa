"""The exclusive right to run a turn, held by something that dies with its process."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Protocol

import sqlalchemy as sa

from dialogue.errors import StoreError
from dialogue.store.database import Database, sentence
from dialogue.store.driver import Prepared, Straight

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.005
_LOCK_NOT_AVAILABLE = "55P03"
# An advisory lock belongs to a database: the schema keeps two bots in one database apart.
# The settings are made before the lock is waited for, and end with the transaction. A slow action must not cost the
# lock where the server ends idle transactions.
_LOCK = Prepared(
    sa.text("""
    WITH settings AS MATERIALIZED (
        SELECT set_config('idle_in_transaction_session_timeout', '0', true) || set_config('lock_timeout', :wait, true)
    )
    SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '/' || :name, 0)) FROM settings
""")
)


class Locks(Protocol):
    """Named locks between threads and processes."""

    def hold(self, name: str) -> AbstractContextManager[None]:
        """Wait for the lock, hold it for the length of the block. Raises `StoreError` when the wait takes too long."""
        ...


class FileLocks:
    """A locked file for each lock in use: the operating system unlocks it when its process ends.

    Args:
        beside: the files are called like this one, with an ending of their own.
        timeout: seconds to wait.
    """

    def __init__(self, beside: Path, timeout: float) -> None:
        self.beside = beside
        self.timeout = timeout

    @contextlib.contextmanager
    def hold(self, name: str) -> Iterator[None]:
        """See `Locks`."""
        digest = hashlib.sha256(name.encode()).hexdigest()[:32]
        path = self.beside.with_name(f"{self.beside.name}-turn-{digest}")
        with self._wait(name, path):
            try:
                yield
            finally:
                _remove(path)

    def _wait(self, name: str, path: Path) -> BinaryIO:
        deadline = time.monotonic() + self.timeout
        try:
            while (file := _try_lock(path)) is None:
                if time.monotonic() > deadline:
                    raise _busy(name, self.timeout)
                time.sleep(_POLL_SECONDS)
        except OSError as error:
            raise StoreError(f"cannot lock {name} with the file {path}: {error.strerror or error}") from error
        return file


class PostgresLocks:
    """Advisory locks of a transaction: the server releases them when the connection ends, in whatever way.

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

    def _wait(self, pooled: sa.PoolProxiedConnection, name: str) -> None:
        wanted = {"name": name, "wait": str(max(1, round(self.timeout * 1000)))}
        try:
            Straight(self.database.engine.dialect, pooled.cursor()).run(_LOCK, wanted)
        except Exception as error:
            if getattr(error, "sqlstate", None) == _LOCK_NOT_AVAILABLE:
                raise _busy(name, self.timeout) from error
            raise

    def _release(self, pooled: sa.PoolProxiedConnection, name: str) -> None:
        try:
            pooled.rollback()
        except self.database.engine.dialect.loaded_dbapi.Error as error:
            # The server dropped the connection, and with it the lock. What was appended is numbered, so it is in order.
            logger.warning("the lock of %s was lost before its turn ended: %s", name, sentence(error))
            self.database.drop_lost(pooled, error)
        pooled.close()


def _busy(name: str, seconds: float) -> StoreError:
    return StoreError(f"{name} is busy: waited {seconds:g} s for another turn of it to end")


def _try_lock(path: Path) -> BinaryIO | None:
    """The locked file; None when somebody else has it."""
    file = path.open("ab")
    try:
        locked = _lock(file) and _is_at(file, path)
    except OSError:
        file.close()
        raise
    if locked:
        return file
    file.close()
    return None


def _is_at(file: BinaryIO, path: Path) -> bool:
    """Whether the file is still the one under its name: its last holder removed it before unlocking it."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


if sys.platform == "win32":
    import msvcrt

    def _lock(file: BinaryIO) -> bool:
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

    def _remove(path: Path) -> None:
        """An open file cannot be removed here: it stays, empty."""

else:
    import fcntl

    def _lock(file: BinaryIO) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _remove(path: Path) -> None:
        path.unlink(missing_ok=True)
