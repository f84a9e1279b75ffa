"""Servers for tests: rasa-sdk's own in a process, and one that answers as it is told."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

PATIENCE = 60  # seconds for a server to come up


def free_port() -> int:
    """A port nobody listens on just now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@contextmanager
def action_server(module: str, *folders: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A real action server of rasa-sdk with a module's actions, as URL and process; it ends with the context."""
    port = free_port()
    path = os.pathsep.join(map(str, folders))
    command = [sys.executable, "-W", "ignore", "-m", "rasa_sdk", "--actions", module, "-p", str(port)]
    process = subprocess.Popen(
        command,
        cwd=folders[0],
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": path, "SANIC_HOST": "127.0.0.1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        _wait_for(f"http://127.0.0.1:{port}/health", process)
        yield f"http://127.0.0.1:{port}/webhook", process
    finally:
        process.terminate()
        try:
            process.communicate(timeout=5)
        except subprocess.TimeoutExpired:  # told so soon after its start it may not listen
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate(timeout=PATIENCE)


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"the action server ended: {process.communicate()[0].decode()}")
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("the action server did not come up")


Told = tuple[int, Any] | Callable[[BaseHTTPRequestHandler], None]


class FakeServer:
    """Answers the requests in turn as told; the last way of answering stays. `requests` has what came in.

    An answer is a status and a body (bytes as they are, else as JSON), or a function that handles the request.
    """

    def __init__(self, *answers: Told) -> None:
        self.answers: list[Told] = list(answers)
        self.requests: list[dict[str, Any]] = []
        self.headers: list[Any] = []
        self.paths: list[str] = []
        handler = type("Handler", (_Handler,), {"fake": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/webhook"

    def __enter__(self) -> FakeServer:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def next(self) -> Told:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class _Handler(BaseHTTPRequestHandler):
    fake: FakeServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Content-Encoding"] == "deflate":
            body = zlib.decompress(body)
        form = self.headers["Content-Type"] == "application/x-www-form-urlencoded"
        self.fake.requests.append(dict(parse_qsl(body.decode())) if form else json.loads(body))
        self.fake.headers.append(self.headers)
        self.fake.paths.append(self.path)
        told = self.fake.next()
        if callable(told):
            told(self)
            return
        status, said = told
        data = said if isinstance(said, bytes) else json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def hangs_up(handler: BaseHTTPRequestHandler) -> None:
    """As a server that is killed while the action runs."""
    handler.connection.shutdown(socket.SHUT_RDWR)


def sleeps(seconds: float) -> Callable[[BaseHTTPRequestHandler], None]:
    """As a server whose action takes its time."""
    return lambda handler: time.sleep(seconds)


def trickles(pieces: Sequence[bytes], pause: float) -> Callable[[BaseHTTPRequestHandler], None]:
    """As a server that never quite stops."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            for piece in pieces:
                handler.wfile.write(piece)
                time.sleep(pause)
        except OSError:
            return

    return answer


def no_http(handler: BaseHTTPRequestHandler) -> None:
    """As something else that listens there."""
    handler.wfile.write(b"220 mail.example ESMTP\r\n")


@dataclass(frozen=True)
class Called:
    """A request that a platform got."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class FakePlatform:
    """A messaging platform: keeps what it is asked, and answers as `answer(called)` says, a status and JSON."""

    def __init__(self, answer: Callable[[Called], tuple[int, Any]]) -> None:
        self.calls: list[Called] = []
        self.answer = answer
        handler = type("Handler", (_PlatformHandler,), {"platform": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> FakePlatform:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _PlatformHandler(BaseHTTPRequestHandler):
    platform: FakePlatform

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        called = Called(self.command, parts.path, dict(parse_qsl(parts.query)), headers, body)
        self.platform.calls.append(called)
        status, said = self.platform.answer(called)
        data = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_POST = do_PUT = do_PATCH = do_GET

    def log_message(self, *_: object) -> None:
        """Say nothing."""
