"""Calling a platform: one request, its errors as `SendError`, and tokens that are fetched again before they end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from dialogue.channels.base import Introduces, SendError
from dialogue.channels.payload import at

if TYPE_CHECKING:
    import httpx

PAUSE = 5.0  # seconds before a platform that failed is asked again
LONGEST_PAUSE = 3600.0
MARGIN = 300.0  # seconds before its end in which a token is used no more
SHOWN = 300  # characters of an answer in an error


Judge: TypeAlias = Callable[[Any], bool | None]
"""Whether the JSON of an answer is an error: None for none, True for one that goes by when tried again."""


async def call(
    client: httpx.AsyncClient,
    platform: str,
    method: str,
    url: str,
    *,
    judge: Judge = lambda _: None,
    **options: Any,
) -> Any:
    """The JSON a platform answers, or None when its answer is none. URLs may hold tokens, so no error shows one.

    Args:
        client: sends it.
        platform: how errors call it.
        method: of HTTP.
        url: where to.
        judge: says of the JSON whether it is an error, whatever the status.
        options: of `httpx.AsyncClient.request`.

    Raises:
        SendError: with a time to wait when the platform cannot be reached, is busy (429) or broken (5xx), or `judge`
            says so; without one for every other error.
    """
    import httpx

    try:
        answer = await client.request(method, url, **options)
    except httpx.HTTPError as problem:
        raise SendError(f"{platform} cannot be reached: {type(problem).__name__}", PAUSE) from problem
    except httpx.InvalidURL as problem:
        raise SendError(f"{platform}: the address is no URL", None) from problem
    try:
        said = answer.json()
    except ValueError:
        said = None
    passing = judge(said)
    if answer.status_code < 400 and passing is None:
        return said
    message = f"{platform} answered {answer.status_code}: {answer.text[:SHOWN]}"
    if passing or answer.status_code == 429 or answer.status_code >= 500:
        raise SendError(message, pause(answer.headers.get("retry-after"), at(said, "parameters", "retry_after")))
    raise SendError(message, None)


async def introduced(channel: Introduces, seconds: float) -> str:
    """Who the channel's platform takes the bot for, asked once. Raises `SendError` if it does not say in time."""
    import httpx

    try:
        async with httpx.AsyncClient(timeout=seconds) as client:
            return await asyncio.wait_for(channel.introduce(client), seconds)
    except asyncio.TimeoutError as problem:
        raise SendError(f"no answer within {seconds:g} s", PAUSE) from problem


def pause(*hints: object) -> float:
    """The first hint that is a number of seconds, within reason; else the usual pause."""
    for hint in hints:
        try:
            seconds = float(str(hint))
        except ValueError:
            continue
        if 0 <= seconds < float("inf"):
            return min(max(seconds, 0.1), LONGEST_PAUSE)
    return PAUSE


Fetch: TypeAlias = Callable[["httpx.AsyncClient"], Awaitable[tuple[str, float]]]


class Token:
    """A token of a platform's API, fetched when first needed and again shortly before it ends.

    Args:
        fetch: gets a new one: the token and the seconds it lasts.
    """

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._lock = asyncio.Lock()
        self._token = ""
        self._until = 0.0

    async def get(self, client: httpx.AsyncClient) -> str:
        """A token that is good for a while.

        Raises:
            SendError: if the platform gives none.
        """
        async with self._lock:
            if time.monotonic() >= self._until:
                token, lasts = await self._fetch(client)
                # Of a short-lived token half is used: it must not be fetched anew for every reply.
                self._until = time.monotonic() + max(lasts - MARGIN, lasts / 2)
                self._token = token
            return self._token

    def forget(self) -> None:
        """The platform refused it: fetch another next time."""
        self._until = 0.0
