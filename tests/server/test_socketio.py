"""Socket.IO and the callback channel with their real clients: python-socketio, and socket.io-client on node."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
import socketio

from dialogue.actions.base import ActionResult
from dialogue.channels.rasa import Callback, Rest, SocketIO
from dialogue.errors import StarfoldError
from dialogue.message import Button, Reply
from dialogue.server.callback import CallbackChannel
from dialogue.server.rasa_mount import RasaOptions, sorted_out
from dialogue.server.rest import rasa_messages
from dialogue.server.socketio import SocketChannel, payloads
from tests.dialogue.desk import Custom
from tests.dialogue.servers import FakeServer
from tests.server.sockets import listening
from tests.server.web import DEVELOPER, web

PATIENCE = 20
HERE = Path(__file__).parent
CLIENT = "socket.io-client@4.8.1"


def served(**options: Any) -> RasaOptions:
    return RasaOptions(api=True, rest=True, socketio=SocketIO(**options))


class Client:
    """A client of Rasa's that keeps what it hears."""

    def __init__(self, namespace: str = "/", bot: str = "bot_uttered", path: str = "socket.io") -> None:
        self.socket = socketio.AsyncClient(reconnection=False)
        self.space, self.path = namespace, path
        self.heard: asyncio.Queue[Any] = asyncio.Queue()
        self.confirmed: asyncio.Queue[Any] = asyncio.Queue()
        self.socket.on(bot, self.heard.put, namespace=namespace)
        self.socket.on("session_confirm", self.confirmed.put, namespace=namespace)

    async def open(self, url: str, **options: Any) -> Client:
        await self.socket.connect(url, namespaces=[self.space], socketio_path=self.path, **options)
        return self

    async def session(self, wanted: str | None = None) -> str:
        await self.socket.emit("session_request", {"session_id": wanted}, namespace=self.space)
        found: str = await asyncio.wait_for(self.confirmed.get(), PATIENCE)
        return found

    async def say(self, message: Any, session: str | None = None, event: str = "user_uttered", **more: Any) -> None:
        said = {"message": message, "session_id": session, **more}
        await self.socket.emit(event, said, namespace=self.space)

    async def hear(self) -> Any:
        return await asyncio.wait_for(self.heard.get(), PATIENCE)


@pytest.mark.parametrize("transports", [["websocket"], ["polling", "websocket"]], ids=["websocket", "upgraded"])
def test_a_session_is_confirmed_and_answered(transports):
    async def talk(url):
        client = await Client().open(url, transports=transports)
        session = await client.session()
        await client.say("greet", session)
        assert await client.hear() == {"text": "Hello!"}
        await client.say("weather", session)
        offer = await client.hear()
        await client.socket.disconnect()
        return session, offer

    with listening(rasa=served(session_persistence=True)) as url:
        session, offer = asyncio.run(talk(url))
        assert len(session) == 32
        assert offer["text"] == "Shall I book?"
        assert offer["quick_replies"] == [{"content_type": "text", "title": "Please do", "payload": "/affirm"}]
        tracker = httpx.get(f"{url}/conversations/{session}/tracker", headers=DEVELOPER).json()
        assert tracker["latest_input_channel"] == "socketio"
        assert httpx.get(f"{url}/webhooks/socketio/").json() == {"status": "ok"}


def test_a_session_outlives_its_socket_and_is_heard_by_all_of_its_sockets():
    async def talk(url):
        first = await Client().open(url)
        session = await first.session("mine")
        await first.say("greet", session)
        await first.hear()
        await first.socket.disconnect()
        second, third, stranger = [await Client().open(url) for _ in range(3)]
        assert await second.session(session) == await third.session(session) == "mine"
        await stranger.session()
        await second.say("bye", session)
        assert await second.hear() == await third.hear() == {"text": "Bye."}
        assert stranger.heard.empty()
        for client in (second, third, stranger):
            await client.socket.disconnect()

    with listening(rasa=served(session_persistence=True)) as url:
        asyncio.run(talk(url))
        events = httpx.get(f"{url}/conversations/mine/tracker", headers=DEVELOPER).json()["events"]
        assert [event["text"] for event in events if event["event"] == "user"] == ["greet", "bye"]


def test_without_persistence_the_socket_is_the_conversation():
    async def talk(url):
        client = await Client().open(url)
        await client.say("greet", "whatever")
        assert await client.hear() == {"text": "Hello!"}
        name = client.socket.get_sid("/")
        await client.socket.disconnect()
        return name

    with listening(rasa=served()) as url:
        name = asyncio.run(talk(url))
        assert httpx.get(f"{url}/conversations/{name}/tracker", headers=DEVELOPER).json()["latest_message"]["text"] == (
            "greet"
        )
        stranger = httpx.get(f"{url}/conversations/whatever/tracker", headers=DEVELOPER).json()
        assert "user" not in [event["event"] for event in stranger["events"]]


