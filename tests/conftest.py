"""What holds for all tests: which are skipped, and which worker runs what.

What needs a server is skipped where there is none, but never in continuous integration.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

from tests.dialogue.stores import POSTGRES, scratch_schema
from tests.server.event_brokers import URLS, answers


class Files(LoadFileScheduling):
    """A file at a time for each worker; those of the browser are one, for they share it and a trained bot."""

    def _split_scope(self, nodeid: str) -> str:
        folder, _, file = super()._split_scope(nodeid).rpartition("/")
        return folder if folder == "tests/browser" else f"{folder}/{file}"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Files:
    return Files(config, log)


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


@pytest.fixture(params=["file", pytest.param("postgres", marks=pytest.mark.server("postgres"))])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty store that several processes may open."""
    if request.param == "file":
        yield f"sqlite:///{tmp_path / 'bot.db'}"
    else:
        with scratch_schema() as made:
            yield made
