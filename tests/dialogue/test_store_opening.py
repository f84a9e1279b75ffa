"""Databases that cannot be opened, are old, new or another program's."""

import os
import signal
import sqlite3

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from dialogue.events import Restarted, SlotSet
from dialogue.store import database, schema
from dialogue.store.base import StoreError
from dialogue.store.migrations import VERSIONS
from dialogue.store.sql import SqlTrackerStore
from tests.dialogue.stores import POSTGRES, finish, scratch_schema, start


def refused(url: str) -> str:
    with pytest.raises(StoreError) as caught:
        SqlTrackerStore(url)
    return str(caught.value)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        (
            "postgresql://ann:s3:c@ret@host:port/db",
            "'postgresql://ann:***@host:port/db' is no database URL; expected one",
        ),
        ("conversations.db", "'conversations.db' is no database URL; expected one like sqlite:///conversations.db"),
        ("mysql://me:secret@host/db", "store mysql://me:***@host/db: expected sqlite or postgresql, got 'mysql'"),
        ("postgresql+asyncpg://host/db", "expected sqlite or postgresql, got 'postgresql+asyncpg'"),
        ("sqlite:////no/such/folder/bot.db", "store sqlite:////no/such/folder/bot.db: the folder /no/such/folder does"),
    ],
)
def test_a_url_that_is_wrong(url, sentence):
    assert sentence in refused(url)


def test_a_file_that_is_no_database(tmp_path):
    (tmp_path / "bot.db").write_bytes(b"a letter to a friend\n" * 100)
    assert "bot.db: file is not a database" in refused(f"sqlite:///{tmp_path}/bot.db")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bot.db"]


def test_a_folder_instead_of_a_file(tmp_path):
    (tmp_path / "bot.db").mkdir()
    assert "unable to open database file" in refused(f"sqlite:///{tmp_path}/bot.db")


def test_without_psycopg_the_pip_line_is_told(monkeypatch):
    monkeypatch.setattr(database.importlib.util, "find_spec", lambda name: None)
    assert 'pip install "starfold[postgres]"' in refused(POSTGRES)


def test_a_server_that_is_not_there():
    told = refused("postgresql://me:secret@127.0.0.1:1/test")
    assert "127.0.0.1:1/test" in told
    assert "secret" not in told


@pytest.mark.server("postgres")
@pytest.mark.parametrize("name", ["postgresql", "postgres", "postgresql+psycopg"])
def test_every_spelling_of_a_postgres_url(name):
    with scratch_schema() as url:
        store = SqlTrackerStore(name + url.removeprefix("postgresql"))
        assert store.conversations() == []
        store.close()


@pytest.mark.server("postgres")
def test_a_database_that_is_not_on_the_server():
    url = sa.make_url(POSTGRES).set(database="no_such_database").render_as_string(hide_password=False)
    assert 'database "no_such_database" does not exist' in refused(url)


def change(url: str, *statements: str) -> None:
    engine = sa.create_engine(sa.make_url(url).set(drivername="sqlite" if "sqlite" in url else "postgresql+psycopg"))
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


def test_a_database_of_a_newer_version_is_left_alone(url):
    store = SqlTrackerStore(url)
    store.append("ann", 0, [SlotSet("x", 1)])
    store.close()
    change(url, "UPDATE starfold_version SET version_num = '9999'")
    assert "has schema 9999, this version of starfold knows up to" in refused(url)
    change(url, f"UPDATE starfold_version SET version_num = '{VERSIONS[-1]}'")
    again = SqlTrackerStore(url)
    assert len(again.events("ann")) == 1
    again.close()


def test_the_database_of_another_program_is_left_alone(url):
    change(url, "CREATE TABLE events (id INTEGER)", "INSERT INTO events VALUES (7)")
    assert "already has tables of another program: events" in refused(url)
    change(url, "DROP TABLE events")
    SqlTrackerStore(url).close()


def test_migrations_make_the_schema_that_the_code_means(url):
    store = SqlTrackerStore(url)
    with store._database.read() as connection:
        options = {"version_table": "starfold_version", "compare_type": True}
        difference = compare_metadata(MigrationContext.configure(connection, opts=options), schema.metadata)
        assert difference == []
    store.close()


