"""A browser, a bot's server and a site that embeds its widget. Skipped outside CI where there is no browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from dialogue.project import train
from tests.browser.project import SECRETS, write_project
from tests.browser.server import BotServer
from tests.browser.site import Site
from tests.browser.visit import Visit

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--no-first-run", "--disable-quic"),
)


def chromium() -> str | None:
    return os.environ.get("STARFOLD_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


@pytest.fixture(scope="package")
def browser() -> Iterator[object]:
    """Chromium, one for all tests here; ends with them, because its event loop stays set in the thread."""
    path = chromium()
    if path is None and not os.environ.get("CI"):
        pytest.skip("no Chromium; install one, or set STARFOLD_CHROMIUM to the path of one")
    if not os.environ.get("CI"):
        pytest.importorskip("playwright")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=[*FLAGS])
        yield started
        started.close()


@pytest.fixture(scope="package")
def site() -> Iterator[Site]:
    with Site() as running:
        yield running


@pytest.fixture(scope="package")
def bot(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BotServer]:
    """The real server of a bot that was trained."""
    project = write_project(tmp_path_factory.mktemp("web") / "bot", site.url)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SECRETS.items():
            patch.setenv(name, value)
        train(project, progress=lambda stage, done, total: None)
    server = BotServer(project, site.url)
    server.start()
    site.bot = server.url
    yield server
    server.kill()


@pytest.fixture
def visit(browser, site: Site, bot: BotServer) -> Iterator[Visit]:
    """A visitor of the site. Afterwards: no script of the bot's or a user's ran, nothing broke a policy."""
    site.options = {"title": "Nova"}
    visitor = Visit(browser, site, bot)
    yield visitor
    visitor.leave()
    assert visitor.complaints == []
    assert visitor.dialogs == []


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core; `.ci/run` brings it."""
    path = os.environ.get("STARFOLD_AXE")
    if path is None and not os.environ.get("CI"):
        pytest.skip("set STARFOLD_AXE to axe.min.js of the npm package axe-core")
    assert path is not None, "STARFOLD_AXE is not set"
    return Path(path).read_text(encoding="utf-8")