class Slow(Custom):
    """The first turn takes longest."""

    def run(self, request):
        said = request.tracker.latest_message.text
        time.sleep(0.3 if said.endswith("1") else 0)
        return ActionResult(replies=(Reply(f"{said} a"), Reply(f"{said} b")))


def test_racing_messages_are_answered_in_their_order():
    async def talk(url):
        client = await Client().open(url)
        session = await client.session()
        for number in range(1, 5):
            await client.say(f"weather {number}", session)
        heard = [(await client.hear())["text"] for _ in range(12)]
        await client.socket.disconnect()
        return [text for text in heard if text.startswith("weather")]

    with listening(custom=Slow(), rasa=served(session_persistence=True)) as url:
        assert asyncio.run(talk(url)) == [f"weather {number} {part}" for number in range(1, 5) for part in "ab"]


def test_every_name_can_be_another():
    options = {
        "user_message_evt": "say",
        "bot_message_evt": "told",
        "namespace": "shop",
        "socketio_path": "/chat/io/",
        "metadata_key": "customData",
    }

    async def talk(url):
        client = await Client("/shop", "told", "chat/io").open(url)
        await client.say("greet", event="say", customData='{"k": 1}')
        assert await client.hear() == {"text": "Hello!"}
        name = client.socket.get_sid("/shop")
        await client.socket.disconnect()
        return name

    with listening(rasa=served(**options)) as url:
        name = asyncio.run(talk(url))
        tracker = httpx.get(f"{url}/conversations/{name}/tracker", headers=DEVELOPER).json()
        assert tracker["latest_message"]["metadata"] == {"k": 1}
        assert httpx.get(f"{url}/version").json()["version"] == "3.6.21"  # nothing else is hidden by it


def test_a_token_is_asked_for():
    key = "a key that signs the tokens of web pages"

    async def talk(url):
        for auth in (None, {}, {"token": "x"}, {"token": jwt.encode({}, f"not {key}", "HS256")}):
            refused = Client()
            with pytest.raises(socketio.exceptions.ConnectionError):
                await refused.open(url, auth=auth)
            await refused.socket.disconnect()
        client = await Client().open(url, auth={"token": jwt.encode({"user": "ann"}, key, "HS256")})
        await client.say("greet")
        assert await client.hear() == {"text": "Hello!"}
        await client.socket.disconnect()

    with listening(rasa=served(jwt_key=key)) as url:
        asyncio.run(talk(url))


def test_what_cannot_be_answered_is_told_to_who_asks():
    async def talk(url):
        client = await Client().open(url)
        wrong: list[Any] = [
            None,
            "greet",
            {"message": "greet"},
            {"message": 3, "session_id": "a"},
            {"message": "x" * 5000, "session_id": "a"},
            {"message": "greet", "session_id": ["a"]},
            {"message": "greet", "session_id": "a", "metadata": "[1]"},
            {"message": "greet", "session_id": "a", "metadata": "{"},
        ]
        for data in wrong:
            told = await client.socket.call("user_uttered", data, timeout=PATIENCE)
            assert set(told) == {"error"}, data
        assert await client.socket.call("user_uttered", {"message": "greet", "session_id": "a"}) is None
        assert await client.hear() == {"text": "Hello!"}
        assert client.heard.empty()
        await client.socket.disconnect()

    with listening(rasa=served(session_persistence=True)) as url:
        asyncio.run(talk(url))


def test_a_page_of_another_origin_is_turned_away():
    with listening(rasa=served(), serving={"origins": ["https://shop.example"]}) as url:
        ask = f"{url}/socket.io/?EIO=4&transport=polling"
        answer = httpx.get(ask, headers={"Origin": "https://shop.example"})
        assert answer.status_code == 200
        assert answer.headers.get_list("access-control-allow-origin") == ["https://shop.example"], "once, or it is void"
        assert httpx.get(ask, headers={"Origin": url}).status_code == 200
        assert httpx.get(ask, headers={"Origin": "https://evil.example"}).status_code == 400


def test_an_intent_set_going_from_outside_is_heard_on_the_socket():
    async def talk(url):
        client = await Client().open(url)
        await client.say("greet", await client.session("mine"))
        await client.hear()
        async with httpx.AsyncClient(headers=DEVELOPER) as program:
            there = f"{url}/conversations/mine/trigger_intent"
            await program.post(there, params={"output_channel": "latest"}, json={"name": "bye"})
        assert await client.hear() == {"text": "Bye."}
        await client.socket.disconnect()

    with listening(rasa=served(session_persistence=True)) as url:
        asyncio.run(talk(url))


