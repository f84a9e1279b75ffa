"""A PostgreSQL server that ends, crashes or stands still under two of ours: what users see, and what it holds."""

from __future__ import annotations

import asyncio
import glob
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest
import websockets

from dialogue.events import UserUttered
from dialogue.store.database import Database
from dialogue.store.sql import SqlTrackerStore
from tests.dialogue.servers import FakeServer, free_port
from tests.server.desk_server import desk
from tests.server.web import DEVELOPER, TOKEN

USERS, MESSAGES = 12, 6


def binaries() -> Path | None:
    """Where PostgreSQL's own programs are; Debian keeps them off the path."""
    found = shutil.which("initdb") or max(glob.glob("/usr/lib/postgresql/*/bin/initdb"), default=None)
    return None if found is None else Path(found).parent


class Cluster:
    """A PostgreSQL server of the test's own."""

    def __init__(self, programs: Path, folder: Path) -> None:
        # It refuses to be run by the superuser.
        self._by = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        self._programs = programs
        self._data = folder / "data"
        port = free_port()
        self.url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        self._options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1"
        self._run("initdb", "--auth=trust", "--username=postgres", "--no-sync")

    def start(self) -> None:
        self._run("pg_ctl", "start", "-w", "-o", self._options, "-l", f"{self._data}.log")

    def stop(self, how: str) -> None:
        """`fast` ends connections and closes the database, `immediate` is a crash."""
        self._run("pg_ctl", "stop", "-w", "-m", how)

    @contextmanager
    def frozen(self):
        """All of its processes stand still: connections live, and nobody answers."""
        master = (self._data / "postmaster.pid").read_text().split()[0]
        processes = [int(master), *map(int, Path(f"/proc/{master}/task/{master}/children").read_text().split())]
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in processes:
                os.kill(process, signal.SIGCONT)

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._by, self._programs / program, "-D", self._data, *arguments]
        subprocess.run(command, check=True, timeout=60, stdout=subprocess.DEVNULL, cwd="/")


@pytest.fixture(scope="module")
def made():
    programs = binaries()
    if programs is None and not os.environ.get("CI"):
        pytest.skip("PostgreSQL's initdb is not installed")
    assert programs is not None, "PostgreSQL's initdb is not installed"
    with tempfile.TemporaryDirectory(prefix="starfold-pg-", ignore_cleanup_errors=True) as name:
        if os.geteuid() == 0:
            shutil.chown(name, "postgres")
        cluster = Cluster(programs, Path(name))
        cluster.start()
        yield cluster
        cluster.stop("immediate")


