"""A real server process around the desk bot: `python -m tests.server.desk_server URL PORT PLATFORM SERVING`.

SERVING is JSON of further options of the section `server`.

Its channel `post` takes deliveries `[{sender, id, text}]` and brings replies to PLATFORM by POST. The custom action
says which message it answers; `wait` in a text makes it take a second, `wait long` three, and `remind` has the bot say
goodbye in an hour.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any

import uvicorn

from dialogue.actions.base import ActionResult
from dialogue.channels.base import Heard, Incoming, SendError
from dialogue.channels.rasa import SocketIO
from dialogue.events import ReminderScheduled
from dialogue.message import Message, Reply
from dialogue.sections import Rates, Serving
from dialogue.server.app import create_app
from dialogue.server.auth import Authority
from dialogue.server.logs import log_json
from dialogue.server.rasa_mount import RasaOptions
from dialogue.store.sql import SqlTrackerStore
from tests.dialogue.desk import Custom, make_bot
from tests.dialogue.servers import free_port
from tests.dialogue.stores import ROOT
from tests.server.web import TOKEN, VISITOR_SECRET, make_service

PATIENCE = 60
LEASE = 2.0


class Echo(Custom):
    """Says which message it answers."""

    def run(self, request):
        said = request.tracker.latest_message.text
        if "wait" in said:
            time.sleep(3 if "long" in said else 1)
        in_an_hour = datetime.now(timezone.utc) + timedelta(hours=1)
        reminders = (ReminderScheduled(intent="bye", date_time=in_an_hour),) if "remind" in said else ()
        return ActionResult(reminders, (Reply(f"answer to {said}"),))


class Post:
    """A platform by plain JSON."""

    name = "post"

    def __init__(self, platform: str) -> None:
        self.platform = platform

    def receive(self, delivery):
        heard = [
            Heard(Message(one["text"], one["sender"], self.name, id=one["id"]), {"to": one["sender"]})
            for one in json.loads(delivery.body)
        ]
        return Incoming(tuple(heard))

    async def send(self, reply, address, client):
        answer = await client.post(self.platform, json={**address, "text": reply.text})
        if answer.status_code != 200:
            raise SendError("not taken", retry_after=1.0)


def main(url: str, port: str, platform: str, serving: str) -> None:
    log_json(mask=False)
    store = SqlTrackerStore(url)
    service = make_service(store, make_bot(store=store, custom=Echo()))
    service.mailbox.lease = LEASE
    app = create_app(
        service,
        Serving(rates=Rates(sender=None, address=None, key=None), **json.loads(serving)),
        Authority([TOKEN], visitor_secret=VISITOR_SECRET),
        channels=[Post(platform)],
        rasa=RasaOptions(socketio=SocketIO(session_persistence=True)),
    )
    uvicorn.run(app, port=int(port), log_config=None, access_log=False, timeout_graceful_shutdown=20)


class Desk:
    """The process, started anew under the same port as often as need be."""

    def __init__(self, url: str, platform: str, serving: dict[str, Any]) -> None:
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self._arguments = (url, str(self.port), platform, json.dumps(serving))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.server.desk_server", *self._arguments]
        here: dict[str, Any] = {**os.environ, "PYTHONPATH": str(ROOT)}
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `end`; a pipe would fill up)
        self.process = subprocess.Popen(command, env=here, stderr=self._log)

    def ready(self) -> None:
        until = time.monotonic() + PATIENCE
        while True:
            assert self.process is not None
            assert self.process.poll() is None, self.end()
            try:
                with urllib.request.urlopen(f"{self.base}/health/live", timeout=1):
                    return
            except OSError:
                assert time.monotonic() < until
                time.sleep(0.05)

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def end(self) -> tuple[int, str]:
        """Wait for its end: exit code and log."""
        assert self.process is not None
        self.process.wait(timeout=PATIENCE)
        with self._log as log:
            log.seek(0)
            return self.process.returncode, log.read().decode()


@contextmanager
def desk(url: str, platform: str = "http://127.0.0.1:9/", **serving: Any) -> Iterator[Desk]:
    """A server that is up; killed with the block if it still lives."""
    server = Desk(url, platform, serving)
    server.start()
    try:
        server.ready()
        yield server
    finally:
        if server.process is not None and server.process.poll() is None:
            server.process.kill()
            server.end()


if __name__ == "__main__":
    main(*sys.argv[1:])
