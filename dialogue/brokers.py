"""Message brokers that events go to, by FastStream: connections on which a message counts once it is confirmed.

A connection is not mended: when it fails it is closed, and what was not confirmed goes over the next one. So nothing
waits in a client's memory, to come late or never.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from anyio import fail_after

from dialogue.errors import MissingExtraError, StarfoldError, suggestion
from dialogue.sections import Events
from dialogue.store.outbox import Unpublished

SECONDS = 4.0  # for a broker to answer
JSON = {"content-type": "application/json"}

Publish = Callable[[Unpublished], Awaitable[None]]
Connection = AbstractAsyncContextManager[Publish]


def broker_of(events: Events) -> Callable[[], Connection]:
    """What makes connections to the broker of a URL.

    Raises:
        MissingExtraError: without the packages it needs.
        StarfoldError: if the URL is wrong.
    """
    url = events.url or ""
    try:
        return _BROKERS[url.partition("://")[0]](url, events.topic)
    except ImportError as error:
        raise MissingExtraError("publishing events", "events") from error
    except ValueError as error:
        raise StarfoldError(f"server.events.url: {error}") from error


def _rabbit(url: str, topic: str) -> Callable[[], Connection]:
    """RabbitMQ: a fanout exchange and a queue bound to it, both durable. What is written down is confirmed."""
    from faststream.rabbit import Channel, ExchangeType, RabbitBroker, RabbitExchange, RabbitQueue

    @contextlib.asynccontextmanager
    async def connect() -> AsyncIterator[Publish]:
        returned = Channel(on_return_raises=True)  # else a message without a queue would count as taken
        broker = RabbitBroker(url, timeout=SECONDS, default_channel=returned, logger=None)
        async with _open(broker):
            exchange = RabbitExchange(topic, ExchangeType.FANOUT, durable=True)
            queue = await broker.declare_queue(RabbitQueue(topic, durable=True))
            await queue.bind(await broker.declare_exchange(exchange))

            async def publish(one: Unpublished) -> None:
                await broker.publish(
                    one.body(),
                    exchange=exchange,
                    persist=True,
                    content_type=JSON["content-type"],
                    message_id=one.id,
                    timestamp=one.time,
                )

            yield publish

    return connect


def _kafka(url: str, topic: str) -> Callable[[], Connection]:
    """Kafka: a topic, in which a conversation keeps to one partition. All replicas in sync confirm."""
    from faststream.kafka import KafkaBroker

    servers, security = urlsplit(url).netloc.rpartition("@")[2].split(","), _kafka_security(url)

    @contextlib.asynccontextmanager
    async def connect() -> AsyncIterator[Publish]:
        broker = KafkaBroker(
            servers,
            security=security,
            acks="all",
            enable_idempotence=True,
            request_timeout_ms=int(SECONDS * 1000),
            logger=None,
        )
        async with _open(broker):

            async def publish(one: Unpublished) -> None:
                headers = {**JSON, "message-id": one.id}
                await broker.publish(one.body(), topic, key=one.conversation.encode(), headers=headers)

            yield publish

    return connect


def _kafka_security(url: str) -> Any:
    """TLS by the scheme `kafka+ssl`, SASL by user and password, `?mechanism=SCRAM-SHA-512` for another than PLAIN."""
    from ssl import create_default_context

    from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

    parts = urlsplit(url)
    context = create_default_context() if parts.scheme == "kafka+ssl" else None
    login, at, _ = parts.netloc.rpartition("@")
    if not at:
        return BaseSecurity(context)
    user, _, password = login.partition(":")
    kinds = {"PLAIN": SASLPlaintext, "SCRAM-SHA-256": SASLScram256, "SCRAM-SHA-512": SASLScram512}
    mechanism = parse_qs(parts.query).get("mechanism", ["PLAIN"])[0]
    if mechanism not in kinds:
        raise ValueError(f"unknown SASL mechanism {mechanism!r}{suggestion(mechanism, kinds)}")
    return kinds[mechanism](unquote(user), unquote(password), context)


def _nats(url: str, topic: str) -> Callable[[], Connection]:
    """NATS: a subject of a JetStream, which is made if there is none; a message that comes twice is dropped there."""
    from faststream.nats import NatsBroker
    from nats.js.errors import NotFoundError

    @contextlib.asynccontextmanager
    async def connect() -> AsyncIterator[Publish]:
        broker = NatsBroker(
            url.split(","), allow_reconnect=False, max_reconnect_attempts=1, connect_timeout=int(SECONDS), logger=None
        )
        async with _open(broker) as client:
            streams = client.jetstream()
            try:
                stream = await streams.find_stream_name_by_subject(topic)
            except NotFoundError:
                stream = topic.replace(".", "_")
                await streams.add_stream(name=stream, subjects=[topic])

            async def publish(one: Unpublished) -> None:
                headers = {**JSON, "Nats-Msg-Id": one.id}
                await broker.publish(one.body(), topic, headers, stream=stream, timeout=SECONDS)

            yield publish

    return connect


def _redis(url: str, topic: str) -> Callable[[], Connection]:
    """Redis: a stream, each entry with the message in its field `__data__`."""
    from faststream.redis import RedisBroker
    from faststream.redis.parser import MessageFormat

    class Bare(MessageFormat):
        """The message alone, without FastStream's frame around it."""

        @classmethod
        async def encode(cls, *, message: Any, **_: Any) -> bytes:
            return str(message).encode()

        @classmethod
        def parse(cls, data: bytes) -> tuple[bytes, dict[str, Any]]:
            return data, {}

    @contextlib.asynccontextmanager
    async def connect() -> AsyncIterator[Publish]:
        broker = RedisBroker(url, message_format=Bare, socket_timeout=SECONDS, socket_connect_timeout=SECONDS)
        async with _open(broker):

            async def publish(one: Unpublished) -> None:
                await broker.publish(one.body(), stream=topic)

            yield publish

    return connect


@contextlib.asynccontextmanager
async def _open(broker: Any) -> AsyncIterator[Any]:
    """A broker while it is connected, as its client. It is let go of whatever it says: its connection may be gone."""
    try:
        with fail_after(2 * SECONDS):
            client = await broker.connect()
        yield client
    finally:
        with contextlib.suppress(Exception), fail_after(SECONDS):
            await broker.stop()


_BROKERS: Mapping[str, Callable[[str, str], Callable[[], Connection]]] = {
    "amqp": _rabbit,
    "amqps": _rabbit,
    "kafka": _kafka,
    "kafka+ssl": _kafka,
    "nats": _nats,
    "tls": _nats,
    "redis": _redis,
    "rediss": _redis,
}
