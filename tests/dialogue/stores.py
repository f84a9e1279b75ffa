"""Databases for the store's tests."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from dialogue.store.sql import SqlTrackerStore

ROOT = Path(__file__).parents[2]
POSTGRES = os.environ.get("STARFOLD_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/test")


@contextlib.contextmanager
def scratch_schema() -> Iterator[str]:
    """URL of an empty PostgreSQL schema that goes with the block."""
    schema = f"starfold_{uuid.uuid4().hex[:12]}"
    url = sa.make_url(POSTGRES)
    admin = sa.create_engine(url.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
    try:
        mine = url.update_query_dict({"options": f"-csearch_path={schema}", "application_name": schema})
        yield mine.render_as_string(hide_password=False)
    finally:
        with admin.connect() as connection:
            connection.exec_driver_sql(f"DROP SCHEMA {schema} CASCADE")
        admin.dispose()


def traced(store: SqlTrackerStore, statement: str) -> list[str]:
    """Collects such statements of an SQLite store's connections as they run."""
    found: list[str] = []

    def listen(raw: Any, *_: Any) -> None:
        raw.set_trace_callback(lambda sql: found.append(sql) if sql == statement else None)

    sa.event.listen(store.database.engine, "checkout", listen)
    return found


def start(code: str, *arguments: str) -> subprocess.Popen[str]:
    """Run Python code in a process of its own, `sys.argv[1:]` being the arguments."""
    environment: dict[str, Any] = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    """What the process printed. It must have ended well."""
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return out
