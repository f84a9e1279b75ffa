"""A bot on the web for tests: the desk of `tests.dialogue.desk` behind the real app, called without a socket."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from dialogue.bot import Bot
from dialogue.sections import Serving
from dialogue.server.app import create_app
from dialogue.server.auth import Authority
from dialogue.server.live import Live, Loaded
from dialogue.server.rasa_mount import NOTHING, RasaOptions
from dialogue.server.service import BotService
from dialogue.store.sql import SqlTrackerStore
from tests.dialogue.desk import make_bot

TOKEN = "developer-token"
VISITOR_SECRET = "a secret of thirty-two characters or more"
DEVELOPER = {"Authorization": f"Bearer {TOKEN}"}


def make_service(store: SqlTrackerStore, bot: Bot | None = None, **options: Any) -> BotService:
    bot = bot or make_bot(store=store)
    versions = {"one": bot, "two": make_bot(store=store, name="second")}

    def load(version: str | None) -> Loaded:
        from dialogue.errors import ModelError

        if (version or "two") not in versions:
            raise ModelError(f"there is no version {version!r}")
        return Loaded(versions[version or "two"], version or "two", {"examples": 7})

    return BotService(Live(load, Loaded(bot, "one", {"examples": 7})), store, **options)


@contextmanager
def web(
    url: str = "sqlite://",
    *,
    channels: Sequence[Any] = (),
    bot: Bot | None = None,
    project: Path | None = None,
    authority: dict[str, Any] | None = None,
    service: dict[str, Any] | None = None,
    rasa: RasaOptions = NOTHING,
    **serving: Any,
) -> Iterator[TestClient]:
    """A client of the app while its lifespan lasts. Errors are answered, not raised."""
    store = SqlTrackerStore(url)
    made = make_service(store, bot(store) if callable(bot) else bot, **(service or {}))
    app = create_app(
        made,
        Serving(**serving),
        Authority([TOKEN], **{"visitor_secret": VISITOR_SECRET, **(authority or {})}),
        channels=channels,
        project=project,
        rasa=rasa,
    )
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def say(client: TestClient, text: str, conversation: str = "ann", **more: Any) -> Any:
    """The answer to a message of a developer."""
    answer = client.post(f"/api/conversations/{conversation}/messages", json={"text": text, **more}, headers=DEVELOPER)
    assert answer.status_code == 200, answer.text
    return answer.json()


def visitor(client: TestClient) -> tuple[str, dict[str, str]]:
    """A new visitor's conversation, and the headers that open it."""
    session = client.post("/api/session").json()
    return session["conversation"], {"Authorization": f"Bearer {session['token']}"}
