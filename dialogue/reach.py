"""Whether the servers and platforms that a bot needs answer: each asked once, all at the same time, for seconds."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from anyio import fail_after

from dialogue.checks import Check, State
from dialogue.errors import MissingExtraError, StarfoldError

if TYPE_CHECKING:
    from dialogue.actions.http import JsonServer
    from dialogue.config import Config
    from dialogue.sections import Duckling, Events, Server

SECONDS = 3.0  # for an answer
ACTION_SERVER, RESPONSE_SERVER, DUCKLING = "action server", "response server", "Duckling"
PUBLIC_ADDRESS, REDIS, BROKER = "public address", "Redis", "event broker"
SAMPLE = "tomorrow at 8"


def servers(config: Config) -> Iterator[Check]:
    """A check of each server in bot.yml, in a fixed order. What one of them does changes nothing about the others."""
    asked: list[tuple[str, Callable[[], Check]]] = []
    if config.actions is not None and config.actions.url is not None:
        asked.append((ACTION_SERVER, functools.partial(action_server, config, config.actions)))
    if config.nlg is not None:
        asked.append((RESPONSE_SERVER, functools.partial(response_server, config, config.nlg)))
    if config.duckling is not None:
        asked.append((DUCKLING, functools.partial(duckling, config, config.duckling)))
    if config.server.redis is not None:
        asked.append((REDIS, functools.partial(redis, config.server.redis)))
    if config.server.events.url is not None:
        asked.append((BROKER, functools.partial(broker, config.server.events)))
    for name in config.channels:
        asked.append((f"channel {name}", functools.partial(channel, config, name)))
    if config.server.public_url is not None:
        asked.append((PUBLIC_ADDRESS, functools.partial(public_address, config.server.public_url)))
    if asked:
        with ThreadPoolExecutor(len(asked)) as pool:
            yield from pool.map(_answer, *zip(*asked, strict=True))


def action_server(config: Config, section: Server) -> Check:
    """rasa-sdk's answers at `/health`; another need not, so any answer will do."""
    answer = _server(config, section, ACTION_SERVER).get("health")
    if answer.status < 300:
        return Check(ACTION_SERVER, State.OK, f"{section.url} is well")
    return Check(ACTION_SERVER, State.NOTE, f"{section.url} answers, but with {answer.status} at /health")


def response_server(config: Config, section: Server) -> Check:
    """It need answer nothing but POST, and that it is asked in earnest only: whatever it answers, it is there."""
    _server(config, section, RESPONSE_SERVER).get()
    return Check(RESPONSE_SERVER, State.OK, f"{section.url} answers")


def duckling(config: Config, section: Duckling) -> Check:
    """Has it read something."""
    from dialogue.duckling import parse_url, read_answer

    found = _server(config, section.model_copy(update={"url": parse_url(section.url or "")}), DUCKLING).post_form(
        {"text": SAMPLE, "locale": section.locale or config.language.replace("-", "_")}
    )
    try:
        dimensions = sorted({entity.entity for entity in read_answer(found, SAMPLE)})
    except ValueError as problem:
        return Check(DUCKLING, State.FAILED, f"{section.url}: {problem}")
    return Check(DUCKLING, State.OK, f"{section.url} finds {', '.join(dimensions) or 'nothing'} in {SAMPLE!r}")


def redis(url: str) -> Check:
    """Pings it."""
    try:
        from redis import Redis, RedisError
    except ImportError as problem:
        raise MissingExtraError("counting in Redis", "redis") from problem
    try:
        with contextlib.closing(
            Redis.from_url(url, socket_timeout=SECONDS, socket_connect_timeout=SECONDS)
        ) as connection:
            connection.ping()
    except (RedisError, ValueError) as problem:
        return Check(REDIS, State.FAILED, f"server.redis does not answer: {problem}")
    return Check(REDIS, State.OK, "answers")


def broker(section: Events) -> Check:
    """Connects, which makes the exchange, queue or stream that events go to where there is none; publishes nothing."""
    from dialogue.brokers import broker_of

    connect = broker_of(section)

    async def greet() -> None:
        with fail_after(SECONDS):
            async with connect():
                pass

    try:
        asyncio.run(greet())
    except Exception as problem:  # each broker's client has errors of its own
        return Check(BROKER, State.FAILED, f"server.events does not answer: {str(problem) or type(problem).__name__}")
    return Check(BROKER, State.OK, f"takes events under {section.topic!r}")


def channel(config: Config, name: str) -> Check:
    """Whether its options are complete and its platform knows the bot by them."""
    from dialogue.assembly import build_channels
    from dialogue.channels.base import Introduces
    from dialogue.channels.calls import introduced

    built = build_channels(config, [name])[name]
    title = f"channel {name}"
    if not isinstance(built, Introduces):
        return Check(title, State.OK, "complete; there is nothing to ask its platform")
    return Check(title, State.OK, f"its platform knows {asyncio.run(introduced(built, SECONDS))}")


def public_address(url: str) -> Check:
    """Whether platforms that call webhooks find a server. Often it is checked before that runs."""
    from dialogue.actions.http import Endpoint, JsonServer

    health = f"{url.rstrip('/')}/health/live"
    try:
        status = JsonServer(Endpoint(health, timeout=SECONDS, connect_timeout=SECONDS), PUBLIC_ADDRESS).get().status
    except StarfoldError as problem:
        reason = str(problem).removeprefix(f"{PUBLIC_ADDRESS} ")
        return Check(PUBLIC_ADDRESS, State.NOTE, f"{reason}; is `starfold run` running?")
    if status == 200:
        return Check(PUBLIC_ADDRESS, State.OK, f"{url} answers")
    return Check(PUBLIC_ADDRESS, State.NOTE, f"{health} answers {status}; is `starfold run` behind it?")


def _server(config: Config, section: Server, what: str) -> JsonServer:
    from dialogue.actions.http import Endpoint, JsonServer
    from dialogue.assembly import connection

    quick = {"timeout": SECONDS, "connect_timeout": SECONDS}
    return JsonServer(Endpoint(**{**connection(config, section), **quick}), what)


def _answer(name: str, ask: Callable[[], Check]) -> Check:
    try:
        return ask()
    except StarfoldError as problem:
        return Check(name, State.FAILED, str(problem).removeprefix(f"{name} "))
