"""Opening a database, and what goes wrong with one, in sentences."""

from __future__ import annotations

import contextlib
import importlib.util
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.pool import StaticPool

from dialogue.errors import MissingExtraError, StoreError
from dialogue.store.driver import Prepared, Straight, Values
from dialogue.store.together import Together

Value = TypeVar("Value")

_DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
_BUSY_MS = 30_000
# Without them a turn waits for ever for a server whose machine is gone, or a quarter of an hour; with them 20 seconds.
_LIBPQ = {
    "connect_timeout": 10,  # seconds
    "tcp_user_timeout": 20_000,  # milliseconds
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
_WRITES = "starfold_writes"
_USED = "starfold_used"
_BEGIN_WRITING = "BEGIN IMMEDIATE"
_PING_SECONDS = 1.0  # a connection that has rested for longer is asked whether it is still there


class Database:
    """Connections to one database. Whatever goes wrong is a `StoreError` that names it, without its password.

    SQLite runs in WAL mode, so that readers do not wait for a writer, with `synchronous=FULL`. NORMAL would do for a
    process that is killed, since the kernel has the data by then, but may lose the last turns when the power fails; a
    turn is one transaction, and one fsync a turn is little beside the rest of it. Threads that write wait for each
    other here: SQLite's own way to wait is to sleep and try again, each time longer.

    Args:
        url: `sqlite:///file`, `sqlite://` (in memory) or `postgresql://user:password@host/database`.
        connections: how many may be open at once, where there is a limit to them.
    """

    def __init__(self, url: str, *, connections: int) -> None:
        self.url = _checked(url)
        self.name = self.url.render_as_string(hide_password=True)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.file = _file(self.url) if self.is_sqlite else None
        # The one connection of a database in memory is shared by all threads.
        self._alone = threading.Lock() if self.is_sqlite and self.file is None else contextlib.nullcontext()
        self._writing = threading.Lock() if self.file is not None else contextlib.nullcontext()
        with self.errors():
            self.engine = _engine(self.url, self.file, connections)
        self._together = Together(self._transaction) if self.file is not None else None
        self._writer = self.engine.execution_options(**{_WRITES: True})
        # PostgreSQL shows a statement what is committed by then, in a transaction or not; without is two trips less.
        self._reader = self.engine if self.is_sqlite else self.engine.execution_options(isolation_level="AUTOCOMMIT")

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A connection that changes nothing. On SQLite all it reads is of one moment."""
        with self._alone, self.errors(), self._reader.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction, committed when the block ends well. On SQLite no other one writes meanwhile."""
        with self._alone, self._writing, self.errors(), self._writer.begin() as connection:
            yield connection

    def rows(self, statement: Prepared, values: Values) -> list[tuple[Any, ...]]:
        """What one statement finds, which changes nothing."""
        return self.by_itself(lambda straight: straight.rows(statement, values))

    def by_itself(self, work: Callable[[Straight], Value]) -> Value:
        """What `work` returns, which is one statement. On PostgreSQL it may write and is committed by itself."""
        with self._alone, self.errors(), self._straight(writes=False) as straight:
            return work(straight)

    def store(self, work: Callable[[Straight], Value]) -> Value:
        """What `work` returns, once what it wrote is committed. It may be run twice, but only one of both counts.

        On an SQLite file what threads store at the same time is one transaction; what fails fails alone.
        """
        if self._together is not None:
            return self._together.run(work)
        with self._transaction() as straight:
            return work(straight)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[Straight]:
        """As `write`, for prepared statements."""
        with self._alone, self._writing, self.errors(), self._straight(writes=True) as straight:
            yield straight

    @contextlib.contextmanager
    def _straight(self, *, writes: bool) -> Iterator[Straight]:
        """A connection of the driver: a transaction if it writes, else every statement by itself."""
        dialect, pooled = self.engine.dialect, self.engine.raw_connection()
        driver: Any = pooled.driver_connection
        try:
            if not self.is_sqlite:
                driver.autocommit = not writes
            elif writes:
                driver.execute(_BEGIN_WRITING)
            yield Straight(dialect, driver.cursor())
            if writes:
                driver.commit()
        except dialect.loaded_dbapi.Error as error:
            self.drop_lost(pooled, error)
            raise
        finally:
            if not self.is_sqlite and not writes and pooled.is_valid:
                driver.autocommit = False
            pooled.close()  # what was not committed is rolled back

    def drop_lost(self, pooled: sa.PoolProxiedConnection, error: Exception) -> None:
        """Give up a connection that the server has closed, and all that rest: they are likely closed, too."""
        if self.engine.dialect.is_disconnect(error, pooled.driver_connection, None):  # type: ignore[arg-type]
            pooled.invalidate(error)
            self.engine.dispose()

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Turns the errors of SQLAlchemy and of the driver into a `StoreError`."""
        try:
            yield
        except DBAPIError as error:
            raise StoreError(f"store {self.name}: {sentence(error.orig)}") from error
        except (SQLAlchemyError, sqlite3.Error) as error:
            raise StoreError(f"store {self.name}: {sentence(error)}") from error
        except Exception as error:
            if self.is_sqlite or not isinstance(error, self.engine.dialect.loaded_dbapi.Error):
                raise
            raise StoreError(f"store {self.name}: {sentence(error)}") from error

    def use_wal(self) -> None:
        """Switch an SQLite file to WAL mode, which it then keeps. Nobody else may be opening it."""
        with self._alone, self.errors(), self.engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            driver.execute("PRAGMA journal_mode = WAL")

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def _checked(text: str) -> URL:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:  # a port that is no number is a ValueError
        shown = re.sub(r"(//[^:/@]*):.*@", r"\1:***@", text)
        raise StoreError(
            f"{shown!r} is no database URL; expected one like sqlite:///conversations.db "
            "or postgresql://user:password@host/database"
        ) from error
    kind = url.drivername.partition("+")[0]
    driver = _DRIVERS.get(kind)
    if driver is None or url.drivername not in (kind, driver):
        raise StoreError(f"store {url.render_as_string()}: expected sqlite or postgresql, got {url.drivername!r}")
    if kind != "sqlite" and importlib.util.find_spec("psycopg") is None:
        raise StoreError(str(MissingExtraError("a PostgreSQL store", "postgres")))
    return url.set(drivername=driver)


def _file(url: URL) -> Path | None:
    """The file of an SQLite database; None for one in memory."""
    if url.database is None or _is_nowhere(url):
        return None
    path = Path(url.database).absolute()
    if not path.parent.is_dir():
        raise StoreError(f"store {url.render_as_string()}: the folder {path.parent} does not exist")
    return path


def _is_nowhere(url: URL) -> bool:
    return url.database in (None, "", ":memory:")


def _engine(url: URL, file: Path | None, connections: int) -> sa.Engine:
    if url.get_backend_name() != "sqlite":
        arguments = {name: value for name, value in _LIBPQ.items() if name not in url.query}
        # Those beyond the pool's size would be opened anew for every turn; the last used first, so that the rest rest.
        engine = sa.create_engine(
            url, connect_args=arguments, pool_size=connections, max_overflow=0, pool_use_lifo=True
        )
        _ping_rested(engine)
        return engine
    if file is None:
        engine = sa.create_engine(url, poolclass=StaticPool, connect_args={"check_same_thread": False})
    else:
        engine = sa.create_engine(url.set(database=str(file)))
    sa.event.listen(engine, "connect", _on_connect)
    sa.event.listen(engine, "begin", _on_begin)
    return engine


def _on_connect(connection: Any, _: Any) -> None:
    # Transactions are begun below, not by the driver's guess.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")


def _on_begin(connection: sa.Connection) -> None:
    # A transaction that reads before it writes must be the writer from its start, or it may fail half-way.
    writes = connection.get_execution_options().get(_WRITES)
    driver: Any = connection.connection.driver_connection
    driver.execute(_BEGIN_WRITING if writes else "BEGIN")


def _ping_rested(engine: sa.Engine) -> None:
    """As `pool_pre_ping`, but turns that follow upon each other do not pay a trip to the server for each connection."""

    def checkout(connection: Any, record: Any, _: Any) -> None:
        if time.monotonic() - record.info.get(_USED, 0.0) < _PING_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except Exception as error:  # of whichever driver it is
            raise sa.exc.InvalidatePoolError from error

    def checkin(_: Any, record: Any) -> None:
        record.info[_USED] = time.monotonic()

    sa.event.listen(engine, "checkout", checkout)
    sa.event.listen(engine, "checkin", checkin)


def sentence(error: BaseException | None) -> str:
    """The first line of an error of the driver."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def in_memory(url: str) -> bool:
    """Whether a database is one process's own, and gone with it."""
    made = sa.make_url(url)
    return made.get_backend_name() == "sqlite" and _is_nowhere(made)
