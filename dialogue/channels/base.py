"""The contract of a messaging channel: what came in over HTTP, what it means, and how a reply goes out.

A channel knows one platform. It does not know the bot, the store or the web server: who serves it hands it each
`Delivery`, answers with `Incoming.response`, keeps `Incoming.messages` safe before that answer, has the bot handle them
afterwards, and calls `send` for every reply until the platform has taken it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

from dialogue.errors import StarfoldError
from dialogue.message import EMPTY, Message, Reply

if TYPE_CHECKING:
    import httpx

Address: TypeAlias = Mapping[str, Any]
"""Where a reply goes, in the channel's own terms; plain JSON, kept in the store beside the message it answers."""


class RefusedError(StarfoldError):
    """A delivery is not what it claims to be or cannot be read: `status` 400, 401, 403 or 404 is its answer."""

    def __init__(self, message: str, status: int = 401) -> None:
        super().__init__(message)
        self.status = status


class SendError(StarfoldError):
    """The platform did not take a reply.

    Attributes:
        retry_after: seconds after which to try again; None when trying again is of no use.
    """

    def __init__(self, message: str, retry_after: float | None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Delivery:
    """A request of the platform: `headers` with lower-case names, `url` the public one, as the platform called it."""

    method: str
    url: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Response:
    """What a platform is answered at once."""

    status: int = 200
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=lambda: EMPTY)


@dataclass(frozen=True, slots=True)
class Heard:
    """A message with the address its replies go to. The message's id is the platform's, so that it counts once."""

    message: Message
    address: Address


@dataclass(frozen=True, slots=True)
class Incoming:
    """What a delivery meant: messages in the order they were written, and the answer the platform waits for."""

    heard: tuple[Heard, ...] = ()
    response: Response = field(default_factory=Response)


@runtime_checkable
class Channel(Protocol):
    """A platform that calls a webhook. `name` is the last part of its address, `/webhooks/<name>/webhook`."""

    name: str

    def receive(self, delivery: Delivery) -> Incoming:
        """Verify a delivery and read it, without I/O.

        Raises:
            RefusedError: if its signature is missing, forged or old, or its body is not the platform's.
        """
        ...

    async def send(self, reply: Reply, address: Address, client: httpx.AsyncClient) -> None:
        """Bring one reply to the platform, within what it can show.

        Raises:
            SendError: if the platform did not take it.
        """
        ...


@runtime_checkable
class Prepares(Protocol):
    """A channel whose platform signs with keys that it publishes."""

    async def prepare(self, delivery: Delivery, client: httpx.AsyncClient) -> None:
        """Fetch what `receive` verifies this delivery with, where it is not there yet; awaited before `receive`.

        Raises:
            SendError: if the platform does not give it; the delivery is answered with status 503.
        """
        ...


@runtime_checkable
class Registers(Protocol):
    """A channel that has to tell its platform something before it is called, such as where its webhook is."""

    async def register(self, client: httpx.AsyncClient) -> None:
        """Tell it; called once when the server starts, and harmless when repeated.

        Raises:
            SendError: if the platform did not take it.
        """
        ...


@runtime_checkable
class Introduces(Protocol):
    """A channel whose platform tells who it takes the bot for, which proves address and credentials."""

    async def introduce(self, client: httpx.AsyncClient) -> str:
        """The bot's name or number there. Changes nothing.

        Raises:
            SendError: if the platform cannot be reached or refuses the credentials.
        """
        ...


Take: TypeAlias = Callable[[Incoming], Awaitable[None]]


@runtime_checkable
class Listener(Protocol):
    """A channel that fetches its messages itself (long polling, a gateway, a mail box) instead of being called."""

    name: str

    async def listen(self, take: Take, client: httpx.AsyncClient) -> None:
        """Fetch messages until cancelled; `take` returns once they are safe, and only then are they acknowledged."""
        ...

    async def send(self, reply: Reply, address: Address, client: httpx.AsyncClient) -> None:
        """As `Channel.send`."""
        ...
