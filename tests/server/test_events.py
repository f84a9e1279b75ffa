"""Events on their way to a message broker: all of them, in order, whatever happens to the broker."""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from contextlib import ExitStack, asynccontextmanager
from urllib.parse import urlsplit

import pytest

from dialogue.brokers import broker_of
from dialogue.errors import MissingExtraError, StarfoldError
from dialogue.events import SlotSet
from dialogue.sections import Events
from dialogue.server import publisher as module
from dialogue.server.publisher import Publisher
from dialogue.store import leases, outbox
from dialogue.store.outbox import Outbox
from dialogue.store.sql import SqlTrackerStore
from tests.dialogue.stores import scratch_schema
from tests.server.event_brokers import broker
from tests.server.test_courier import wait_for
from tests.server.test_processes import Cable
from tests.server.web import DEVELOPER, make_service, say, web

REAL = [pytest.param(name, marks=pytest.mark.server(name)) for name in ("rabbitmq", "nats", "redis")]


def stored(client, *conversations):
    """The messages that the stored events make."""
    store = client.app.state.parts.service.store
    return {
        name: [
            {"sender_id": name, "sequence": number, **event.as_dict()}
            for number, event in enumerate(store.events(name), 1)
        ]
        for name in conversations
    }


def by_sender(messages):
    found = {}
    for one in messages:
        found.setdefault(one["sender_id"], []).append(one)
    return found


def metric(client, name):
    text = client.get("/metrics", headers=DEVELOPER).text
    (line,) = [line for line in text.splitlines() if line.startswith(f"{name} ")]
    return float(line.split()[1])


@pytest.mark.parametrize("name", [*REAL, "kafka"])
def test_every_event_is_published_once_and_in_order(name):
    with broker(name) as there, web(events=Events(url=there.url, topic=there.topic)) as client:
        for text in ("greet", "weather", "bye"):
            say(client, text, "ann \u00e4")
            say(client, text, "bob")
        expected = stored(client, "ann \u00e4", "bob")
        count = sum(map(len, expected.values()))
        assert by_sender(there.wait(count)) == expected
        wait_for(lambda: metric(client, "starfold_outbox") == 0)
        assert metric(client, "starfold_published_total") == count
        say(client, "greet", "bob")
        expected = stored(client, "ann \u00e4", "bob")
        assert by_sender(there.wait(sum(map(len, expected.values())))) == expected


# The client of NATS leaves the socket of a refused connection to the garbage collector, which is called at the end,
# so that it does not come in a test that lets no warning pass.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", REAL)
def test_a_broker_that_goes_away_and_comes_back(name, monkeypatch):
    monkeypatch.setattr(module, "LONGEST_PAUSE", 1.0)
    with ExitStack() as stack:
        there = stack.enter_context(broker(name))
        direct = urlsplit(there.url)
        cable = Cable(direct.hostname, direct.port)
        stack.callback(cable.close)
        through = there.url.replace(f"{direct.hostname}:{direct.port}", f"127.0.0.1:{cable.port}")
        client = stack.enter_context(web(events=Events(url=through, topic=there.topic)))
        say(client, "greet")
        there.wait(len(stored(client, "ann")["ann"]))
        cable.pull()
        before = time.monotonic()
        for text in ("weather", "bye", "greet"):
            say(client, text)
            say(client, text, "bob")
        assert time.monotonic() - before < 5, "no turn waits for a broker"
        time.sleep(2)
        assert metric(client, "starfold_outbox") > 0
        cable.plugged = True
        expected = stored(client, "ann", "bob")
        messages = by_sender(there.wait(sum(map(len, expected.values()))))
        for sender, events in expected.items():
            assert list({one["sequence"]: one for one in messages[sender]}.values()) == events
        wait_for(lambda: metric(client, "starfold_outbox") == 0)
    gc.collect()


def test_a_broker_that_never_answers_costs_no_turn():
    with web(events=Events(url="amqp://127.0.0.1:9/")) as client:
        assert say(client, "greet")["replies"]
        time.sleep(1)
        assert say(client, "weather")["replies"]
        assert metric(client, "starfold_outbox") == len(stored(client, "ann")["ann"])


# --- the outbox -------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["memory", "file", pytest.param("postgres", marks=pytest.mark.server("postgres"))])
def store(request, tmp_path):
    with ExitStack() as stack:
        urls = {"memory": lambda: "sqlite://", "file": lambda: f"sqlite:///{tmp_path / 'bot.db'}"}
        url = urls.get(request.param, lambda: stack.enter_context(scratch_schema()))()
        made = SqlTrackerStore(url)
        stack.callback(made.close)
        yield made


def put(store, conversation, count):
    store.append(conversation, None, [SlotSet(name="n", value=number) for number in range(count)])


def claimed(box, but=()):
    return {events[0].conversation: [one.number for one in events] for events in box.claim(but)}