@pytest.fixture
def cluster(made):
    """The cluster, running, with no tables."""
    import psycopg

    with psycopg.connect(made.url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return made


def path_of(server, conversation):
    return f"{server.base}/api/conversations/{conversation}/messages"


def say(server, conversation, text, **more):
    return httpx.post(path_of(server, conversation), json={"text": text, **more}, headers=DEVELOPER, timeout=60)


def deliver(server, sender, text):
    return httpx.post(f"{server.base}/webhooks/post/webhook", json=[{"sender": sender, "id": text, "text": text}])


def ready(server):
    return httpx.get(f"{server.base}/health/ready", timeout=10).status_code


def told(url, conversation):
    store = SqlTrackerStore(url)
    try:
        return [event.text for event in store.events(conversation) if isinstance(event, UserUttered)]
    finally:
        store.close()


@pytest.mark.parametrize("how", ["fast", "immediate"])
def test_a_database_that_is_started_anew_in_the_middle_of_a_turn(cluster, how):
    with FakeServer((200, {})) as platform, desk(cluster.url, platform.url) as server:
        assert say(server, "ann", "greet", id="m1").status_code == 200
        answers = []
        asking = threading.Thread(target=lambda: answers.append(say(server, "ann", "weather wait long", id="m2")))
        asking.start()
        assert deliver(server, "bob", "weather wait long").status_code == 200
        time.sleep(0.4)
        cluster.stop(how)
        asking.join()
        assert (answers[0].status_code, answers[0].json()["retry"]) == (503, True)
        assert int(answers[0].headers["retry-after"]) > 0
        assert "postgres" not in answers[0].text
        assert deliver(server, "bob", "weather 2").status_code == 503
        assert ready(server) == 503
        assert httpx.get(f"{server.base}/health/live").status_code == 200
        assert platform.requests == [], "nothing is said that is not stored"
        cluster.start()
        again = say(server, "ann", "weather wait long", id="m2").json()
        assert again["replies"][0]["text"] == "answer to weather wait long"
        assert say(server, "ann", "weather wait long", id="m2").json()["replies"] == again["replies"]
        assert ready(server) == 200
        assert deliver(server, "bob", "weather 2").status_code == 200
        until = time.monotonic() + 30
        while len(platform.requests) < 4:
            assert time.monotonic() < until
            time.sleep(0.05)
        server.signal(signal.SIGTERM)
        code, log = server.end()
    assert code in (0, -signal.SIGTERM)
    assert "Traceback" not in log
    assert told(cluster.url, "ann") == ["greet", "weather wait long"]
    assert told(cluster.url, "bob") == ["weather wait long", "weather 2"]
    said = [request["text"] for request in platform.requests]
    assert said == ["answer to weather wait long", "Shall I book?", "answer to weather 2", "Shall I book?"]


def test_a_socket_is_told_to_try_again_and_goes_on(cluster):
    async def talk(server):
        async with websockets.connect(f"ws://127.0.0.1:{server.port}/api/ws") as socket:

            async def until(kind):
                found = []
                while not found or found[-1]["type"] != kind:
                    found.append(json.loads(await asyncio.wait_for(socket.recv(), 30)))
                return found

            await socket.send(json.dumps({"type": "hello", "token": TOKEN, "conversation": "ann"}))
            await until("ready")
            message = json.dumps({"type": "message", "id": "m1", "text": "weather wait long"})
            await socket.send(message)
            await until("typing")
            await asyncio.to_thread(cluster.stop, "immediate")
            error = (await until("error"))[-1]
            await asyncio.to_thread(cluster.start)
            await socket.send(message)
            return error, [frame["text"] for frame in await until("done") if "text" in frame]

    with desk(cluster.url) as server:
        error, said = asyncio.run(talk(server))
    assert (error["message_id"], error["retry"]) == ("m1", True)
    assert said == ["weather wait long", "answer to weather wait long", "Shall I book?"]


async def talk_on(client, servers, user, done):
    """As a client and as a platform that try again until they are answered; every answer of the API."""
    answers = []
    for number in range(MESSAGES):
        for via in ("api", "post"):
            text = f"weather {number} {via}"
            while True:
                server = servers[(user + number) % 2]
                try:
                    if via == "api":
                        body = {"text": text, "id": text}
                        answer = await client.post(path_of(server, f"user {user}"), json=body, headers=DEVELOPER)
                    else:
                        body = [{"sender": f"user {user}", "id": text, "text": text}]
                        answer = await client.post(f"{server.base}/webhooks/post/webhook", json=body)
                except httpx.HTTPError:
                    raise AssertionError("the server itself must always answer") from None
                if answer.status_code == 200:
                    break
                assert answer.status_code in (503, 504), answer.text
                assert answer.json()["retry"] is True
                await asyncio.sleep(0.2)
            done.append(text)
            if via == "api":
                answers.append(answer.json()["replies"][0]["text"])
    return answers


def test_two_servers_over_a_database_that_goes_twice_lose_double_and_reorder_nothing(cluster):
    async def all_talk(servers):
        async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=64)) as client:
            return await asyncio.gather(*(talk_on(client, servers, user, done) for user in range(USERS)))

    answers, done = [], []
    with (
        FakeServer((200, {})) as platform,
        desk(cluster.url, platform.url) as one,
        desk(cluster.url, platform.url) as two,
    ):
        talking = threading.Thread(target=lambda: answers.extend(asyncio.run(all_talk((one, two)))))
        talking.start()
        for number, how in enumerate(("fast", "immediate"), 1):
            while len(done) < number * USERS * MESSAGES * 2 // 3:
                assert talking.is_alive()
                time.sleep(0.01)
            cluster.stop(how)
            time.sleep(0.5)
            cluster.start()
        talking.join(timeout=120)
        assert not talking.is_alive()
        until = time.monotonic() + 60
        while len({(one["to"], one["text"]) for one in platform.requests}) < USERS * (MESSAGES + 1):
            assert time.monotonic() < until, "letters are left"
            time.sleep(0.1)
    assert answers == [[f"answer to weather {number} api" for number in range(MESSAGES)]] * USERS
    for user in range(USERS):
        texts = told(cluster.url, f"user {user}")
        for via in ("api", "post"):
            assert [text for text in texts if text.endswith(via)] == [f"weather {n} {via}" for n in range(MESSAGES)]
        assert len(texts) == 2 * MESSAGES


def test_a_machine_that_is_gone_is_given_up(cluster):
    """With the cable out a query ends after 20 seconds by these options; without, it had not after 75."""
    with closing(Database(f"{cluster.url}?keepalives_idle=7", connections=1)) as database, database.read() as found:
        told = found.connection.driver_connection.info.get_parameters()
    wanted = {"connect_timeout": "10", "tcp_user_timeout": "20000", "keepalives_interval": "5", "keepalives_idle": "7"}
    assert wanted.items() <= told.items(), "those of the URL win"


def test_a_database_that_stands_still_stops_no_server(cluster):
    with desk(cluster.url) as server:
        assert say(server, "ann", "greet", id="m1").status_code == 200
        answers = []
        with cluster.frozen():
            asking = threading.Thread(target=lambda: answers.append(say(server, "ann", "weather 1", id="m2")))
            asking.start()
            assert ready(server) == 503
            assert httpx.get(f"{server.base}/health/live", timeout=2).status_code == 200
            assert answers == []
        asking.join()
        assert answers[0].json()["replies"][0]["text"] == "answer to weather 1"
        assert ready(server) == 200
    assert told(cluster.url, "ann") == ["greet", "weather 1"]
