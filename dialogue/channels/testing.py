"""The conformance kit: what every messaging channel must do, built in or not.

from dialogue.channels.testing import Platform, check_channel
check_channel(Platform(channel, body=..., sign=...))
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from dialogue.channels.base import Address, Channel, Delivery, Heard, Incoming, RefusedError, Response, SendError
from dialogue.message import Button, Message, Reply

if TYPE_CHECKING:
    import httpx

LONGEST_NAME = 255  # characters of a sender and an id that a store keeps
ODD = (
    "naïve ＦＵＬＬ ﬁ ß İ",
    "👩‍🚀🇨🇳👍🏽 to the moon",
    "望远镜 and ไทย and हिन्दी",
    "e\u0301\u0301\u0301 \u202eright to left\u202c",
    "\U0010ffff\ue000",
    "<b>&amp; 'quotes' \"and\" ]]> {slot} %s",
)
LONG = "word 望远镜 👍 " * 2000
SAID = "may I come tonight?"
STATUSES = range(200, 300)


class ConformanceError(AssertionError):
    """A channel breaks the contract; the message says how."""


def _answer(_: httpx.Request) -> httpx.Response:
    import httpx

    return httpx.Response(200, json={})


@dataclass(frozen=True, slots=True)
class Platform:
    """A channel, and how its platform calls it.

    Attributes:
        channel: as the bot has it.
        body: the body of a delivery in which a person says a text, with the platform's id of the message.
        sign: a delivery with a body, rightly signed at a time in seconds since 1970. Its query and its headers, lower
            case, are the proof alone, and perhaps `content-type`: each of them with another value has to be refused.
        signs_body: whether the proof covers the body; some platforms prove only who is calling.
        window: seconds for which a signature counts; None for ever.
        answer: what the platform answers to the channel's requests when all is well.
    """

    channel: Channel
    body: Callable[[str, str], bytes]
    sign: Callable[[bytes, float], Delivery]
    signs_body: bool = True
    window: float | None = None
    answer: Callable[[httpx.Request], httpx.Response] = field(default=_answer)

    def say(self, text: str, number: str = "1001", ago: float = 0.0) -> Delivery:
        """A delivery in which a person says something."""
        return self.sign(self.body(text, number), time.time() - ago)

    def hear(self, delivery: Delivery) -> tuple[Heard, ...]:
        """What the channel takes a delivery for, held against the contract."""
        incoming = self.channel.receive(delivery)
        check_incoming(incoming, self.channel.name)
        return incoming.heard


def check_channel(platform: Platform, *, fuzzed: int = 100, seed: int = 0) -> None:
    """Every check.

    Args:
        platform: the channel and its platform.
        fuzzed: how many malformed deliveries.
        seed: of their randomness.

    Raises:
        ConformanceError: at the first thing that is not as `dialogue.channels.base.Channel` says.
    """
    check_reading(platform)
    check_forged(platform)
    check_repeated(platform)
    for delivery in malformed(platform, fuzzed, seed):
        check_malformed(platform, delivery)
    asyncio.run(check_sending(platform))


def check_reading(platform: Platform) -> None:
    """What a person says comes out as it is, and nothing is heard where nothing was said."""
    for text in (SAID, *ODD, LONG.strip()):
        found = [one.message.text for one in platform.hear(platform.say(text))]
        _require(found == [text], f"said {text[:60]!r}, heard {found!r:.100}")
    for text in ("", " \t\n"):
        _require(not platform.hear(platform.say(text)), f"{text!r} is nothing said, so nothing may be heard")


def check_forged(platform: Platform) -> None:
    """A delivery without a proof, with another's, or with another body is refused; so is an old one."""
    good = platform.say(SAID)
    kind = {name: value for name, value in good.headers.items() if name == "content-type"}
    _refused(platform, replace(good, headers=kind, query={}), "without its headers and query")
    for name, value in good.headers.items():
        for wrong in _wrong(value) if name not in kind else ():
            forged = replace(good, headers={**good.headers, name: wrong})
            _refused(platform, forged, f"with the header {name}: {wrong[:40]!r}")
    for name, value in good.query.items():
        for wrong in _wrong(value):
            _refused(platform, replace(good, query={**good.query, name: wrong}), f"with {name}={wrong[:40]!r}")
    if platform.signs_body:
        other = platform.sign(platform.body("something else", "1002"), time.time())
        _refused(platform, replace(good, body=other.body), "with the body of another")
    if platform.window is not None:
        _refused(platform, platform.say(SAID, ago=2 * platform.window), "signed long ago")
        _refused(platform, platform.say(SAID, ago=-2 * platform.window), "signed in the future")


