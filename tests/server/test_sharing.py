"""What turns share: a pass of the encoders, and the model, which is exchanged under them."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from dialogue.sections import Rates, Serving
from dialogue.server.app import create_app
from dialogue.server.auth import Authority
from dialogue.server.batching import Batched
from dialogue.server.logs import JsonFormatter, conversation_id, masked
from dialogue.store.sql import SqlTrackerStore
from policies.testing import belief
from tests.server.web import DEVELOPER, TOKEN, VISITOR_SECRET, make_service


class Reader:
    """Reads slowly, and remembers its batches."""

    def __init__(self, seconds=0.05):
        self.batches: list[list[str]] = []
        self.timings = {"encode": 8.0}
        self._seconds = seconds

    def parse_many(self, texts):
        self.batches.append(list(texts))
        time.sleep(self._seconds)
        if "boom" in texts:
            raise ZeroDivisionError("boom")
        return [belief((text, 0.9)) for text in texts]


def test_one_text_alone_waits_for_nobody():
    reader = Reader(0)
    assert Batched(reader).parse("greet").top.name == "greet"
    assert reader.batches == [["greet"]]


def test_texts_that_come_while_others_are_read_are_read_together():
    reader = Reader()
    batched = Batched(reader, most=8)
    texts = [f"text {number}" for number in range(20)]
    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(batched.parse, texts))
    assert [one.top.name for one in found] == texts
    assert sorted(text for batch in reader.batches for text in batch) == sorted(texts)
    assert len(reader.batches) <= 6
    assert max(map(len, reader.batches)) == 8


def test_the_next_batch_waits_a_moment_until_it_is_as_large_as_the_last(monkeypatch):
    monkeypatch.setattr("dialogue.server.batching.MOMENT", 5.0)
    reader = Reader(0)
    batched = Batched(reader)
    batched._size = 3
    with ThreadPoolExecutor(3) as pool:
        for text in "abc":
            pool.submit(batched.parse, text)
            time.sleep(0.02)
    assert [sorted(batch) for batch in reader.batches] == [["a", "b", "c"]]
    monkeypatch.setattr("dialogue.server.batching.MOMENT", 0.01)
    assert batched.parse("alone").top.name == "alone"
    monkeypatch.setattr("dialogue.server.batching.MOMENT", 60.0)
    assert batched.parse("again").top.name == "again", "who was alone last time waits for nobody"


def test_each_turn_is_told_its_share_of_the_time():
    reader = Reader()
    batched = Batched(reader)

    def read(text):
        batched.parse(text)
        return batched.timings["encode"]

    with ThreadPoolExecutor(10) as pool:
        shares = list(pool.map(read, "abcdefghij"))
    assert sum(shares) == pytest.approx(8.0 * len(reader.batches))


def test_an_error_reaches_everybody_of_the_batch_and_nobody_else():
    reader = Reader()
    batched = Batched(reader)
    outcomes = {}

    def read(text):
        try:
            outcomes[text] = batched.parse(text).top.name
        except RuntimeError as error:
            outcomes[text] = str(error)

    threads = [threading.Thread(target=read, args=(text,)) for text in ("first", "boom", "beside")]
    for thread in threads:
        thread.start()
        time.sleep(0.01)
    for thread in threads:
        thread.join()
    assert outcomes == {"first": "first", **dict.fromkeys(("boom", "beside"), "the message could not be read: boom")}
    assert batched.parse("later").top.name == "later"


def test_nobody_is_forgotten_however_many_come_and_whatever_fails():
    batched = Batched(Reader(0), most=3)
    outcomes: dict[str, list[str]] = {}

    def talk(name):
        texts = ["boom" if number % 7 == 3 else f"{name} {number}" for number in range(60)]
        for text in texts:
            try:
                told = batched.parse(text).top.name
            except RuntimeError:
                told = "failed"
            outcomes.setdefault(name, []).append(told)
            assert told in (text, "failed")

    threads = [threading.Thread(target=talk, args=(f"user {i}",), daemon=True) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [len(outcomes[f"user {i}"]) for i in range(16)] == [60] * 16
    assert not batched._waiting
    assert batched.parse("later").top.name == "later"


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
