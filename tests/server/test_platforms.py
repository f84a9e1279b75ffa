"""Every built-in channel behind the real app: from a platform's delivery to the reply it gets."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import httpx
import pytest

from dialogue.channels.testing import malformed
from dialogue.server import app as module
from tests.dialogue import platforms as signers
from tests.dialogue.platforms import platforms
from tests.server.test_courier import wait_for, waiting
from tests.server.web import web

PUBLIC = "https://bot.example.org"
PLATFORMS = platforms()


@pytest.fixture
def asked(monkeypatch):
    """What platforms are asked by the server; `wrong` are answers they give first."""
    calls, wrong = [], []

    async def answer(request):
        await asyncio.sleep(0.01)
        calls.append(request)
        return wrong.pop(0) if wrong else signers.answer(request)

    client = httpx.AsyncClient
    monkeypatch.setattr(module.httpx, "AsyncClient", lambda **_: client(transport=httpx.MockTransport(answer)))
    return calls, wrong


def post(client, delivery, name):
    return client.request(
        delivery.method,
        f"/webhooks/{name}/webhook",
        params=dict(delivery.query),
        headers=dict(delivery.headers),
        content=delivery.body,
    )


def served(*channels):
    return web(channels=channels, public_url=PUBLIC, body_kb=4096)


@pytest.mark.parametrize("name", PLATFORMS)
def test_a_message_is_answered_on_its_platform_once(name, asked):
    calls, _ = asked
    platform = PLATFORMS[name]
    channel = platform.channel
    with served(channel) as client:
        delivery = platform.say("greet", "7001")
        for _ in range(2):
            answer = post(client, delivery, channel.name)
            assert answer.status_code == 200, answer.text
        wait_for(lambda: waiting(client) == 0)
        said = [request for request in calls if b"Hello" in request.content]
        assert len(said) == 1
        forged = replace(delivery, headers={"content-type": "application/json"}, query={})
        assert post(client, forged, channel.name).status_code in (401, 403)


@pytest.mark.parametrize("name", PLATFORMS)
def test_nothing_malformed_breaks_the_server(name, asked):
    platform = PLATFORMS[name]
    with served(platform.channel) as client:
        statuses = {
            post(client, delivery, platform.channel.name).status_code for delivery in malformed(platform, 20, seed=5)
        }
        assert max(statuses) < 500
        assert post(client, platform.say("greet", "7002"), platform.channel.name).status_code == 200


def test_a_reply_that_the_platform_does_not_take_is_sent_again(asked):
    calls, wrong = asked
    wrong += [httpx.Response(200, json={}), httpx.Response(429, headers={"Retry-After": "0.1"}, json={})]
    with served(signers.channel("telegram")) as client:
        wait_for(lambda: calls)
        assert calls[0].url.path.endswith("/setWebhook")
        post(client, PLATFORMS["telegram"].say("greet", "7003"), "telegram")
        wait_for(lambda: waiting(client) == 0)
    assert [request.url.path.rpartition("/")[2] for request in calls[1:]] == ["sendMessage", "sendMessage"]


def test_a_typed_number_presses_the_button_of_the_list(asked):
    calls, _ = asked
    platform = PLATFORMS["twilio"]
    with served(platform.channel) as client:
        for number, text in enumerate(["weather", "1"]):
            post(client, platform.say(text, f"800{number}"), "twilio")
            wait_for(lambda: waiting(client) == 0)
        bodies = [dict(httpx.QueryParams(request.content.decode()))["Body"] for request in calls]
        service = client.app.state.parts.service
        events = service.bot.tracker("twilio:+15550002").events
    said = [event for event in events if event.wire == "user"]
    assert "1. " in bodies[0]
    assert said[-1].metadata["typed"] == "1"
    assert said[-1].text.startswith("/")


def test_a_channel_that_is_not_ready_says_so(asked):
    _, wrong = asked
    wrong += [httpx.Response(503)]
    with served(signers.channel("teams")) as client:
        delivery = PLATFORMS["teams"].say("greet", "7004")
        answer = post(client, delivery, "teams")
        assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
        assert post(client, delivery, "teams").status_code == 200


def test_a_listener_is_run(asked):
    from dialogue.channels.telegram import telegram

    calls, wrong = asked
    update = {"update_id": 5, "message": {"chat": {"id": 42}, "text": "greet"}}
    wrong += [httpx.Response(200, json={"ok": True}), httpx.Response(200, json={"ok": True, "result": [update]})]
    with served(telegram(token="1:T")) as client:
        wait_for(lambda: any(b"Hello" in request.content for request in calls))
        wait_for(lambda: waiting(client) == 0)
    asked_for = [json.loads(request.content) for request in calls if request.url.path.endswith("getUpdates")]
    assert asked_for[1]["offset"] == 6
