"""The clock is set, forward and back, while a server works: what users see, and what the store holds."""

from __future__ import annotations

import asyncio
import os
import shutil
import struct
import subprocess
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest

from dialogue.events import SlotSet, UserUttered
from dialogue.message import Message
from dialogue.sections import Rates, Serving
from dialogue.server import chores, courier
from dialogue.server.courier import Courier
from dialogue.server.limits import LimitedError, Limiter
from dialogue.server.parts import Parts
from dialogue.store.sql import SqlTrackerStore
from tests.dialogue.servers import FakeServer
from tests.dialogue.stores import scratch_schema
from tests.server.desk_server import Desk, desk
from tests.server.web import DEVELOPER, make_service

HOUR, DAY = 3600, 86400
SOURCE = Path(__file__).parent / "set_clock.c"


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """The C library's clock, with a hand on it."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None and not os.environ.get("CI"):
        pytest.skip("no C compiler")
    built = tmp_path_factory.mktemp("clock") / "set_clock.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", built, SOURCE, "-ldl"], check=True)
    return built


class Clock:
    """The wall clock of servers that start now: `set(seconds)` is how far it is from the true time."""

    def __init__(self, file: Path) -> None:
        self._file = file
        file.write_bytes(struct.pack("q", 0))

    def set(self, seconds: int) -> None:
        with self._file.open("r+b", buffering=0) as file:
            file.write(struct.pack("q", seconds))


@pytest.fixture
def clock(library, tmp_path, monkeypatch):
    monkeypatch.setenv("LD_PRELOAD", str(library))
    monkeypatch.setenv("STARFOLD_CLOCK", str(tmp_path / "clock"))
    return Clock(tmp_path / "clock")


def say(server, conversation, text, headers=DEVELOPER, **more):
    path = f"{server.base}/api/conversations/{conversation}/messages"
    return httpx.post(path, json={"text": text, **more}, headers=headers, timeout=30)


def deliver(server, sender, text):
    answer = httpx.post(f"{server.base}/webhooks/post/webhook", json=[{"sender": sender, "id": text, "text": text}])
    assert answer.status_code == 200


def wait_until(true, seconds=20.0):
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.02)


def sent(platform):
    return [(request["to"], request["text"]) for request in list(platform.requests)]


def test_nothing_is_lost_doubled_or_reordered(clock, tmp_path):
    """The clock is set while messages are being answered; the last time it is three days behind."""
    url = f"sqlite:///{tmp_path / 'bot.db'}"
    jumps = (HOUR // 2, -HOUR // 2, DAY + HOUR, 0, -3 * DAY)
    texts = [f"weather wait {number}" for number in range(len(jumps))]
    with FakeServer((200, {})) as platform, desk(url, platform.url) as server:
        for text, seconds in zip(texts, jumps, strict=True):
            deliver(server, "ann", text)
            time.sleep(0.3)
            clock.set(seconds)
            assert say(server, "bob", text).json()["replies"][0]["text"] == f"answer to {text}"
        wait_until(lambda: len(platform.requests) >= 2 * len(texts))
        time.sleep(1)
        twice = {one: number for one, number in Counter(sent(platform)).items() if number > 1}
    store = SqlTrackerStore(url)
    for sender in ("ann", "bob"):
        told = [event.text for event in store.events(sender) if isinstance(event, UserUttered)]
        assert told == texts
    store.close()
    assert twice == {("ann", "Shall I book?"): len(texts)}
    answers = [text for _, text in sent(platform) if text.startswith("answer")]
    assert answers == [f"answer to {text}" for text in texts]


def test_a_reminder_comes_once_however_often_its_time_comes(clock, tmp_path):
    url = f"sqlite:///{tmp_path / 'bot.db'}"
    with FakeServer((200, {})) as platform, desk(url, platform.url) as server:
        deliver(server, "ann", "weather remind")
        wait_until(lambda: len(platform.requests) == 2)
        for seconds in (-DAY, 2 * HOUR, 0, 2 * HOUR):
            clock.set(seconds)
            time.sleep(chores.REMINDER_SECONDS + 0.5)
            said = Counter(text for _, text in sent(platform))
            assert said["Bye."] == (seconds >= 0)
        assert httpx.get(f"{server.base}/health/ready").status_code == 200


def test_a_visitor_keeps_the_conversation(clock, tmp_path):
    """A token that seems to have expired is renewed, as the widget does; behind its time it is good."""
    with desk(f"sqlite:///{tmp_path / 'bot.db'}") as server:
        session = httpx.post(f"{server.base}/api/session").json()
        mine, shown = session["conversation"], {"Authorization": f"Bearer {session['token']}"}
        assert say(server, mine, "greet", shown).status_code == 200
        clock.set(-DAY)
        assert say(server, mine, "weather", shown).status_code == 200
        clock.set(2 * HOUR)
        assert say(server, mine, "bye", shown).status_code == 401
        renewed = httpx.post(f"{server.base}/api/session", headers=shown).json()
        assert renewed["conversation"] == mine
        clock.set(0)
        again = {"Authorization": f"Bearer {renewed['token']}"}
        assert say(server, mine, "bye", again).json()["replies"] == [{"text": "Bye."}]
        items = httpx.get(f"{server.base}/api/conversations/{mine}/messages", headers=again).json()["items"]
        assert [item["text"] for item in items if item["type"] == "user"] == ["greet", "weather", "bye"]


def test_a_clock_set_back_does_not_keep_replies_waiting(clock, tmp_path):
    with FakeServer((503, {}), (200, {})) as platform, desk(f"sqlite:///{tmp_path / 'bot.db'}", platform.url) as server:
        deliver(server, "ann", "greet")
        wait_until(lambda: len(platform.requests) == 1)
        clock.set(-HOUR // 2)
        wait_until(lambda: len(platform.requests) == 2, seconds=8)


def test_a_letter_in_work_is_not_begun_again(monkeypatch):
    """Set forward, the clock lets every lease run out; a courier knows what it has in hand."""
    sent = []

    class Slow:
        name = "post"

        async def send(self, reply, address, client):
            sent.append(reply.text)
            await asyncio.sleep(0.5)

    async def work():
        service = make_service(SqlTrackerStore("sqlite://"))
        service.mailbox.put([(Message("greet", "ann", "post", id="1"), {})])
        running = asyncio.ensure_future(Courier(service, [Slow()], client=None).run())
        while not sent:
            await asyncio.sleep(0.01)
        truth = time.time
        monkeypatch.setattr(time, "time", lambda: truth() + HOUR)
        while service.mailbox.waiting():
            await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await service.close()

    monkeypatch.setattr(courier, "POLL", 0.05)
    asyncio.run(asyncio.wait_for(work(), 20))
    assert sent == ["Hello!"]


@pytest.mark.server("postgres")
def test_servers_whose_clocks_differ_send_nothing_twice(clock):
    """One is an hour ahead; leases go by the database's clock, so that neither takes the other's letters."""
    texts = [f"weather wait {number}" for number in range(2)]
    with scratch_schema() as url, FakeServer((200, {})) as platform, desk(url, platform.url) as right:
        clock.set(HOUR)
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("LD_PRELOAD")
            other = Desk(url, platform.url, {})
            other.start()
        try:
            other.ready()
            users = [f"user {number}" for number in range(8)]
            for text in texts:
                for number, user in enumerate(users):
                    deliver((right, other)[number % 2], user, text)
            wait_until(lambda: len(platform.requests) >= 2 * len(users) * len(texts), seconds=60)
            time.sleep(1)
        finally:
            other.process.kill()
            other.end()
        said = Counter(one for one in sent(platform) if one[1].startswith("answer"))
        assert said == {(user, f"answer to {text}"): 1 for user in users for text in texts}


def test_rates_forget_what_a_clock_counted_that_was_ahead(monkeypatch):
    truth, ahead = time.time, HOUR
    monkeypatch.setattr(time, "time", lambda: truth() + ahead)

    async def talk():
        nonlocal ahead
        limiter = Limiter(Rates(sender="2/minute"))
        for _ in range(2):
            await limiter.hit("sender", "ann")
        ahead = 0
        for _ in range(2):
            await limiter.hit("sender", "ann")
        with pytest.raises(LimitedError) as refused:
            await limiter.hit("sender", "ann")
        assert refused.value.retry_after <= 60

    asyncio.run(talk())


def test_a_clock_that_is_wrong_deletes_no_conversation(monkeypatch):
    """Set a year forward it makes all look old; nothing goes before it has run steadily for a while."""
    truth, ahead = time.time, 0
    monkeypatch.setattr(time, "time", lambda: truth() + ahead)
    monkeypatch.setattr(chores, "TIDY_SECONDS", 0.3)

    async def serve():
        nonlocal ahead
        store = SqlTrackerStore("sqlite://")
        store.append("ann", None, [SlotSet("x", 1)])
        store.append("old", None, [SlotSet("x", 1, timestamp=truth() - 40 * DAY)])
        service = make_service(store)
        parts = Parts(service, Serving(retention_days=30), *[None] * 3)
        tidying = asyncio.ensure_future(chores.tidy(parts))
        await asyncio.sleep(0.1)
        ahead = 365 * DAY
        await asyncio.sleep(0.35)
        while_wrong = sorted(store.conversations())
        ahead = 0
        await asyncio.sleep(0.3)
        when_noticed = sorted(store.conversations())
        await asyncio.sleep(0.3)
        later = store.conversations()
        tidying.cancel()
        await service.close()
        return while_wrong, when_noticed, later

    assert asyncio.run(serve()) == (["ann", "old"], ["ann", "old"], ["ann"])
