"""A Redis that ends and comes back: rates are counted all the same, and nobody notices."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from contextlib import ExitStack, contextmanager

import pytest
import socketio

from dialogue.channels.rasa import SocketIO
from dialogue.errors import StarfoldError
from dialogue.sections import Rates
from dialogue.server import limits
from dialogue.server.rasa_mount import RasaOptions
from tests.dialogue.servers import free_port
from tests.server.sockets import listening
from tests.server.web import DEVELOPER, web

FREE = {"sender": None, "address": None, "key": None}


@contextmanager
def redis_at(port):
    if shutil.which("redis-server") is None and not os.environ.get("CI"):
        pytest.skip("redis-server is not installed")
    from redis import ConnectionError as Refused
    from redis import Redis

    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        with Redis(port=port) as client:
            until = time.monotonic() + 20
            while True:
                try:
                    client.ping()
                    break
                except Refused:
                    assert time.monotonic() < until
                    time.sleep(0.02)
        yield
    finally:
        process.kill()
        process.wait()


def test_a_url_that_is_none_is_refused_at_the_start():
    with pytest.raises(StarfoldError, match=r"server\.redis"):
        limits.Limiter(Rates(), "redis://127.0.0.1:port")


def test_socket_io_goes_on_without_it():
    async def talk(url, end):
        client = socketio.AsyncClient(reconnection=False)
        heard = asyncio.Queue()
        client.on("bot_uttered", heard.put)
        await client.connect(url)
        for _ in range(8):  # at once, so that several connections are open when it ends
            await client.emit("session_request", {"session_id": "ann"})
        said = []
        for text in ("greet", "bye"):
            await client.emit("user_uttered", {"message": text, "session_id": "ann"})
            said.append((await asyncio.wait_for(heard.get(), 20))["text"])
            await asyncio.to_thread(end)
        await client.disconnect()
        return said

    port = free_port()
    options = RasaOptions(socketio=SocketIO(session_persistence=True))
    with ExitStack() as stack:
        running = stack.enter_context(ExitStack())
        running.enter_context(redis_at(port))
        url = stack.enter_context(listening(rasa=options, serving={"redis": f"redis://127.0.0.1:{port}"}))
        assert asyncio.run(talk(url, running.close)) == ["Hello!", "Bye."]


def test_sockets_of_another_server_are_reached_again_when_it_is_back():
    async def hears(speaker, heard):
        await speaker.emit("user_uttered", {"message": "greet", "session_id": "ann"})
        try:
            return (await asyncio.wait_for(heard.get(), 0.3))["text"] == "Hello!"
        except asyncio.TimeoutError:
            return False

    async def talk(urls, changes):
        listener, speaker = (socketio.AsyncClient(reconnection=False) for _ in urls)
        heard = asyncio.Queue()
        listener.on("bot_uttered", heard.put)
        for client, url in zip((listener, speaker), urls, strict=True):
            await client.connect(url)
        await listener.emit("session_request", {"session_id": "ann"})
        for change, reached in changes:
            await asyncio.to_thread(change)
            until = time.monotonic() + 20
            while await hears(speaker, heard) != reached:
                assert time.monotonic() < until
                await asyncio.sleep(0.1)
        for client in (listener, speaker):
            await client.disconnect()

    port = free_port()
    options = RasaOptions(socketio=SocketIO(session_persistence=True))
    serving = {"redis": f"redis://127.0.0.1:{port}", "rates": FREE}
    with ExitStack() as stack:
        running = stack.enter_context(ExitStack())

        def begin():
            running.enter_context(redis_at(port))

        begin()
        urls = [stack.enter_context(listening(rasa=options, serving=serving)) for _ in range(2)]
        asyncio.run(talk(urls, [(lambda: None, True), (running.close, False), (begin, True)]))


def answers(client, conversation, times):
    path = f"/api/conversations/{conversation}/messages"
    return [client.post(path, json={"text": "greet"}, headers=DEVELOPER).status_code for _ in range(times)]


def test_rates_are_counted_with_and_without_it(monkeypatch, caplog):
    monkeypatch.setattr(limits, "AWAY_SECONDS", 0.2)
    port = free_port()
    with web(rates={**FREE, "sender": "2/minute"}, redis=f"redis://127.0.0.1:{port}") as client:
        with redis_at(port), web(rates={**FREE, "sender": "2/minute"}, redis=f"redis://127.0.0.1:{port}") as other:
            assert answers(client, "ann", 2) == [200, 200]
            assert answers(other, "ann", 1) == [429], "two servers count together"
        assert answers(client, "ann", 3) == [200, 200, 429], "gone, and nobody is refused for that"
        assert "counted in this process alone" in caplog.text
        assert "Traceback" not in caplog.text
        time.sleep(0.3)
        with redis_at(port):
            assert answers(client, "ann", 3) == [200, 200, 429], "the new one begins to count anew"
