"""Real servers: killed, drained, cut off from their database, two on one database."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import socket
import threading
import time
from collections import defaultdict
from contextlib import ExitStack

import httpx
import pytest
import sqlalchemy as sa
import websockets

from dialogue.events import UserUttered
from dialogue.store.mailbox import Mailbox
from dialogue.store.sql import SqlTrackerStore
from tests.dialogue.servers import FakeServer
from tests.dialogue.stores import scratch_schema
from tests.server.desk_server import desk
from tests.server.web import DEVELOPER, TOKEN

CONVERSATIONS, MESSAGES = 200, 2


def post(server, conversation, text, **more):
    path = f"{server.base}/api/conversations/{conversation}/messages"
    return httpx.post(path, json={"text": text, **more}, headers=DEVELOPER, timeout=30)


def said(url, conversation):
    store = SqlTrackerStore(url)
    try:
        return [event.text for event in store.events(conversation) if isinstance(event, UserUttered)]
    finally:
        store.close()


async def deliver_until_acknowledged(client, bases, chance, sender):
    """As a platform: a message after the other, each delivered to any server again and again until one says 200."""
    for number in range(MESSAGES):
        body = [{"sender": sender, "id": str(number), "text": f"weather {number}"}]
        while True:
            try:
                answer = await client.post(f"{chance.choice(bases)}/webhooks/post/webhook", json=body)
            except httpx.HTTPError:
                await asyncio.sleep(0.05)
                continue
            if answer.status_code == 200 and chance.random() > 0.05:  # now and then the acknowledgement is lost
                break


async def deliver_all(servers):
    chance = random.Random(3)
    limits = httpx.Limits(max_connections=32)
    async with httpx.AsyncClient(timeout=10, limits=limits) as client:
        bases = [server.base for server in servers]
        senders = [deliver_until_acknowledged(client, bases, chance, f"user {n}") for n in range(CONVERSATIONS)]
        await asyncio.gather(*senders)


@pytest.mark.server("postgres")
def test_two_servers_that_are_killed_lose_double_and_reorder_nothing():
    with scratch_schema() as url, FakeServer((200, {})) as platform, ExitStack() as stack:
        servers = [stack.enter_context(desk(url, platform.url)) for _ in range(2)]
        delivering = threading.Thread(target=lambda: asyncio.run(deliver_all(servers)))
        delivering.start()
        kills = 3
        for number in range(kills):
            progress = (number + 1) * CONVERSATIONS * MESSAGES // (kills + 1)
            while len(platform.requests) < progress:
                time.sleep(0.01)
            server = servers[number % 2]
            server.signal(signal.SIGKILL)
            server.end()
            server.start()
            server.ready()
        delivering.join(timeout=200)
        assert not delivering.is_alive()
        store = SqlTrackerStore(url)
        stack.callback(store.close)
        until = time.monotonic() + 60
        while Mailbox(store.database).waiting():
            assert time.monotonic() < until, "letters are left"
            time.sleep(0.1)
        sent = defaultdict(list)
        for request in platform.requests:
            sent[request["to"]].append(request["text"])
        expected = [f"weather {number}" for number in range(MESSAGES)]
        doubled = 0
        for n in range(CONVERSATIONS):
            sender = f"user {n}"
            told = [event.text for event in store.events(sender) if isinstance(event, UserUttered)]
            assert told == expected, "each message is answered once, in order"
            answers = [text for text in sent[sender] if text.startswith("answer")]
            assert list(dict.fromkeys(answers)) == [f"answer to {text}" for text in expected]
            assert len(sent[sender]) >= 2 * MESSAGES
            doubled += len(sent[sender]) - 2 * MESSAGES
        assert doubled <= 32 * kills, "a reply is sent twice only if its server died between sending and noting it"


def is_cut_off(server):
    with pytest.raises(httpx.HTTPError):
        post(server, "ann", "weather wait")


def test_killed_in_the_middle_of_a_turn_the_same_message_gets_its_answer(tmp_path):
    url = f"sqlite:///{tmp_path / 'bot.db'}"
    with desk(url) as server:
        assert post(server, "ann", "greet", id="m1").status_code == 200
        asking = threading.Thread(target=is_cut_off, args=(server,))
        asking.start()
        time.sleep(0.5)
        server.signal(signal.SIGKILL)
        asking.join()
        server.end()
        assert said(url, "ann") == ["greet"], "half a turn is no turn"
        server.start()
        server.ready()
        again = post(server, "ann", "weather 2", id="m2").json()
        assert again["replies"][0]["text"] == "answer to weather 2"
    assert said(url, "ann") == ["greet", "weather 2"]


def test_sigterm_lets_turns_and_replies_end(tmp_path):
    url = f"sqlite:///{tmp_path / 'bot.db'}"
    with FakeServer((200, {})) as platform, desk(url, platform.url) as server:
        answers = []
        asking = threading.Thread(target=lambda: answers.append(post(server, "ann", "weather wait")))
        asking.start()
        body = [{"sender": "bob", "id": "1", "text": "weather wait"}]
        assert httpx.post(f"{server.base}/webhooks/post/webhook", json=body).status_code == 200
        time.sleep(0.5)
        server.signal(signal.SIGTERM)
        asking.join()
        code, log = server.end()
    assert code in (0, -signal.SIGTERM), log
    assert answers[0].json()["replies"][0]["text"] == "answer to weather wait"
    assert [request["text"] for request in platform.requests] == ["answer to weather wait", "Shall I book?"]
    assert "Traceback" not in log


def test_a_websocket_goes_on_with_the_next_server(tmp_path):
    """Killed while it answers; the client comes back, sends again what has no answer, and sees all of it once."""

    async def frames_until(socket, kind, message_id):
        found = []
        while not found or (found[-1]["type"], found[-1].get("message_id")) != (kind, message_id):
            found.append(json.loads(await asyncio.wait_for(socket.recv(), 30)))
        return found

    async def talk(server):
        address = f"ws://127.0.0.1:{server.port}/api/ws"
        hello = {"type": "hello", "token": TOKEN, "conversation": "ann"}
        seen = []
        async with websockets.connect(address) as socket:
            await socket.send(json.dumps(hello))
            await socket.send(json.dumps({"type": "message", "id": "m1", "text": "greet"}))
            seen += await frames_until(socket, "done", "m1")
            await socket.send(json.dumps({"type": "message", "id": "m2", "text": "weather wait"}))
            await frames_until(socket, "typing", "m2")
            server.signal(signal.SIGKILL)
            with pytest.raises(websockets.ConnectionClosed):
                await frames_until(socket, "done", "m2")
        await asyncio.to_thread(server.end)
        server.start()
        await asyncio.to_thread(server.ready)
        last = max(frame["sequence"] for frame in seen if "sequence" in frame)
        async with websockets.connect(address) as socket:
            await socket.send(json.dumps({**hello, "after": last}))
            await socket.send(json.dumps({"type": "message", "id": "m2", "text": "weather wait"}))
            seen += await frames_until(socket, "done", "m2")
        return [frame["text"] for frame in seen if frame["type"] in ("user", "reply")]

    with desk(f"sqlite:///{tmp_path / 'bot.db'}") as server:
        assert asyncio.run(talk(server)) == [
            *("greet", "Hello!"),
            *("weather wait", "answer to weather wait", "Shall I book?"),
        ]


def test_the_log_is_json_with_the_conversation(tmp_path):
    with desk(f"sqlite:///{tmp_path / 'bot.db'}") as server:
        post(server, "ann", "boom")
        post(server, "ann", "weather")
        server.signal(signal.SIGTERM)
        _, log = server.end()
    lines = [json.loads(line) for line in log.splitlines()]
    assert {"time", "level", "logger", "message"} <= lines[0].keys()


class Cable:
    """A connection to PostgreSQL that can be pulled out and put back."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._open: list[socket.socket] = []
        self.plugged = True
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def pull(self) -> None:
        self.plugged = False
        for end in self._open:
            with_suppressed(end.shutdown, socket.SHUT_RDWR)
            end.close()
        self._open.clear()

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if not self.plugged:
                near.close()
                continue
            far = socket.create_connection(self._target)
            self._open += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    @staticmethod
    def _carry(one: socket.socket, other: socket.socket) -> None:
        try:
            while data := one.recv(65536):
                other.sendall(data)
        except OSError:
            pass
        with_suppressed(other.shutdown, socket.SHUT_RDWR)

    def close(self) -> None:
        self.pull()
        self._listener.close()


