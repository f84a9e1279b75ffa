"""From a platform's delivery to its reply: kept first, answered once, sent on where it stopped."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from dialogue.channels.base import Heard, Incoming, RefusedError, Response, SendError
from dialogue.message import Message, Reply
from dialogue.server import courier as module
from dialogue.server.courier import Courier, pause
from dialogue.store.base import Answered
from dialogue.store.sql import SqlTrackerStore
from dialogue.turn import REPEATED, TurnResult
from policies.testing import belief
from tests.server.web import DEVELOPER, make_service, web


class Post:
    """A platform whose deliveries are JSON `{sender, id, text}`; `troubles` are raised by the next sendings."""

    name = "post"

    def __init__(self) -> None:
        self.sent: list[tuple[str, str | None]] = []
        self.troubles: list[Exception] = []
        self.deliveries = []

    def receive(self, delivery):
        self.deliveries.append(delivery)
        if delivery.method == "GET":
            return Incoming(response=Response(body=delivery.query["challenge"].encode()))
        if delivery.headers.get("x-signature") == "forged":
            raise RefusedError("the signature is wrong")
        heard = [
            Heard(Message(one["text"], one["sender"], self.name, id=one["id"]), {"to": one["sender"]})
            for one in json.loads(delivery.body)
        ]
        return Incoming(tuple(heard), Response(202, b'{"ok": true}', "application/json", {"x-post": "yes"}))

    async def send(self, reply, address, client):
        if self.troubles:
            raise self.troubles.pop(0)
        self.sent.append((address["to"], reply.text))


def deliver(client, *texts, sender="ann", first=0, **headers):
    body = [{"sender": sender, "id": str(first + number), "text": text} for number, text in enumerate(texts)]
    return client.post("/webhooks/post/webhook", json=body, headers=headers)


def wait_for(condition, seconds=60.0):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come about"
        time.sleep(0.01)


@pytest.fixture
def post():
    return Post()


@pytest.fixture
def client(post):
    with web(channels=[post]) as made:
        yield made


def waiting(client):
    return client.app.state.parts.service.mailbox.waiting()


def test_a_delivery_is_acknowledged_and_answered_in_order(client, post):
    answer = deliver(client, "greet", "weather", "bye")
    assert (answer.status_code, answer.json(), answer.headers["x-post"]) == (202, {"ok": True}, "yes")
    wait_for(lambda: waiting(client) == 0)
    assert post.sent == [("ann", "Hello!"), ("ann", "Shall I book?"), ("ann", "Bye.")]


def test_a_delivery_that_comes_again_changes_nothing(client, post):
    deliver(client, "greet")
    deliver(client, "greet")
    wait_for(lambda: waiting(client) == 0)
    deliver(client, "greet")
    time.sleep(0.1)
    assert post.sent == [("ann", "Hello!")]


def test_a_challenge_is_answered_and_a_forgery_refused(client, post):
    assert client.get("/webhooks/post/webhook?challenge=42").text == "42"
    refused = deliver(client, "greet", **{"x-signature": "forged"})
    assert (refused.status_code, refused.json()["error"]) == (401, "the signature is wrong")
    assert deliver(client, "greet").status_code == 202
    assert client.post("/webhooks/nothing/webhook").status_code == 404


def test_a_channel_sees_the_request_as_the_platform_made_it(post):
    with web(channels=[post], public_url="https://bot.example/base/") as client:
        client.post("/webhooks/post/webhook?a=1&b=2", content=b"[]", headers={"X-Signature": "good"})
    (seen,) = post.deliveries
    assert seen.url == "https://bot.example/base/webhooks/post/webhook?a=1&b=2"
    assert (seen.method, seen.body, seen.headers["x-signature"]) == ("POST", b"[]", "good")
    assert dict(seen.query) == {"a": "1", "b": "2"}


def test_a_reply_that_was_not_taken_is_sent_again(client, post, monkeypatch):
    monkeypatch.setattr(module, "pause", lambda attempts: 0.05)
    post.troubles = [SendError("too many", retry_after=0.05), SendError("again", retry_after=0.05)]
    deliver(client, "greet", "bye")
    wait_for(lambda: waiting(client) == 0)
    assert post.sent == [("ann", "Hello!"), ("ann", "Bye.")]
    turns = client.get("/api/conversations/ann/turns", headers=DEVELOPER).json()["turns"]
    assert len(turns) == 2, "the turn is not run again"


def test_a_reply_that_never_will_be_taken_does_not_hold_up_the_others(client, post):
    post.troubles = [SendError("blocked by the user", retry_after=None)]
    deliver(client, "greet", "bye")
    wait_for(lambda: waiting(client) == 0)
    assert post.sent == [("ann", "Bye.")]


def test_after_many_attempts_a_message_is_given_up_and_kept(client, post, monkeypatch):
    monkeypatch.setattr(module, "pause", lambda attempts: 0.0)
    monkeypatch.setattr(module, "MOST_ATTEMPTS", 3)
    post.troubles = [SendError("down", retry_after=0.0)] * 3
    deliver(client, "greet", "bye")
    wait_for(lambda: waiting(client) == 0)
    assert post.sent == [("ann", "Bye.")]
    (letter,) = client.get("/api/conversations/ann/export", headers=DEVELOPER).json()["mailbox"]
    assert (letter["message"]["text"], letter["error"]) == ("greet", "down")


def test_replies_go_on_where_they_stopped(tmp_path, post):
    """A server that dies after the first of two replies; the next sends only the second."""
    url = f"sqlite:///{tmp_path / 'bot.db'}"
    store = SqlTrackerStore(url)
    service = make_service(store)
    message = Message("book", "ann", "post", id="1")
    service.mailbox.put([(message, {"to": "ann"})])

    async def half():
        (letter,) = service.mailbox.claim(1)
        turn = await service.handle(message)
        assert len(turn.replies) == 1
        service.mailbox.mark_sent(letter, 1)
        service.mailbox.put_off(letter, 0, "killed")
        await service.close()

    asyncio.run(half())
    with web(url, channels=[post]) as client:
        wait_for(lambda: waiting(client) == 0)
        deliver(client, "Oslo", first=2)
        wait_for(lambda: waiting(client) == 0)
    assert [text for _, text in post.sent] == ["How many?"]


def test_when_the_store_is_gone_nothing_is_acknowledged(client, post, monkeypatch):
    from dialogue.errors import StoreError

    def gone(_):
        raise StoreError("no route to host")

    monkeypatch.setattr(client.app.state.parts.service.mailbox, "put", gone)
    answer = deliver(client, "greet")
    assert (answer.status_code, answer.json()["retry"]) == (503, True)


def test_a_listener_takes_messages_and_begins_anew_when_it_breaks_down(monkeypatch):
    class Fetching(Post):
        receive = None
        calls = 0

        async def listen(self, take, client):
            self.calls += 1
            if self.calls == 1:
                raise ConnectionError("the line broke")
            await take(Incoming((Heard(Message("greet", "ann", self.name, id="1"), {"to": "ann"}),)))
            await asyncio.Event().wait()

    monkeypatch.setattr(module, "pause", lambda attempts: 0.01)
    fetching = Fetching()
    with web(channels=[fetching]):
        wait_for(lambda: fetching.sent == [("ann", "Hello!")])
    assert fetching.calls == 2


def test_a_channel_that_is_not_served_here_waits(tmp_path):
    url = f"sqlite:///{tmp_path / 'bot.db'}"
    with web(url, channels=[Post()]) as client:
        service = client.app.state.parts.service
        service.mailbox.put([(Message("greet", "ann", "telegraph", id="1"), {"to": "ann"})])
        time.sleep(0.2)
        assert waiting(client) == 1


def test_pauses_grow_and_end():
    assert [pause(attempts) for attempts in (0, 1, 3, 20)] == [1, 2, 8, 300]


def test_reminders_reach_the_platform_their_user_was_last_heard_on(post):
    async def remind():
        store = SqlTrackerStore("sqlite://")
        service = make_service(store)
        service.mailbox.put([(Message("greet", "ann", "post", id="1"), {"to": "ann"})])
        due = Message("EXTERNAL: bye", "ann", "post", id="reminder")
        store.append("ann", None, [], answered=Answered(due, (Reply("Time to go."),)))
        carrier = Courier(service, [post], client=None)
        turn = TurnResult(due, (Reply("Time to go."),), REPEATED, belief(("bye", 1.0)), (), {})
        await carrier.send_due([turn])
        running = asyncio.ensure_future(carrier.run())
        while await service.call(service.mailbox.waiting):
            await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await service.close()

    asyncio.run(asyncio.wait_for(remind(), 20))
    assert post.sent == [("ann", "Hello!"), ("ann", "Time to go.")]