@pytest.fixture(scope="module")
def node_modules() -> Path:
    """The JavaScript client, fetched once and kept."""
    if (shutil.which("node") is None or shutil.which("npm") is None) and not os.environ.get("CI"):
        pytest.skip("node and npm are not installed")
    folder = Path(tempfile.gettempdir(), f"starfold-npm-{os.getuid()}", CLIENT)
    if not (folder / "node_modules" / "socket.io-client" / "package.json").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--ignore-scripts", CLIENT]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        if done.returncode and not os.environ.get("CI"):
            pytest.skip("socket.io-client cannot be fetched")
        assert done.returncode == 0, done.stderr
    return folder / "node_modules"


@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_the_javascript_client_talks_and_reconnects(node_modules, transport):
    options = served(session_persistence=True, metadata_key="customData")
    with listening(rasa=options) as url:
        done = subprocess.run(
            ["node", str(HERE / "rasa_client.js"), url, transport],
            env={**os.environ, "NODE_PATH": str(node_modules)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        texts = [one.get("text", one) for one in told["heard"]]
        assert (texts[0], texts[-3:]) == ("Hello!", ["Shall I book?", {"again": True}, "Bye."])
        tracker = httpx.get(f"{url}/conversations/{told['session']}/tracker", headers=DEVELOPER).json()
        assert tracker["latest_message"]["metadata"] == {"language": "en"}


# --- messages ---------------------------------------------------------------------------------------------------------

RICH = Reply(
    "One.\n\nTwo.", (Button("Yes", "/affirm"),), image="https://x/y.png", attachment={"a": 1}, custom={"card": 3}
)


def test_a_reply_on_the_socket():
    assert list(payloads(RICH)) == [
        {"text": "One."},
        {"text": "Two.", "quick_replies": [{"content_type": "text", "title": "Yes", "payload": "/affirm"}]},
        {"card": 3},
        {"attachment": {"type": "image", "payload": {"src": "https://x/y.png"}}},
        {"attachment": {"a": 1}},
    ]
    assert list(payloads(Reply(custom={"data": {"type": "video"}}))) == [{"type": "video"}]


def test_a_reply_over_rest():
    to = {"recipient_id": "ann"}
    assert list(rasa_messages(RICH, "ann")) == [
        {**to, "text": "One.\n\nTwo.", "buttons": [{"title": "Yes", "payload": "/affirm"}]},
        {**to, "custom": {"card": 3}},
        {**to, "image": "https://x/y.png"},
        {**to, "attachment": {"a": 1}},
    ]
    assert list(rasa_messages(Reply("One.\n\nTwo."), "ann")) == [{**to, "text": "One."}, {**to, "text": "Two."}]


# --- callback ---------------------------------------------------------------------------------------------------------


def waited_for(server, count):
    until = time.monotonic() + PATIENCE
    while len(server.requests) < count:
        assert time.monotonic() < until
        time.sleep(0.02)
    return server.requests


def test_the_callback_gets_each_message_by_itself_and_again_until_it_takes_it():
    with FakeServer((503, {}), (200, {})) as server:
        channel = CallbackChannel(Callback(url=server.url))
        with web(channels=[channel], rasa=RasaOptions(api=True)) as client:
            body = {"sender": "ann", "message": "greet", "message_id": "m1"}
            for _ in range(2):
                answer = client.post("/webhooks/callback/webhook", json=body)
                assert (answer.status_code, answer.text) == (200, "success")
            assert waited_for(server, 2) == [{"recipient_id": "ann", "text": "Hello!"}] * 2
            assert client.get("/webhooks/callback/").json() == {"status": "ok"}
            assert client.post("/webhooks/callback/webhook", content=b"{").status_code == 400
            assert client.post("/webhooks/callback/webhook", json={"sender": "ann"}).text == "success"
            there = "/conversations/ann/trigger_intent?output_channel=callback"
            client.post(there, json={"name": "bye"}, headers=DEVELOPER)
            assert waited_for(server, 3)[2] == {"recipient_id": "ann", "text": "Bye."}


@pytest.mark.parametrize("options", [{"socketio_path": "/"}, {"user_message_evt": ""}, {"bot_message_evt": ""}])
def test_wrong_options_of_the_socket_are_told(options):
    with web() as client, pytest.raises(StarfoldError, match="socketio"):
        SocketChannel(client.app.state.parts, SocketIO(**options))


def test_what_is_configured_is_sorted_out():
    with pytest.raises(StarfoldError, match="url"):
        CallbackChannel(Callback(url="ftp://x"))
    socket = SocketIO(session_persistence=True)
    channels, options = sorted_out([Rest(), Callback(url="http://x/"), socket], api=True)
    assert [type(channel) for channel in channels] == [CallbackChannel]
    assert options == RasaOptions(api=True, rest=True, socketio=socket)
    assert sorted_out([socket], api=False) == ([], RasaOptions(socketio=socket))


def test_where_nothing_is_configured_rest_is_served():
    assert sorted_out([], api=False) == ([], RasaOptions(rest=True))
