"""What turns share: a pass of the encoders, and the model, which is exchanged under them."""

from __future__ import annotations

import asyncio
import json
import logging
import time

import httpx
import pytest

from dialogue.message import Message
from dialogue.sections import Rates, Serving
from dialogue.server.app import create_app
from dialogue.server.auth import Authority
from dialogue.server.batching import Batches
from dialogue.server.logs import JsonFormatter, conversation_id, masked
from dialogue.store.sql import SqlTrackerStore
from tests.dialogue.desk import SlowDesk, make_bot
from tests.server.web import DEVELOPER, TOKEN, VISITOR_SECRET, make_service


class Work:
    """Works slowly, and remembers its batches."""

    def __init__(self, seconds=0.05):
        self.batches: list[list[str]] = []
        self._seconds = seconds

    def __call__(self, texts):
        self.batches.append(list(texts))
        time.sleep(self._seconds)
        if "boom" in texts:
            raise ZeroDivisionError("boom")
        return [text.upper() for text in texts]


def working(work, talk, **options):
    """What `talk` returns, which is given the batches."""

    async def run():
        batches = Batches(work, "test", **options)
        try:
            return await talk(batches)
        finally:
            batches.close()

    return asyncio.run(run())


def test_one_alone_waits_for_nobody(monkeypatch):
    monkeypatch.setattr("dialogue.server.batching.MOMENT", 60.0)
    work = Work(0)

    async def talk(batches):
        return [await batches.run(text) for text in "abc"]

    assert working(work, talk) == ["A", "B", "C"]
    assert work.batches == [["a"], ["b"], ["c"]]


def test_what_comes_while_others_are_worked_on_is_worked_on_together():
    work = Work()
    texts = [f"text {number}" for number in range(20)]

    async def talk(batches):
        return await asyncio.gather(*map(batches.run, texts))

    assert working(work, talk, most=8) == [text.upper() for text in texts]
    assert [len(batch) for batch in work.batches] == [1, 8, 8, 3]
    assert [text for batch in work.batches for text in batch] == texts, "in the order they came"


def test_those_just_served_are_waited_for_a_moment(monkeypatch):
    monkeypatch.setattr("dialogue.server.batching.MOMENT", 0.3)
    work = Work(0.02)

    async def talk(batches):
        async def come_again(text):
            await batches.run(text)
            await asyncio.sleep(0.01)
            await batches.run(text)

        await asyncio.gather(*map(come_again, "abc"))

    working(work, talk)
    assert [sorted(batch) for batch in work.batches] == [["a"], ["a", "b", "c"], ["b", "c"]]


def test_whoever_is_waited_for_in_vain_holds_up_nobody_for_long(monkeypatch):
    monkeypatch.setattr("dialogue.server.batching.MOMENT", 0.05)
    work = Work(0.01)

    async def talk(batches):
        await asyncio.gather(*map(batches.run, "abc"))
        begun = time.monotonic()
        await batches.run("d")
        first = time.monotonic() - begun
        monkeypatch.setattr("dialogue.server.batching.MOMENT", 60.0)
        await batches.run("e")
        return first

    assert 0.05 <= working(work, talk) < 5
    assert work.batches == [["a"], ["b", "c"], ["d"], ["e"]], "who was alone last time waits for nobody"


def test_an_error_reaches_everybody_of_the_batch_and_nobody_else():
    async def talk(batches):
        found = await asyncio.gather(*map(batches.run, ("first", "boom", "beside")), return_exceptions=True)
        return [*found, await batches.run("later")]

    first, boom, beside, later = working(Work(), talk)
    assert (first, later) == ("FIRST", "LATER")
    assert isinstance(boom, ZeroDivisionError)
    assert isinstance(beside, ZeroDivisionError)


def test_nobody_is_forgotten_however_many_come_and_whatever_fails_or_is_cancelled():
    outcomes: dict[str, list[str]] = {}

    async def talk(batches):
        async def one(name):
            texts = ["boom" if number % 7 == 3 else f"{name} {number}" for number in range(60)]
            for number, text in enumerate(texts):
                try:
                    told = await asyncio.wait_for(batches.run(text), 1e-4 if number % 11 == 5 else 30)
                except (ZeroDivisionError, asyncio.TimeoutError):
                    told = "failed"
                outcomes.setdefault(name, []).append(told)
                assert told in (text.upper(), "failed")

        await asyncio.wait_for(asyncio.gather(*(one(f"user {i}") for i in range(16))), 60)
        return await batches.run("later")

    assert working(Work(0), talk, most=3) == "LATER"
    assert [len(outcomes[f"user {i}"]) for i in range(16)] == [60] * 16


