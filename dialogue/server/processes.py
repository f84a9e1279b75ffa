"""One server of several processes: they listen on one port, are watched, begun anew when one dies, and ended together.

A Python process computes on one core at a time; so many processes use as many cores. They share what servers on one
database share (`README.md`), besides that the port, the version of the model (`answering`), the counts for Prometheus.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Event
from pathlib import Path
from types import FrameType

from dialogue.config_file import load_config
from dialogue.errors import StarfoldError
from dialogue.sections import Serving
from dialogue.server.answering import Answering
from dialogue.server.metrics import FOLDER, forget
from dialogue.server.serve import Place, begin_log, serve
from dialogue.store.database import in_memory

logger = logging.getLogger(__name__)

POLL = 0.2  # seconds
PAUSE = 2.0  # seconds until one is begun anew that ended before it answered


@dataclass(frozen=True, slots=True)
class Orders:
    """What each process is to do: see `serve`. `names` are the channels; with none given, all of bot.yml."""

    project: Path
    serving: Serving
    names: tuple[str, ...] | None
    api: bool
    answering: Answering


@dataclass(frozen=True, slots=True)
class Child:
    """A process, its socket, and whether it answers yet."""

    process: SpawnProcess
    socket: socket.socket
    ready: Event


def serve_together(project: Path, serving: Serving, names: Sequence[str] | None, *, api: bool) -> None:
    """Serve a bot in `serving.processes` processes until SIGTERM or SIGINT.

    The first one trains the bot if it must be; the others begin when it answers. If it ends before, so does the server.

    Args:
        project: the bot's folder.
        serving: the section `server` of bot.yml, `prepared`.
        names: channels to serve; None for all of bot.yml.
        api: whether Rasa's HTTP API is served.

    Raises:
        StarfoldError: if the processes cannot share the conversations or the port.
        SystemExit: with the status of the first process, if that failed; it has said why.
    """
    if in_memory(load_config(project).store_url):
        raise StarfoldError(
            "server.processes: conversations in memory are one process's; give `store` a file or a server"
        )
    begin_log(serving)
    with ExitStack() as stack:
        shared = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="starfold-", ignore_cleanup_errors=True)))
        counts = shared / "metrics"
        counts.mkdir()
        os.environ[FOLDER] = str(counts)  # read when a process begins
        sockets = bound(serving.host, serving.port, serving.processes)
        for one in sockets:
            stack.enter_context(one)
        orders = Orders(project, serving, None if names is None else tuple(names), api, Answering(shared / "answering"))
        Family(orders, sockets).run()


def bound(host: str, port: int, count: int) -> list[socket.socket]:
    """Sockets on one port, one for each process. Raises `StarfoldError` if there can be none.

    Linux deals connections out to them evenly. Of one socket that all wait at, the first process to wake takes every
    connection that has come. Elsewhere it is one all the same, since there the newest would get everything.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.create_server((host, port), family=family) as alone:  # nobody else's
            port = alone.getsockname()[1]
        if sys.platform != "linux":
            return [socket.create_server((host, port), family=family)] * count
        return [_bound(family, host, port) for _ in range(count)]
    except OSError as error:
        raise StarfoldError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error


def _bound(family: int, host: str, port: int) -> socket.socket:
    """A socket that does not listen yet, so that no connection comes to it before its process is ready."""
    made = socket.socket(family)
    for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
        made.setsockopt(socket.SOL_SOCKET, option, 1)
    made.bind((host, port))
    return made


class Family:
    """The processes of a server.

    Args:
        orders: what each is to do.
        sockets: one for each. They stay open here: what comes while a process is begun anew waits for it.
    """

    def __init__(self, orders: Orders, sockets: Sequence[socket.socket]) -> None:
        self._orders = orders
        self._sockets = sockets
        self._context = multiprocessing.get_context("spawn")
        self._children: list[Child] = []
        self._asked: list[int] = []  # signals to end

    def run(self) -> None:
        """Begin them, and watch them until a signal ends them all. A second SIGINT ends them at once."""
        before = {which: signal.signal(which, self._hear) for which in (signal.SIGTERM, signal.SIGINT)}
        try:
            self._begin_all()
            while not self._asked:
                wait([child.process.sentinel for child in self._children], timeout=POLL)
                self._replace_dead()
            self._end()
        finally:
            for child in self._children:  # none is left unless something went wrong
                child.process.kill()
            for which, handler in before.items():
                signal.signal(which, handler)
        if self._asked[0] == signal.SIGINT:
            raise KeyboardInterrupt  # a signal's own could come while objects are torn down, where it is ignored
        signal.raise_signal(self._asked[0])  # ended by it, as a single process would be

    def _hear(self, which: int, frame: FrameType | None) -> None:
        self._asked.append(which)

    def _begin(self, place: socket.socket) -> Child:
        ready = self._context.Event()
        process = self._context.Process(target=_work, args=(self._orders, place, ready))
        process.start()
        child = Child(process, place, ready)
        self._children.append(child)
        return child

    def _begin_all(self) -> None:
        first = self._begin(self._sockets[0])
        while not self._asked and not first.ready.wait(POLL):
            if not first.process.is_alive():
                raise SystemExit(first.process.exitcode or 1)
        for place in self._sockets[1:]:
            if not self._asked:
                self._begin(place)

    def _replace_dead(self) -> None:
        for child in [child for child in self._children if not child.process.is_alive()]:
            self._children.remove(child)
            forget(child.process.pid)
            if self._asked:
                continue
            logger.warning("process %s ended with status %s", child.process.pid, child.process.exitcode)
            if not child.ready.is_set():
                time.sleep(PAUSE)
            self._begin(child.socket)

    def _end(self) -> None:
        for place in self._sockets:
            place.close()  # nobody waits any more for a process that is to come
        for child in self._children:
            child.process.terminate()
        while self._children:
            wait([child.process.sentinel for child in self._children], timeout=POLL)
            self._replace_dead()
            if len(self._asked) > 1 and self._asked[-1] == signal.SIGINT:
                return


def _work(orders: Orders, place: socket.socket, ready: Event) -> None:
    """What each process does."""
    from dialogue.assembly import build_channels
    from dialogue.console import progress

    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        channels = list(build_channels(load_config(orders.project), orders.names).values())
        here = Place(place, orders.answering, ready.set)
        with progress() as report:
            serve(orders.project, orders.serving, channels=channels, api=orders.api, progress=report, place=here)
    except StarfoldError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(error.exit_code) from error
    except KeyboardInterrupt as error:
        raise SystemExit(128 + signal.SIGINT) from error


def _end_with_parent() -> None:
    """Nobody would begin this process anew, or end it, without the one that began it."""
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