def check_repeated(platform: Platform) -> None:
    """The same delivery again is the same message, another message another; both are of one conversation."""
    delivery = platform.say(SAID, "1001")
    (first,), (again,) = platform.hear(delivery), platform.hear(delivery)
    _require(_key(first.message) == _key(again.message), "a delivery that comes again must have the same id and sender")
    (later,) = platform.hear(platform.say(SAID, "1002"))
    _require(first.message.id != later.message.id, "another message must have another id")
    _require(first.message.sender == later.message.sender, "one person's messages must be of one conversation")
    start = f"{platform.channel.name}:"
    _require(
        first.message.sender.startswith(start), f"the sender must begin with {start!r}, got {first.message.sender!r}"
    )


def check_malformed(platform: Platform, delivery: Delivery) -> None:
    """Whatever comes in is refused or read; nothing else is raised."""
    try:
        platform.hear(delivery)
    except RefusedError as refused:
        _require(
            refused.status in (400, 401, 403, 404), f"a refusal has status 400, 401, 403 or 404, got {refused.status}"
        )
    except ConformanceError:
        raise
    except Exception as problem:
        raise ConformanceError(f"{delivery.body[:200]!r} raised {problem!r}") from problem


def check_incoming(incoming: Incoming, name: str) -> None:
    """What a channel made of a delivery can be kept and answered."""
    _require(isinstance(incoming, Incoming), f"receive must return an Incoming, got {type(incoming).__name__}")
    answer: Response = incoming.response
    _require(answer.status in STATUSES and isinstance(answer.body, bytes), f"not an answer: {answer!r:.200}")
    for one in incoming.heard:
        message = one.message
        for what, text in (("id", message.id), ("sender", message.sender)):
            _require(
                0 < len(text) <= LONGEST_NAME, f"the {what} has {len(text)} characters, at most {LONGEST_NAME} are kept"
            )
        _require(bool(message.text.strip()), "a message says something")
        _require(message.channel == name, f"the message's channel is {message.channel!r}, expected {name!r}")
        whole = [message.text, message.id, message.sender, dict(message.metadata), dict(one.address)]
        try:
            kept = json.dumps(whole, ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError) as problem:
            raise ConformanceError(f"metadata and address must be plain JSON: {problem}") from problem
        _require(json.loads(kept) == whole, "metadata and address must be plain JSON")
        _require("\\u0000" not in kept, "a text with NUL cannot be kept")
        kept.encode("utf-8")


