"""Rasa's web widget, the npm package rasa-webchat as it is published, against `starfold run`, in a real browser."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.dialogue.servers import free_port
from tests.dialogue.small import command, write_small

WIDGET = "rasa-webchat@1.0.1"
TOKEN = "developer-token"
PATIENCE = 120
PAGE = """<!doctype html><html><head><meta charset="utf-8"><title>A shop</title></head><body><div id="webchat"></div>
<script src="/widget.js"></script><script>
WebChat.default({{
  selector: "#webchat", socketUrl: "{bot}", socketPath: "/socket.io/", initPayload: "hello", title: "Small",
  customData: {{language: "en"}}, params: {{storage: "session"}}, showMessageDate: false
}}, null);
</script></body></html>"""


@pytest.fixture(scope="module")
def widget() -> bytes:
    """The script that the package brings, fetched once and kept."""
    if shutil.which("npm") is None and not os.environ.get("CI"):
        pytest.skip("npm is not installed")
    folder = Path(tempfile.gettempdir(), f"starfold-npm-{os.getuid()}", WIDGET)
    if not any(folder.glob("*.tgz")):
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            ["npm", "pack", "--silent", WIDGET], cwd=folder, capture_output=True, text=True, timeout=120
        )
        if done.returncode and not os.environ.get("CI"):
            pytest.skip("rasa-webchat cannot be fetched")
        assert done.returncode == 0, done.stderr
    with tarfile.open(next(folder.glob("*.tgz"))) as archive:
        found = archive.extractfile("package/lib/index.js")
        assert found is not None
        return found.read()


class Shop:
    """A page of another origin with the widget on it."""

    def __init__(self, widget: bytes) -> None:
        self.bot = ""
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                script = self.path == "/widget.js"
                body = widget if script else PAGE.format(bot=shop.bot).encode()
                self.send_response(200 if script or self.path == "/" else 404)
                self.send_header("Content-Type", "text/javascript" if script else "text/html")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Bot:
    """`starfold run` with Socket.IO and session persistence."""

    def __init__(self, project: Path, origin: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        options = ("--port", str(self.port), "--cors", origin, "--enable-api", "--auth-token", TOKEN)
        self._command = ("run", "-p", project, *options)
        self.start()

    def start(self) -> None:
        self.process = command(*self._command)
        until = time.monotonic() + PATIENCE
        while True:
            assert self.process.poll() is None, self.process.stderr.read().decode()
            try:
                with urllib.request.urlopen(f"{self.url}/health/ready", timeout=5):
                    return
            except OSError:
                assert time.monotonic() < until
                time.sleep(0.1)

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def shop(widget: bytes) -> Iterator[Shop]:
    running = Shop(widget)
    yield running
    running.close()


@pytest.fixture
def bot(shop: Shop, tmp_path: Path) -> Iterator[Bot]:
    project = write_small(tmp_path / "bot")
    with (project / "bot.yml").open("a") as file:
        file.write("channels: {socketio: {session_persistence: true, metadata_key: customData}}\n")
    running = Bot(project, shop.url)
    shop.bot = running.url
    yield running
    running.kill()


@pytest.fixture
def page(browser: Any, shop: Shop, bot: Bot) -> Iterator[Any]:
    context = browser.new_context()
    found = context.new_page()
    found.set_default_timeout(20_000)
    found.goto(shop.url)
    yield found
    context.close()


def say(page: Any, text: str) -> None:
    page.fill(".rw-new-message", text)
    page.press(".rw-new-message", "Enter")


def lines(page: Any, who: str) -> list[str]:
    return [text.strip() for text in page.locator(f".rw-{who}").all_inner_texts()]


def wait_for_lines(page: Any, who: str, expected: list[str]) -> None:
    until = time.monotonic() + 30
    while lines(page, who) != expected:
        assert time.monotonic() < until, (lines(page, who), page.content()[-3000:])
        page.wait_for_timeout(50)


def test_the_widget_talks_and_goes_on_after_a_reload_and_a_kill(page: Any, bot: Bot) -> None:
    page.click(".rw-launcher")
    wait_for_lines(page, "response", ["Hello!"])
    say(page, "bye")
    wait_for_lines(page, "response", ["Hello!", "Bye."])
    session = page.evaluate("JSON.parse(sessionStorage.getItem('chat_session')).session_id")

    page.reload()
    wait_for_lines(page, "response", ["Hello!", "Bye."])
    assert page.evaluate("JSON.parse(sessionStorage.getItem('chat_session')).session_id") == session
    say(page, "hello")
    wait_for_lines(page, "response", ["Hello!", "Bye.", "Hello!"])

    bot.kill()
    bot.start()
    with page.expect_websocket():  # it comes back by itself
        pass
    say(page, "bye")
    wait_for_lines(page, "response", ["Hello!", "Bye.", "Hello!", "Bye."])
    headers = {"Authorization": f"Bearer {TOKEN}"}
    tracker = httpx.get(f"{bot.url}/conversations/{session}/tracker", headers=headers).json()
    said = [event["text"] for event in tracker["events"] if event["event"] == "user"]
    assert said == ["hello", "bye", "hello", "bye"]
    assert tracker["latest_input_channel"] == "socketio"
    assert tracker["latest_message"]["metadata"] == {"language": "en"}
