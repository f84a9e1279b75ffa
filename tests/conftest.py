"""Meaning of the markers: what needs a server is skipped where there is none, but never in continuous integration."""

from __future__ import annotations

import os

import pytest

from tests.dialogue.stores import POSTGRES
from tests.server.event_brokers import URLS, answers


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("server"):
        if marker.args == ("postgres",) and not os.environ.get("CI") and not postgres_answers():
            pytest.skip("no PostgreSQL answers; set STARFOLD_TEST_POSTGRES to the URL of one")
        (name,) = marker.args
        if name in URLS and not os.environ.get("CI") and not answers(name):
            pytest.skip(f"no {name} answers; set STARFOLD_TEST_{name.upper()} to the URL of one")


def postgres_answers() -> bool:
    import psycopg

    try:
        psycopg.connect(POSTGRES, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True
