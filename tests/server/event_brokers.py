"""Message brokers for tests, read by their own clients: RabbitMQ, NATS and Redis as they run, Kafka by its protocol.

Kafka is librdkafka's mock cluster: real sockets and requests, but one process and no disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import time
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import aio_pika
import nats
import redis
from nats.js.api import ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

URLS = {
    "rabbitmq": os.environ.get("STARFOLD_TEST_RABBITMQ", "amqp://guest:guest@127.0.0.1:5672/"),
    "nats": os.environ.get("STARFOLD_TEST_NATS", "nats://127.0.0.1:4222"),
    "redis": os.environ.get("STARFOLD_TEST_REDIS", "redis://127.0.0.1:6379"),
}


def answers(name: str) -> bool:
    """Whether somebody listens there."""
    parts = urlsplit(URLS[name])
    with contextlib.suppress(OSError), socket.create_connection((parts.hostname or "", parts.port or 0), 2):
        return True
    return False


class Broker:
    """A broker with a topic of its own.

    Attributes:
        url: where it is.
        topic: what is published to.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.topic = f"starfold_{uuid.uuid4().hex[:12]}"
        self._read: list[dict[str, Any]] = []

    def messages(self) -> list[dict[str, Any]]:
        """All that was published, in order."""
        self._read += [json.loads(body) for body in self.take()]
        return self._read

    def wait(self, count: int, seconds: float = 60.0) -> list[dict[str, Any]]:
        """All that was published, once there are so many different events."""
        until = time.monotonic() + seconds
        while len(numbers(self.messages())) < count:
            assert time.monotonic() < until, f"{len(numbers(self._read))} of {count} events came"
            time.sleep(0.05)
        return self._read

    def take(self) -> list[bytes]:
        """Bodies that were not read before."""
        raise NotImplementedError

    def remove(self) -> None:
        """Leave nothing behind."""


class Rabbit(Broker):
    def take(self):
        return asyncio.run(self._take())

    async def _take(self):
        found = []
        async with await aio_pika.connect(self.url) as connection:
            channel = await connection.channel()
            with contextlib.suppress(aio_pika.exceptions.ChannelNotFoundEntity):
                queue = await channel.get_queue(self.topic)
                while (message := await queue.get(no_ack=True, fail=False)) is not None:
                    assert (message.content_type, message.delivery_mode.value) == ("application/json", 2)
                    found.append(message.body)
        return found

    def remove(self):
        asyncio.run(self._remove())

    async def _remove(self):
        async with await aio_pika.connect(self.url) as connection:
            channel = await connection.channel()
            await channel.queue_delete(self.topic)
            await channel.exchange_delete(self.topic)


class Nats(Broker):
    def take(self):
        return asyncio.run(self._take())

    async def _take(self):
        client = await nats.connect(self.url)
        found = []
        try:
            streams = client.jetstream()
            with contextlib.suppress(NotFoundError, nats.errors.TimeoutError):
                last = (await streams.stream_info(self.topic)).state.last_seq
                start = getattr(self, "_next", 1)
                config = ConsumerConfig(deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=start)
                reader = await streams.subscribe(self.topic, config=config, ordered_consumer=True)
                while start <= last:
                    found.append((await reader.next_msg(5)).data)
                    start += 1
                self._next = start
        finally:
            await client.close()
        return found

    def remove(self):
        asyncio.run(self._remove())

    async def _remove(self):
        client = await nats.connect(self.url)
        with contextlib.suppress(NotFoundError):
            await client.jetstream().delete_stream(self.topic)
        await client.close()


class Redis(Broker):
    def take(self):
        with redis.Redis.from_url(self.url) as client:
            entries = client.xrange(self.topic, min=getattr(self, "_next", "-"))
        if entries:
            self._next = "(" + entries[-1][0].decode()
        return [fields[b"__data__"] for _, fields in entries]

    def remove(self):
        with redis.Redis.from_url(self.url) as client:
            client.delete(self.topic)


class Kafka(Broker):
    def __init__(self) -> None:
        from confluent_kafka import Consumer, Producer

        quiet = {"log_level": 0}
        self._cluster = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1, **quiet})
        (server,) = self._cluster.list_topics(timeout=10).brokers.values()
        super().__init__(f"kafka://{server.host}:{server.port}")
        settings = {"group.id": "test", "auto.offset.reset": "earliest", "topic.metadata.refresh.interval.ms": 200}
        self._reader = Consumer({"bootstrap.servers": f"{server.host}:{server.port}", **settings, **quiet})
        self._reader.subscribe([self.topic])

    def take(self):
        found = []
        while (message := self._reader.poll(0.2)) is not None:
            if message.error() is None:
                assert message.key().decode() == json.loads(message.value())["sender_id"]
                found.append(message.value())
        return found

    def remove(self):
        self._reader.close()


@contextlib.contextmanager
def broker(name: str) -> Iterator[Broker]:
    """A broker by its name, for the length of the block."""
    made = Kafka() if name == "kafka" else {"rabbitmq": Rabbit, "nats": Nats, "redis": Redis}[name](URLS[name])
    try:
        yield made
    finally:
        made.remove()


def numbers(messages: list[dict[str, Any]]) -> set[tuple[str, int]]:
    """The different events among messages."""
    return {(one["sender_id"], one["sequence"]) for one in messages}