def test_a_batch_means_what_its_texts_mean_alone(tmp_path):
    from dialogue.training.trainer import train_model
    from tests.dialogue import tinybots

    model = train_model(tinybots.config(tmp_path), tinybots.corpus(), lambda stage, done, total: None)
    texts = ["hello please", "pizza now and soup", "rain", "", "wifi the dog", "what"]
    together = model.parse_many(texts)
    for text, one in zip(texts, together, strict=True):
        alone = model.parse(text)
        assert [c.name for c in one.intents] == [c.name for c in alone.intents]
        assert [c.mean for c in one.intents] == pytest.approx([c.mean for c in alone.intents], abs=1e-5)
        assert one.unknown == pytest.approx(alone.unknown, abs=1e-5)


async def beside_a_slow_action(desk):
    """Who is answered, in order, while an action takes its time and after it; and what drains."""
    store = SqlTrackerStore("sqlite://")
    service = make_service(store, make_bot(store=store, custom=desk))
    answered = []

    async def say(sender, text):
        turn = await service.handle(Message(text, sender=sender))
        answered.append((sender, turn.replies[0].text))

    said = [asyncio.ensure_future(say(*one)) for one in (("ann", "weather"), ("ann", "greet"), ("bob", "greet"))]
    await said[2]
    await say("cem", "greet")
    draining = asyncio.ensure_future(service.drain())
    await asyncio.sleep(0.05)
    waiting = service.waiting, draining.done()
    desk.go_on.set()
    await asyncio.gather(*said, draining)
    await service.close()
    return answered, waiting


def test_who_waits_for_a_slow_action_is_its_own_conversation_and_what_drains():
    answered, waiting = asyncio.run(beside_a_slow_action(SlowDesk(at_once=False)))
    assert answered == [("bob", "Hello!"), ("cem", "Hello!"), ("ann", "Sun."), ("ann", "Hello!")]
    assert waiting == (2, False)


async def under_load(swaps):
    store = SqlTrackerStore("sqlite://")
    service = make_service(store)
    free = Serving(rates=Rates(sender=None, address=None, key=None))
    app = create_app(service, free, Authority([TOKEN], visitor_secret=VISITOR_SECRET))
    transport = httpx.ASGITransport(app)
    done, statuses = asyncio.Event(), []
    async with httpx.AsyncClient(transport=transport, base_url="http://bot", headers=DEVELOPER) as client:

        async def talk(name):
            while not done.is_set():
                answer = await client.post(f"/api/conversations/{name}/messages", json={"text": "greet"})
                statuses.append((answer.status_code, answer.json()["replies"]))

        talking = [asyncio.ensure_future(talk(f"user {number}")) for number in range(6)]
        versions = []
        for number in range(swaps):
            answer = await client.put("/api/model", json={"version": ("two", "one", "three")[number % 3]})
            versions.append(answer.status_code)
            await asyncio.sleep(0.02)
        done.set()
        await asyncio.gather(*talking)
    await service.close()
    return versions, statuses


def test_the_model_is_exchanged_while_turns_go_on():
    versions, statuses = asyncio.run(under_load(9))
    assert versions == [200, 200, 409] * 3
    assert len(statuses) > 9
    assert all(status == (200, [{"text": "Hello!"}]) for status in statuses)


# --- logs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("write to ann.lee+x@mail.example.org now", "write to <e-mail> now"),
        ("call +49 (89) 123456-78", "call <number>"),
        ("card 4111 1111 1111 1111 is", "card <number> is"),
        ("IBAN DE89 3704 0044 0532 0130 00", "IBAN <iban>"),
        ("GET /api?token=abc123&x=1", "GET /api?token=<secret>&x=1"),
        ("Authorization: Bearer-abc", "Authorization: <secret>"),
        ("turn 12 took 345 ms at 10:22:33", "turn 12 took 345 ms at 10:22:33"),
        ("version 20261125-061935-b1e4b8", "version 20261125-061935-b1e4b8"),
    ],
)
def test_what_tells_who_a_person_is_does_not_get_into_the_log(text, shown):
    assert masked(text) == shown


def test_a_log_line_is_json_with_conversation_and_error():
    formatter = JsonFormatter()
    conversation_id.set("+4989123456789")
    try:
        raise ValueError("no mail for ann@mail.example")
    except ValueError as error:
        record = logging.LogRecord(
            "dialogue", logging.ERROR, __file__, 1, "failed %s", ("x",), (ValueError, error, None)
        )
    line = json.loads(formatter.format(record))
    conversation_id.set(None)
    assert (line["level"], line["logger"], line["message"]) == ("error", "dialogue", "failed x")
    assert line["conversation"] == "<number>"
    assert "<e-mail>" in line["error"]
