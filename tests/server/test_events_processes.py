"""Real servers that publish to a real RabbitMQ: two side by side, killed, cut off from the broker."""

from __future__ import annotations

import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from urllib.parse import urlsplit

import httpx
import pytest

from dialogue.store.outbox import MOST_CONVERSATIONS, MOST_EVENTS
from dialogue.store.sql import SqlTrackerStore
from tests.dialogue.stores import scratch_schema
from tests.server.desk_server import desk
from tests.server.event_brokers import broker
from tests.server.test_processes import Cable
from tests.server.web import DEVELOPER

CONVERSATIONS, MESSAGES, KILLS = 40, 3, 4
pytestmark = pytest.mark.server("rabbitmq")


def say(servers, chance, conversation):
    """One message after the other to any of the servers, each again and again until it is answered."""
    for number in range(MESSAGES):
        body = {"text": f"weather {number}", "id": str(number)}
        until = time.monotonic() + 60
        while True:
            base = chance.choice(servers).base
            try:
                path = f"{base}/api/conversations/{conversation}/messages"
                if httpx.post(path, json=body, headers=DEVELOPER, timeout=10).status_code == 200:
                    break
            except httpx.HTTPError:
                time.sleep(0.05)
            assert time.monotonic() < until


def say_all(servers):
    chance = random.Random(5)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: say(servers, chance, f"user {n}"), range(CONVERSATIONS)))


def stored(url):
    store = SqlTrackerStore(url)
    try:
        return {
            (name, number): {"sender_id": name, "sequence": number, **event.as_dict()}
            for name in store.conversations()
            for number, event in enumerate(store.events(name), 1)
        }
    finally:
        store.close()


def check(messages, expected):
    """Each event of the store came, in the order of its conversation; how many came again."""
    came = {}
    for one in messages:
        came.setdefault((one["sender_id"], one["sequence"]), one)
    assert came == expected
    last = {}
    for sender, number in came:
        assert number == last.get(sender, 0) + 1
        last[sender] = number
    return len(messages) - len(expected)


def kill(server):
    server.signal(signal.SIGKILL)
    server.end()
    server.start()
    server.ready()


@pytest.mark.server("postgres")
def test_two_servers_publish_each_event_once():
    with scratch_schema() as url, broker("rabbitmq") as there, ExitStack() as stack:
        events = {"url": there.url, "topic": there.topic}
        servers = [stack.enter_context(desk(url, events=events)) for _ in range(2)]
        say_all(servers)
        expected = stored(url)
        there.wait(len(expected))
        time.sleep(1)
        assert check(there.messages(), expected) == 0


@pytest.mark.server("postgres")
def test_servers_that_are_killed_and_cut_off_lose_and_reorder_nothing():
    with scratch_schema() as url, broker("rabbitmq") as there, ExitStack() as stack:
        direct = urlsplit(there.url)
        cable = Cable(direct.hostname, direct.port)
        stack.callback(cable.close)
        through = there.url.replace(f"{direct.hostname}:{direct.port}", f"127.0.0.1:{cable.port}")
        events = {"url": through, "topic": there.topic}
        servers = [stack.enter_context(desk(url, events=events)) for _ in range(2)]
        saying = threading.Thread(target=say_all, args=(servers,))
        saying.start()
        for number in range(KILLS):
            time.sleep(0.7)
            cable.pull()
            time.sleep(0.7)
            cable.plugged = True
            time.sleep(0.7)
            kill(servers[number % 2])
        saying.join(timeout=120)
        assert not saying.is_alive()
        expected = stored(url)
        assert len(expected) > 3 * CONVERSATIONS * MESSAGES
        doubled = check(there.wait(len(expected)), expected)
        assert doubled <= KILLS * (MOST_EVENTS + MOST_CONVERSATIONS), "it was on its way when its server or cable died"


def test_a_killed_server_goes_on_where_it_was(tmp_path):
    url = f"sqlite:///{tmp_path / 'bot.db'}"
    with broker("rabbitmq") as there, ExitStack() as stack:
        direct = urlsplit(there.url)
        cable = Cable(direct.hostname, direct.port)
        stack.callback(cable.close)
        through = there.url.replace(f"{direct.hostname}:{direct.port}", f"127.0.0.1:{cable.port}")
        server = stack.enter_context(desk(url, events={"url": through, "topic": there.topic}))
        say([server], random.Random(0), "ann")
        before = len(stored(url))
        there.wait(before)
        cable.pull()
        say([server], random.Random(0), "bob")
        assert len(there.messages()) == before
        kill(server)
        cable.plugged = True
        expected = stored(url)
        assert len(expected) > before
        check(there.wait(len(expected)), expected)