def test_what_is_claimed_and_noted(store):
    box = Outbox(store.database)
    assert (box.claim(), box.waiting()) == ([], 0)
    put(store, "ann", 3)
    put(store, "bob", 1)
    assert (claimed(box), box.waiting()) == ({"ann": [1, 2, 3], "bob": [1]}, 4)
    ann, bob = sorted(box.claim(), key=lambda events: events[0].conversation)
    box.note([ann[1], bob[0]])
    assert (claimed(box), box.waiting()) == ({"ann": [3]}, 1)
    assert claimed(box, {ann[0].key}) == {}
    box.note([ann[0]])
    assert box.waiting() == 1, "it never goes back"
    box.note([])


def test_a_conversation_begun_anew_is_published_anew(store):
    box = Outbox(store.database)
    put(store, "ann", 3)
    ((*_, last),) = box.claim()
    store.delete("ann")
    put(store, "ann", 5)
    box.note([last])
    assert claimed(box) == {"ann": [1, 2, 3, 4, 5]}
    (first, *_) = box.claim()[0]
    assert first.id != last.id
    assert box.claim()[0][0].id == first.id


def test_one_process_publishes_at_a_time(store, monkeypatch):
    put(store, "ann", 1)
    one, other = Outbox(store.database), Outbox(store.database)
    assert claimed(one) == {"ann": [1]}
    assert claimed(other) == {}
    one.lease.release()
    assert claimed(other) == {"ann": [1]}
    assert claimed(one) == {}
    now = time.time()
    monkeypatch.setattr(leases.time, "time", lambda: now + 1.1 * leases.SECONDS)
    assert claimed(one) == {"ann": [1]}, "the other one is dead"
    monkeypatch.setattr(leases.time, "time", lambda: now - 2 * leases.FAR)
    assert claimed(other) == {"ann": [1]}, "the clock went wrong"


def test_a_batch_has_an_end(store, monkeypatch):
    monkeypatch.setattr(outbox, "MOST_CONVERSATIONS", 2)
    monkeypatch.setattr(outbox, "MOST_EVENTS", 4)
    for name, count in (("ann", 3), ("bob", 3), ("eve", 3)):
        put(store, name, count)
    box, found = Outbox(store.database), []
    while batch := box.claim():
        assert len(batch) <= 2
        assert sum(map(len, batch)) <= 4
        found += [(one.conversation, one.number) for events in batch for one in events]
        box.note([events[-1] for events in batch])
    assert sorted(found) == [(name, number) for name in ("ann", "bob", "eve") for number in (1, 2, 3)]


# --- the publisher ----------------------------------------------------------------------------------------------------


class Fake:
    """A broker in memory that refuses what `trouble` says."""

    def __init__(self, trouble=lambda one: False):
        self.trouble = trouble
        self.taken = []
        self.connections = 0

    @asynccontextmanager
    async def connect(self):
        self.connections += 1

        async def publish(one):
            await asyncio.sleep(0.02)
            if self.trouble(one):
                raise RuntimeError("too large")
            self.taken.append((one.conversation, one.number))

        yield publish


async def published(service, fake, enough):
    """Run a publisher until enough is published."""
    running = asyncio.ensure_future(Publisher(service, fake.connect).run())
    until = time.monotonic() + 30
    while not enough():
        assert time.monotonic() < until
        await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.wait([running])


def test_what_a_broker_will_not_take_holds_up_its_own_conversation_alone(store):
    put(store, "ann", 3)
    put(store, "bob", 3)

    async def run():
        service = make_service(store)
        fake = Fake(lambda one: one.conversation == "ann" and one.number == 2)
        await published(service, fake, lambda: fake.connections >= 2)
        put(store, "bob", 2)
        await published(service, fake, lambda: len(fake.taken) == 6)
        fake.trouble = lambda one: False
        await published(service, fake, lambda: len(fake.taken) == 8)
        return fake.taken

    taken = asyncio.run(run())
    assert [number for name, number in taken if name == "bob"] == [1, 2, 3, 4, 5]
    assert [number for name, number in taken if name == "ann"] == [1, 2, 3]


def test_a_publisher_that_ends_notes_what_it_began(store):
    put(store, "ann", 20)

    async def run():
        service = make_service(store)
        fake = Fake()
        await published(service, fake, lambda: len(fake.taken) == 5)
        assert service.outbox.waiting() == 20 - len(fake.taken)
        assert claimed(Outbox(store.database)) in ({}, {"ann": [*range(len(fake.taken) + 1, 21)]})
        return fake.taken

    taken = asyncio.run(run())
    assert taken == [("ann", number) for number in range(1, len(taken) + 1)]


# --- what is wrong with a broker's URL --------------------------------------------------------------------------------


def test_a_wrong_mechanism_is_named():
    with pytest.raises(StarfoldError, match="'SCRAM-SHA-257'; did you mean 'SCRAM-SHA-256'"):
        broker_of(Events(url="kafka://a:b@h:1?mechanism=SCRAM-SHA-257"))


def test_without_the_packages_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "faststream.rabbit", None)
    with pytest.raises(MissingExtraError, match=r"starfold\[events\]"):
        broker_of(Events(url="amqp://h/"))
