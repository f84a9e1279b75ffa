"""The WebSocket: resume, resend, order, other channels, and frames that make no sense."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from starlette.websockets import WebSocketDisconnect

from tests.server.web import TOKEN, say, web

OPEN = ExitStack()


@pytest.fixture
def client():
    with web() as made, OPEN:
        yield made


def connected(client, after=0, token=TOKEN, conversation="ann"):
    socket = OPEN.enter_context(client.websocket_connect("/api/ws"))
    hello = {"type": "hello", "token": token, "after": after}
    socket.send_json({**hello, "conversation": conversation} if conversation else hello)
    return socket


def until_done(socket, message_id):
    """The frames up to the end of a message's answer."""
    frames = []
    while not frames or (frames[-1]["type"], frames[-1].get("message_id")) != ("done", message_id):
        frames.append(socket.receive_json())
        assert frames[-1]["type"] != "error", frames[-1]
    return frames


def kinds(frames):
    return [frame["type"] for frame in frames]


def test_a_message_is_answered_frame_by_frame(client):
    socket = connected(client)
    assert socket.receive_json() == {"type": "ready", "conversation": "ann", "last": 0}
    socket.send_json({"type": "message", "id": "m1", "text": "weather"})
    frames = until_done(socket, "m1")
    assert kinds(frames) == ["typing", "user", "reply", "done"]
    assert frames[2]["buttons"] == [{"title": "Please do", "payload": "/affirm"}]
    assert {frame["message_id"] for frame in frames} == {"m1"}
    assert frames[-1]["last"] > frames[2]["sequence"] > frames[1]["sequence"]
    socket.send_json({"type": "ping"})
    assert socket.receive_json() == {"type": "pong"}
    socket.close()


def test_a_visitor_is_in_the_conversation_of_the_token(client):
    session = client.post("/api/session").json()
    socket = connected(client, token=session["token"], conversation=None)
    assert socket.receive_json()["conversation"] == session["conversation"]
    other = connected(client, token=session["token"], conversation="ann")
    assert other.receive_json()["conversation"] == session["conversation"], "and in no other"


def test_after_a_disconnect_nothing_is_lost_and_nothing_doubled(client):
    socket = connected(client)
    socket.receive_json()
    socket.send_json({"type": "message", "id": "m1", "text": "greet"})
    before = until_done(socket, "m1")
    socket.close()
    say(client, "bye", id="elsewhere")
    again = connected(client, after=before[-1]["last"])
    assert again.receive_json()["type"] == "ready"
    missed = [again.receive_json() for _ in range(2)]
    assert [(item["type"], item["text"]) for item in missed] == [("user", "bye"), ("reply", "Bye.")]
    again.send_json({"type": "message", "id": "m1", "text": "greet"})
    assert kinds(until_done(again, "m1")) == ["typing", "done"], "sent again, it is answered already"
    again.close()
    fresh = connected(client)
    fresh.receive_json()
    assert [fresh.receive_json()["text"] for _ in range(4)] == ["greet", "Hello!", "bye", "Bye."]


def test_a_reply_that_was_missed_comes_with_its_message(client):
    say(client, "greet", id="m1")
    whole = client.get(f"/api/conversations/ann/messages?token={TOKEN}").json()["items"]
    socket = connected(client, after=whole[0]["sequence"])
    socket.receive_json()
    frame = socket.receive_json()
    assert (frame["type"], frame["text"], frame["message_id"]) == ("reply", "Hello!", "m1")


def test_what_another_channel_adds_comes_in(client):
    socket = connected(client)
    socket.receive_json()
    say(client, "greet", id="http")
    frames = [socket.receive_json() for _ in range(2)]
    assert [(frame["text"], frame["message_id"]) for frame in frames] == [("greet", "http"), ("Hello!", "http")]


def test_messages_sent_at_once_are_answered_in_order(client):
    socket = connected(client)
    socket.receive_json()
    for number in range(10):
        socket.send_json({"type": "message", "id": str(number), "text": "greet" if number % 2 else "bye"})
    frames = until_done(socket, "9")
    said = [frame["message_id"] for frame in frames if frame["type"] == "user"]
    done = [frame["message_id"] for frame in frames if frame["type"] == "done"]
    assert said == done == [str(number) for number in range(10)]
    assert len([frame for frame in frames if frame["type"] == "reply"]) == 10


def test_a_deleted_conversation_begins_anew(client):
    socket = connected(client)
    socket.receive_json()
    socket.send_json({"type": "message", "id": "m1", "text": "weather"})
    until_done(socket, "m1")
    client.delete(f"/api/conversations/ann?token={TOKEN}")
    socket.send_json({"type": "message", "id": "m1", "text": "greet"})
    assert [frame.get("text") for frame in until_done(socket, "m1")] == [None, "greet", "Hello!", None]


def test_feedback(client):
    socket = connected(client)
    socket.receive_json()
    socket.send_json({"type": "message", "id": "m1", "text": "greet"})
    until_done(socket, "m1")
    socket.send_json({"type": "feedback", "message_id": "m1", "rating": "up"})
    socket.send_json({"type": "ping"})
    assert socket.receive_json() == {"type": "pong"}
    exported = client.get(f"/api/conversations/ann/export?token={TOKEN}").json()
    assert [one["rating"] for one in exported["feedback"]] == ["up"]


@pytest.mark.parametrize(
    "frame",
    [
        "no json",
        "[]",
        '"text"',
        "{}",
        '{"type": "dance"}',
        '{"type": "message"}',
        '{"type": "message", "id": "a"}',
        '{"type": "message", "id": "", "text": "x"}',
        '{"type": "message", "id": "a", "text": "\\ud800"}',
        '{"type": "message", "id": 5, "text": "x"}',
        '{"type": "feedback", "message_id": "nobody", "rating": "up"}',
        '{"type": "feedback", "message_id": "a", "rating": "sideways"}',
        '{"type": "message", "id": "a", "text": "' + "x" * 5000 + '"}',
    ],
)
def test_a_frame_that_makes_no_sense_is_refused_and_the_connection_stays(client, frame):
    socket = connected(client)
    socket.receive_json()
    socket.send_text(frame)
    error = socket.receive_json()
    assert (error["type"], error["retry"]) == ("error", False)
    socket.send_json({"type": "message", "id": "m1", "text": "greet"})
    assert kinds(until_done(socket, "m1")) == ["typing", "user", "reply", "done"]


@pytest.mark.parametrize(
    "hello",
    [
        "nonsense",
        "{}",
        '{"type": "message", "id": "a", "text": "greet"}',
        '{"type": "hello", "token": "wrong"}',
        '{"type": "hello", "token": "developer-token"}',
        '{"type": "hello", "token": "developer-token", "conversation": "ann", "after": -1}',
    ],
)
def test_without_a_good_hello_the_connection_ends(client, hello):
    with client.websocket_connect("/api/ws") as socket:
        socket.send_text(hello)
        assert socket.receive_json()["type"] == "error"
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json()
    assert closed.value.code == 4401


def test_a_turn_that_fails_is_told(client, monkeypatch):
    async def fail(*_, **__):
        raise ZeroDivisionError("inside")

    monkeypatch.setattr(client.app.state.parts.service, "handle", fail)
    socket = connected(client)
    socket.receive_json()
    socket.send_json({"type": "message", "id": "m1", "text": "greet"})
    frames = [socket.receive_json() for _ in range(2)]
    assert kinds(frames) == ["typing", "error"]
    assert frames[1]["message_id"] == "m1"
    assert "inside" not in frames[1]["message"]
