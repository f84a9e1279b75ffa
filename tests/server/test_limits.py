"""How much may be asked for, and what is said about it."""

from __future__ import annotations

import asyncio
import logging

import pytest

from dialogue.errors import MissingExtraError, StoreError
from dialogue.sections import Rates
from dialogue.server.limits import LimitedError, Limiter
from tests.server.web import DEVELOPER, say, visitor, web

FREE = {"sender": None, "address": None, "key": None}


def post(client, conversation, text, headers=DEVELOPER):
    return client.post(f"/api/conversations/{conversation}/messages", json={"text": text}, headers=headers)


def test_messages_of_a_conversation_are_counted():
    with web(rates={**FREE, "sender": "2/minute"}) as client:
        assert [post(client, "ann", "greet").status_code for _ in range(3)] == [200, 200, 429]
        refused = post(client, "ann", "greet")
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert refused.json() == {"error": "too many requests: at most 2 per 1 minute for each sender", "retry": True}
        assert post(client, "bob", "greet").status_code == 200


def test_requests_with_a_token_are_counted():
    with web(rates={**FREE, "key": "2/minute"}) as client:
        assert [client.get("/api/model", headers=DEVELOPER).status_code for _ in range(3)] == [200, 200, 429]
        assert post(client, *visitor(client)[:1], "greet", visitor(client)[1]).status_code == 403, "others may still"


def test_requests_of_an_address_are_counted_but_for_health():
    with web(rates={**FREE, "address": "2/minute"}) as client:
        assert [client.post("/api/session").status_code for _ in range(3)] == [200, 200, 429]
        assert client.post("/api/session").headers["retry-after"]
        assert client.get("/health/live").status_code == 200


def test_the_window_moves():
    async def hits():
        limiter = Limiter(Rates(sender="2/second"))
        for _ in range(2):
            await limiter.hit("sender", "ann")
        with pytest.raises(LimitedError) as refused:
            await limiter.hit("sender", "ann")
        await asyncio.sleep(refused.value.retry_after + 0.05)
        await limiter.hit("sender", "ann")

    asyncio.run(hits())


def test_redis_without_its_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "redis", None)
    monkeypatch.setitem(__import__("sys").modules, "redis.asyncio", None)
    with pytest.raises(MissingExtraError, match=r'pip install "starfold\[redis\]"'):
        Limiter(Rates(), "redis://127.0.0.1:6379")


@pytest.mark.parametrize("told", [True, False], ids=["told", "chunked"])
def test_a_body_that_is_too_large_is_turned_away(told):
    body = b'{"text": "' + b"x" * 3000 + b'"}'
    with web(body_kb=2) as client:
        content = body if told else iter([body[:1500], body[1500:]])
        headers = {**DEVELOPER, "Content-Type": "application/json"}
        answer = client.post("/api/conversations/ann/messages", content=content, headers=headers)
        assert (answer.status_code, answer.json()["retry"]) == (413, False)
        assert say(client, "greet")["replies"]


def test_too_many_waiting_turns_are_refused():
    with web(service={"most_waiting": 0}) as client:
        refused = post(client, "ann", "greet")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")


def test_a_slow_turn_goes_on_and_is_answered_when_asked_again():
    import time

    from dialogue.actions.base import ActionResult
    from dialogue.message import Reply
    from tests.dialogue.desk import Custom, make_bot

    class Slow(Custom):
        def run(self, request):
            time.sleep(0.4)
            return ActionResult(replies=(Reply("at last"),))

    with web(bot=lambda store: make_bot(store=store, custom=Slow()), patience=0.1) as client:
        body = {"text": "weather", "id": "m1"}
        first = client.post("/api/conversations/ann/messages", json=body, headers=DEVELOPER)
        assert (first.status_code, first.json()["retry"]) == (504, True)
        time.sleep(0.6)
        again = client.post("/api/conversations/ann/messages", json=body, headers=DEVELOPER).json()
        assert again["replies"][0] == {"text": "at last"}
        assert again["repeated"] is True


@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [
        (StoreError("store postgresql://bot@10.0.0.7/db: no route to host"), 503, "cannot be reached just now"),
        (ZeroDivisionError("in /srv/secret/path.py"), 500, "something went wrong here"),
    ],
)
def test_a_client_sees_no_inside(monkeypatch, caplog, error, status, sentence):
    caplog.set_level(logging.ERROR)
    with web() as client:

        async def fail(*_, **__):
            raise error

        monkeypatch.setattr(client.app.state.parts.service, "handle", fail)
        answer = post(client, "ann", "greet")
        headers = {**DEVELOPER, "Accept": "text/event-stream"}
        stream = client.post("/api/conversations/ann/messages", json={"text": "greet"}, headers=headers)
    assert answer.status_code == status
    for text in (answer.text, stream.text):
        assert sentence in text
        for inside in ("Traceback", "10.0.0.7", "/srv", "ZeroDivision", ".py"):
            assert inside not in text
    assert str(error) in caplog.text, "whoever runs the server sees it"
