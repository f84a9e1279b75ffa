"""The app of `tests.server.web` behind a real socket, for clients that speak no ASGI."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from dialogue.sections import Serving
from dialogue.server.app import create_app
from dialogue.server.auth import Authority
from dialogue.store.sql import SqlTrackerStore
from tests.dialogue.desk import make_bot
from tests.dialogue.servers import free_port
from tests.server.web import TOKEN, VISITOR_SECRET, make_service

PATIENCE = 30


@contextmanager
def listening(*, custom: Any = None, serving: dict[str, Any] | None = None, **options: Any) -> Iterator[str]:
    """The address of a server in a thread of its own. `options` are those of `create_app`."""
    store = SqlTrackerStore("sqlite://")
    made = make_service(store, make_bot(store=store, **({"custom": custom} if custom else {})))
    authority = Authority([TOKEN], visitor_secret=VISITOR_SECRET)
    app = create_app(made, Serving(**(serving or {})), authority, **options)
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None, timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run)
    thread.start()
    until = time.monotonic() + PATIENCE
    while not server.started:
        assert thread.is_alive()
        assert time.monotonic() < until
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