async def check_sending(platform: Platform) -> None:
    """Replies go out whole, and what keeps them from it is a `SendError`."""
    import httpx

    (heard,) = platform.hear(platform.say(SAID))
    address: Address = json.loads(json.dumps(dict(heard.address)))
    buttons = tuple(Button(f"choice {number}", f'/choose{{"n": {number}}}') for number in range(1, 4))
    sent: list[httpx.Request] = []

    def listen(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return platform.answer(request)

    async with httpx.AsyncClient(transport=httpx.MockTransport(listen)) as client:
        for reply in (
            Reply(text=SAID),
            Reply(text="which?", buttons=buttons),
            Reply(image="https://example.org/a.png"),
        ):
            before = len(sent)
            await platform.channel.send(reply, address, client)
            _require(len(sent) > before, f"nothing was sent for {reply!r:.100}")
        before = len(sent)
        await platform.channel.send(Reply(text=LONG), address, client)
        _require(len(sent) > before, "a long text must be sent")
        before = len(sent)
        await platform.channel.send(Reply(), address, client)
        _require(len(sent) == before, "an empty reply must not be sent")
    for trouble, passing in _troubles():
        async with httpx.AsyncClient(transport=httpx.MockTransport(trouble)) as client:
            try:
                await platform.channel.send(Reply(text=SAID), address, client)
            except SendError as problem:
                again = problem.retry_after is not None
                _require(again == passing, f"{problem}: trying again {'helps' if passing else 'is of no use'}")
                if trouble is _busy:
                    _require(problem.retry_after == 7.0, f"Retry-After was 7, got {problem.retry_after}")
            except Exception as problem:
                raise ConformanceError(f"send raised {problem!r}, expected SendError") from problem
            else:
                raise ConformanceError("a reply that the platform did not take must raise SendError")


def malformed(platform: Platform, count: int, seed: int) -> Iterator[Delivery]:
    """Deliveries whose body is not what it should be, rightly signed so that it is read."""
    rng = random.Random(seed)  # noqa: S311 (only tests)
    good = [platform.body(text, "1001") for text in (SAID, ODD[1])]
    for number in range(count):
        body = _broken(rng.choice(good), rng) if number % 4 else _noise(rng)
        yield platform.sign(body, time.time())


def _broken(body: bytes, rng: random.Random) -> bytes:
    """A good body with something wrong in it: a value of another shape, or other bytes."""
    try:
        tree = json.loads(body)
    except ValueError:
        tree = None
    if tree is None or not rng.randrange(4):
        start, end = sorted(rng.randrange(len(body) + 1) for _ in range(2))
        return body[:start] + _noise(rng)[: rng.randrange(40)] + body[end:]
    for _ in range(rng.randrange(1, 4)):
        tree = _bent(tree, rng)
    return json.dumps(tree).encode()


def _bent(value: Any, rng: random.Random) -> Any:
    """A value with one place in it changed."""
    if isinstance(value, dict) and value and rng.randrange(8):
        key = rng.choice(sorted(value))
        if not rng.randrange(6):
            return {name: inner for name, inner in value.items() if name != key}
        return {**value, key: _bent(value[key], rng)}
    if isinstance(value, list) and value and rng.randrange(8):
        place = rng.randrange(len(value))
        return [*value[:place], _bent(value[place], rng), *value[place + 1 :]]
    return rng.choice(_SHAPES)


_SHAPES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, 10**40, "", " ", "0", "\0", "\ud800", "x" * 3000, "/greet", "https://[", "é"),
    *([], [[]], [None], {}, {"": {}}, [{"text": "x"}], {"id": []}, {"text": {"body": 1}}, {"type": ["message"]}),
)


def _noise(rng: random.Random) -> bytes:
    whole = (
        b"",
        b"null",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"a":' * 5000,
        b'"\\ud800"',
        b"NaN",
        b"<a/>",
        b"a=b&c=%ff%00",
    )
    return rng.choice((*whole, rng.randbytes(rng.randrange(1, 200)), b'{"a": ' + rng.randbytes(20) + b"}"))


def _wrong(value: str) -> list[str]:
    return [other for other in ("", "0", "é" * 64, value[::-1], f"{value}0") if other != value]


def _busy(_: httpx.Request) -> httpx.Response:
    import httpx

    return httpx.Response(429, headers={"Retry-After": "7"}, json={})


def _troubles() -> Iterable[tuple[Callable[[httpx.Request], httpx.Response], bool]]:
    """Ways in which a platform does not take a reply, each with whether it goes by."""
    import httpx

    def down(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    def slow(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("too slow", request=request)

    def broken(_: httpx.Request) -> httpx.Response:
        return httpx.Response(503, text="<html>")

    def refuses(_: httpx.Request) -> httpx.Response:
        return httpx.Response(400, json={"message": "no"})

    return ((down, True), (slow, True), (broken, True), (_busy, True), (refuses, False))


def _refused(platform: Platform, delivery: Delivery, what: str) -> None:
    try:
        platform.hear(delivery)
    except RefusedError:
        return
    raise ConformanceError(f"a delivery {what} must be refused")


def _key(message: Message) -> tuple[str, str, str]:
    return message.channel, message.sender, message.id


def _require(truth: bool, rule: str) -> None:
    if not truth:
        raise ConformanceError(rule)
