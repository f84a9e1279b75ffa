"""A disk that is full under a server with SQLite: what users see, and what the store holds."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time

import httpx
import pytest
import socketio
import websockets

from dialogue.events import UserUttered
from dialogue.store.sql import SqlTrackerStore
from tests.dialogue.servers import FakeServer
from tests.server.desk_server import desk
from tests.server.web import DEVELOPER, TOKEN

LONG = "weather " + "and wind " * 400
SIZE_KB = 4096


@pytest.fixture
def disk(tmp_path):
    """A real file system of few megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE_KB}k", "starfold", folder], capture_output=True, text=True
    )
    if not mounted or mounted.returncode:
        assert not (os.environ.get("CI") and os.geteuid() == 0), mounted and mounted.stderr
        pytest.skip("a small file system can be mounted by the superuser only")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def say(server, conversation, text, **more):
    path = f"{server.base}/api/conversations/{conversation}/messages"
    return httpx.post(path, json={"text": text, **more}, headers=DEVELOPER, timeout=60)


def deliver(server, sender, text):
    return httpx.post(f"{server.base}/webhooks/post/webhook", json=[{"sender": sender, "id": text, "text": text}])


def fill(folder):
    """Take what room there is left; a path that gives it back."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return ballast


def turns(url, conversation):
    """What was said in the conversation, each with the whole turn it got."""
    store = SqlTrackerStore(url)
    try:
        events = store.events(conversation)
    finally:
        store.close()
    places = [place for place, event in enumerate(events) if isinstance(event, UserUttered)]
    ends = [*places[1:], len(events)]
    assert all(events[end - 1].wire == "action" and events[end - 1].name == "action_listen" for end in ends)
    return [events[place].text for place in places]


def assert_sound(file):
    with sqlite3.connect(file) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_a_disk_that_fills_up_loses_no_turn_and_halves_none(disk):
    """Turns go on until nothing more fits; every one that was answered is there, and the next goes on after them."""
    url = f"sqlite:///{disk / 'bot.db'}"
    answered = []
    spare = disk / "spare"
    spare.write_bytes(bytes(SIZE_KB * 1024 // 4))
    with FakeServer((200, {})) as platform, desk(url, platform.url) as server:
        for number in range(1000):
            answer = say(server, "ann", f"{LONG}{number}", id=str(number))
            if answer.status_code != 200:
                break
            answered.append(f"{LONG}{number}")
        fill(disk)
        assert len(answered) > 10
        for _ in range(3):
            answer = say(server, "ann", f"{LONG}{number}", id=str(number))
            assert (answer.status_code, answer.json()["retry"]) == (503, True)
            assert answer.headers["retry-after"]
            assert "disk" not in answer.text, "what is wrong inside is for the log"
        assert deliver(server, "bob", "weather 1").status_code in (200, 503), "a letter is small, it may find room"
        shown = httpx.get(f"{server.base}/api/conversations/ann/messages", headers=DEVELOPER).json()["items"]
        assert [one["text"] for one in shown if one["type"] == "user"] == answered, "reading needs no room"
        assert httpx.get(f"{server.base}/health/live").status_code == 200
        spare.unlink()
        assert say(server, "ann", "greet", id="again").json()["replies"] == [{"text": "Hello!"}]
        assert deliver(server, "bob", "weather 1").status_code == 200
        until = time.monotonic() + 20
        while len(platform.requests) < 2:
            assert time.monotonic() < until
            time.sleep(0.05)
        server.signal(signal.SIGTERM)
        code, log = server.end()
    assert code in (0, -signal.SIGTERM)
    assert "database or disk is full" in log
    assert "Traceback" not in log
    assert turns(url, "ann") == [*answered, "greet"]
    assert turns(url, "bob") == ["weather 1"]
    assert_sound(disk / "bot.db")


def test_a_turn_that_cannot_be_stored_is_told_to_the_socket_and_answered_when_there_is_room(disk):
    url = f"sqlite:///{disk / 'bot.db'}"

    async def talk(server):
        async with websockets.connect(f"ws://127.0.0.1:{server.port}/api/ws") as socket:

            async def told():
                return json.loads(await asyncio.wait_for(socket.recv(), 30))

            await socket.send(json.dumps({"type": "hello", "token": TOKEN, "conversation": "ann"}))
            assert (await told())["type"] == "ready"
            message = json.dumps({"type": "message", "id": "m1", "text": "weather wait"})
            await socket.send(message)
            assert (await told())["type"] == "typing"
            ballast = fill(disk)
            error = await told()
            ballast.unlink()
            await socket.send(message)
            found = []
            while not found or found[-1]["type"] != "done":
                found.append(await told())
        return error, found

    with desk(url) as server:
        error, found = asyncio.run(talk(server))
    assert (error["type"], error["message_id"], error["retry"]) == ("error", "m1", True)
    assert [one["text"] for one in found if "text" in one] == [
        "weather wait",
        "answer to weather wait",
        "Shall I book?",
    ]
    assert turns(url, "ann") == ["weather wait"]


def test_a_widget_of_rasa_is_told_that_something_went_wrong(disk):
    """It asks for no acknowledgement, and its user would wait in vain."""
    url = f"sqlite:///{disk / 'bot.db'}"

    async def talk(server):
        heard = asyncio.Queue()
        client = socketio.AsyncClient(reconnection=False)
        client.on("bot_uttered", heard.put)
        await client.connect(server.base)
        await client.emit("session_request", {"session_id": "ann"})
        message = {"message": "greet", "session_id": "ann"}
        ballast = fill(disk)
        await client.emit("user_uttered", message)
        said = [await asyncio.wait_for(heard.get(), 60)]
        ballast.unlink()
        await client.emit("user_uttered", message)
        said.append(await asyncio.wait_for(heard.get(), 60))
        await client.disconnect()
        return said

    with desk(url) as server:
        apology, answer = asyncio.run(talk(server))
    assert apology == {"text": "Sorry, something went wrong on my side. Please try again later."}
    assert answer == {"text": "Hello!"}
    assert turns(url, "ann") == ["greet"]


def test_letters_wait_for_room_and_are_answered_once(disk):
    """Acknowledged already, answered while the disk is full: it is stored and sent as soon as it can be."""
    url = f"sqlite:///{disk / 'bot.db'}"
    with FakeServer((200, {})) as platform, desk(url, platform.url) as server:
        assert deliver(server, "ann", "weather wait 1").status_code == 200
        assert deliver(server, "ann", "weather 2").status_code == 200
        time.sleep(0.3)
        ballast = fill(disk)
        time.sleep(3)
        before = [request["text"] for request in platform.requests]
        ballast.unlink()
        until = time.monotonic() + 30
        while [request["text"] for request in platform.requests][-2:] != ["answer to weather 2", "Shall I book?"]:
            assert time.monotonic() < until
            time.sleep(0.05)
        said = [request["text"] for request in platform.requests]
    assert before == [], "nothing is said that is not stored"
    assert said == [f"answer to weather {one}" if one else "Shall I book?" for one in ("wait 1", "", "2", "")]
    assert turns(url, "ann") == ["weather wait 1", "weather 2"]


def test_killed_with_a_full_disk_it_starts_and_answers_when_there_is_room(disk):
    url = f"sqlite:///{disk / 'bot.db'}"
    with desk(url) as server:
        assert say(server, "ann", "greet", id="1").status_code == 200
        ballast = fill(disk)
        assert say(server, "ann", "weather", id="2").status_code == 503
        server.signal(signal.SIGKILL)
        server.end()
        server.start()
        server.ready()
        assert say(server, "ann", "weather", id="2").status_code == 503
        ballast.unlink()
        assert say(server, "ann", "weather", id="2").status_code == 200
    assert turns(url, "ann") == ["greet", "weather"]
    assert_sound(disk / "bot.db")