def with_suppressed(call, *arguments):
    try:
        call(*arguments)
    except OSError:
        return


@pytest.mark.server("postgres")
def test_a_database_that_goes_away_and_comes_back():
    with scratch_schema() as url, ExitStack() as stack:
        direct = sa.make_url(url)
        cable = Cable(direct.host or "127.0.0.1", direct.port or 5432)
        stack.callback(cable.close)
        through = direct.set(host="127.0.0.1", port=cable.port).render_as_string(hide_password=False)
        with FakeServer((200, {})) as platform, desk(through, platform.url) as server:
            assert post(server, "ann", "greet", id="m1").status_code == 200
            cable.pull()
            gone = post(server, "ann", "weather 1", id="m2")
            assert (gone.status_code, gone.json()["retry"]) == (503, True)
            assert "postgres" not in gone.text
            assert httpx.get(f"{server.base}/health/ready").status_code == 503
            assert httpx.get(f"{server.base}/health/live").status_code == 200
            body = [{"sender": "bob", "id": "1", "text": "weather 9"}]
            assert httpx.post(f"{server.base}/webhooks/post/webhook", json=body).status_code == 503
            cable.plugged = True
            assert post(server, "ann", "weather 1", id="m2").json()["replies"][0]["text"] == "answer to weather 1"
            assert httpx.get(f"{server.base}/health/ready").status_code == 200
            assert httpx.post(f"{server.base}/webhooks/post/webhook", json=body).status_code == 200
            until = time.monotonic() + 30
            while len(platform.requests) < 2:
                assert time.monotonic() < until
                time.sleep(0.05)
        assert said(url, "ann") == ["greet", "weather 1"]
        assert said(url, "bob") == ["weather 9"]