def test_a_database_of_the_first_version_gets_its_index_and_keeps_its_events(url):
    store = SqlTrackerStore(url)
    store.append("ann", 0, [SlotSet("x", 1)])
    store.append("bob", 0, [Restarted()])
    store.close()
    later = [f"DROP TABLE {table}" for table in ("mailbox", "addresses", "feedback", "leases")]
    later += [f"ALTER TABLE messages DROP COLUMN {column}" for column in ("first", "milliseconds")]
    later += ["DROP INDEX ix_conversations_behind", "ALTER TABLE conversations DROP COLUMN published"]
    change(url, *later, "DROP INDEX ix_events_type", "UPDATE starfold_version SET version_num = '0001'")
    again = SqlTrackerStore(url)
    assert again.conversations(having="slot") == ["ann"]
    with again._database.read() as connection:
        (index,) = sa.inspect(connection).get_indexes("events")
    assert index["column_names"] == ["type", "conversation_id"]
    again.close()


OPEN = """
import sys
from dialogue.store.sql import SqlTrackerStore
print("ready", flush=True)
sys.stdin.readline()
store = SqlTrackerStore(sys.argv[1])
store.append("ann", None, [])
store.close()
"""


def test_many_processes_open_a_new_database_at_once(url):
    processes = [start(OPEN, url) for _ in range(4)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        finish(process)
    store = SqlTrackerStore(url)
    assert store.conversations() == ["ann"]
    store.close()


READ_ONLY = """
import os, sys
from dialogue.errors import StoreError
from dialogue.store.sql import SqlTrackerStore
os.setuid(65534)
try:
    store = SqlTrackerStore(sys.argv[1])
    print(store.conversations())
    store.append("ann", None, [])
except StoreError as error:
    print(error)
"""


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become somebody else")
def test_a_file_that_may_not_be_written(tmp_path):
    url = f"sqlite:///{tmp_path / 'bot.db'}"
    SqlTrackerStore(url).close()
    for folder in (tmp_path, *list(tmp_path.parents)[:3]):
        folder.chmod(0o755)
    (tmp_path / "bot.db").chmod(0o444)
    told = finish(start(READ_ONLY, url))
    assert "cannot lock schema with the file" in told
    assert "Permission denied" in told
    tmp_path.chmod(0o777)
    assert finish(start(READ_ONLY, url)) == f"[]\nstore {url}: attempt to write a readonly database\n"


def test_a_full_disk_loses_the_turn_and_nothing_else(tmp_path):
    store = SqlTrackerStore(f"sqlite:///{tmp_path / 'bot.db'}")
    sa.event.listen(store._database.engine, "checkout", lambda raw, *_: raw.execute("PRAGMA max_page_count = 30"))
    turn = [SlotSet("x", "y" * 1000) for _ in range(10)]
    assert store.append("ann", 0, turn) == 10
    with pytest.raises(StoreError, match="database or disk is full"):
        store.append("ann", 10, turn * 10)
    assert len(store.events("ann")) == 10
    store.close()


NO_ROOM = """
import resource, signal, sys
from dialogue.errors import StoreError
from dialogue.events import SlotSet
from dialogue.store.sql import SqlTrackerStore
store = SqlTrackerStore(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
stored = 0
try:
    while True:
        stored = store.append("ann", stored, [SlotSet("x", "y" * 1000) for _ in range(5)])
except StoreError as error:
    print(stored, error)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="no limits on file sizes here")
def test_a_file_that_cannot_grow_loses_the_turn_and_nothing_else(tmp_path):
    url = f"sqlite:///{tmp_path / 'bot.db'}"
    stored, _, told = finish(start(NO_ROOM, url)).partition(" ")
    assert told.startswith(f"store {url}: ")
    store = SqlTrackerStore(url)
    assert len(store.events("ann")) == int(stored) > 0
    store.close()
    with sqlite3.connect(tmp_path / "bot.db") as raw:
        assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    raw.close()
