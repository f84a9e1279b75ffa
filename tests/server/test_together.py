"""One server of two processes: `starfold run --processes 2`."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time
from http.client import HTTPResponse
from json import dumps
from pathlib import Path

import httpx
import pytest

from dialogue.config_file import load_config
from dialogue.project import train
from tests.dialogue.servers import free_port
from tests.dialogue.small import command, write_small
from tests.server.web import DEVELOPER, TOKEN

PATIENCE = 60


class Together:
    """The server. `answers` asks each of its processes."""

    def __init__(self, process, port):
        self.process = process
        self.base = f"http://127.0.0.1:{port}"

    def pids(self):
        pid = self.process.pid
        begun = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(one) for one in begun if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes()]

    def ask(self, method, path, **more):
        return httpx.request(method, self.base + path, headers=DEVELOPER, timeout=PATIENCE, **more)

    def answers(self, method, path, **more):
        """Of each process one; which of them a connection comes to is chance."""
        found = {}
        until = time.monotonic() + PATIENCE
        while found.keys() != (pids := set(self.pids())):
            assert time.monotonic() < until, f"{pids - found.keys()} never had a connection"
            with socket.create_connection(self.base.removeprefix("http://").split(":"), PATIENCE) as wire:
                time.sleep(0.05)  # until it is accepted
                holder = next((pid for pid in pids if holds(pid, wire.getsockname()[1])), None)
                if holder is None or holder in found:
                    continue
                found[holder] = self.ask_over(wire, method, path, **more)
        return list(found.values())

    def ask_over(self, wire, method, path, json=None):
        body = b"" if json is None else dumps(json).encode()
        head = {**DEVELOPER, "Host": "bot", "Connection": "close", "Content-Length": len(body)}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in head.items())]
        if body:
            lines.append("Content-Type: application/json")
        wire.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        answer = HTTPResponse(wire)
        answer.begin()
        return httpx.Response(answer.status, content=answer.read())

    def begun(self, but=()):
        wait_for(lambda: len(set(self.pids()) - set(but)) == 2, self.process)
        assert [answer.status_code for answer in self.answers("GET", "/health/ready")] == [200, 200]


def holds(pid, port):
    """Whether a process has accepted the connection from a port of ours."""
    theirs = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    sockets = {f"socket:[{fields[9]}]" for fields in theirs if int(fields[2].rpartition(":")[2], 16) == port}
    opened = []
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            opened.append(os.readlink(file))
    return bool(sockets & set(opened))


def wait_for(holds, process=None):
    until = time.monotonic() + PATIENCE
    while not holds():
        assert process is None or process.poll() is None, process.stderr.read().decode()
        assert time.monotonic() < until
        time.sleep(0.05)


def lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def run(project, *options):
    return command("run", "-p", project, "--processes", "2", "--auth-token", TOKEN, *options)


@contextlib.contextmanager
def serving(project):
    port = free_port()
    process = run(project, "--port", str(port))
    server = Together(process, port)
    try:
        wait_for(lambda: len(server.pids()) == 2, process)
        server.begun()
        yield server
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)


def turns(server):
    lines = server.ask("GET", "/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("starfold_turn_seconds_count"))


def test_each_answers_goes_on_with_any_conversation_and_is_begun_anew_when_it_dies(tmp_path):
    with serving(write_small(tmp_path / "bot")) as server:
        said = server.answers("POST", "/api/conversations/ann/messages", json={"text": "hello"})
        assert [answer.json()["replies"] for answer in said] == [[{"text": "Hello!"}]] * 2
        assert turns(server) == 2, "what each of them counted, together"
        killed, left = server.pids()
        os.kill(killed, signal.SIGKILL)
        server.begun(but=[killed])
        assert left in server.pids()
        server.ask("POST", "/api/conversations/ann/messages", json={"text": "hello"})
        assert turns(server) == 3
        events = server.ask("GET", "/api/conversations/ann/events").json()["events"]
        assert [event["text"] for event in events if event["event"] == "user"] == ["hello"] * 3


def test_all_answer_with_the_model_that_one_was_told(tmp_path):
    project = write_small(tmp_path / "bot")
    first = train(project).folder.name
    second = train(project, force=True).folder.name

    def versions(server):
        return [answer.json()["version"] for answer in server.answers("GET", "/api/model")]

    with serving(project) as server:
        assert versions(server) == [second, second]
        assert server.ask("PUT", "/api/model", json={"version": first}).json()["version"] == first
        wait_for(lambda: versions(server) == [first, first])
        killed = server.pids()[0]
        os.kill(killed, signal.SIGKILL)
        server.begun(but=[killed])
        assert versions(server) == [first, first], "one that is begun later, too"
        assert server.ask("POST", "/api/model/rollback").status_code in (200, 409)  # 409 by the one begun last
        server.ask("PUT", "/api/model", json={"version": second})
        wait_for(lambda: versions(server) == [second, second])


@pytest.mark.parametrize("which", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_them_all(which, tmp_path):
    with serving(write_small(tmp_path / "bot")) as server:
        pids = server.pids()
        server.process.send_signal(which)
        _, log = server.process.communicate(timeout=PATIENCE)
        assert server.process.returncode in (-signal.SIGTERM, 130)
        assert not any(map(lives, pids))
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(server.base.removeprefix("http://").split(":"), PATIENCE)
        said = [json.loads(line)["message"] for line in log.decode().splitlines()]
        assert said.count("Application shutdown complete.") == 2


def test_they_end_with_the_one_that_began_them(tmp_path):
    with serving(write_small(tmp_path / "bot")) as server:
        pids = server.pids()
        server.process.send_signal(signal.SIGKILL)
        wait_for(lambda: not any(map(lives, pids)))


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("store: {url: 'sqlite://'}", "conversations in memory are one process's"),
        ("channels: {socketio: {}}", "several processes need `redis`"),
    ],
)
def test_what_processes_cannot_share_is_refused(section, said, tmp_path):
    project = write_small(tmp_path / "bot")
    with (project / "bot.yml").open("a") as file:
        file.write(f"{section}\n")
    _, log = (process := run(project, "--port", str(free_port()))).communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert log.decode().count(said) == 1
    assert "Traceback" not in log.decode()


def test_what_the_first_cannot_do_ends_the_server_with_its_error(tmp_path):
    project = write_small(tmp_path / "bot")
    for file in load_config(project).data:
        broken = project / file / "broken.yml"
        broken.write_text('version: "3.1"\nnlu:\n- intnet: greet\n')
    process = run(project, "--port", str(free_port()))
    _, log = process.communicate(timeout=PATIENCE)
    assert process.returncode not in (0, None)
    assert log.decode().count("intnet") == 1
    assert "Traceback" not in log.decode()
