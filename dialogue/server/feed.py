"""Who watches a conversation is told when it goes on, whichever channel or process it went on in."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any

from dialogue.errors import StoreError

POLL = 1.0  # seconds until what another process did is seen

Items = list[dict[str, Any]]
Read = Callable[[str, int], Awaitable[tuple[Items, int]]]
Last = Callable[[list[str]], Awaitable[dict[str, int]]]


class Feed:
    """Wakes watchers at once after a turn of this process, and within `POLL` after one elsewhere.

    Args:
        read: a conversation's items after a number, and the number of its last event.
        last: the numbers of the last events of several conversations.
    """

    def __init__(self, read: Read, last: Last) -> None:
        self._read = read
        self._last = last
        self._watchers: dict[str, set[asyncio.Event]] = {}
        self._known: dict[str, int] = {}
        self._closed = False

    def touch(self, conversation: str) -> None:
        """Say that a conversation went on."""
        for news in self._watchers.get(conversation, ()):
            news.set()

    async def items(self, conversation: str, after: int) -> tuple[Items, int]:
        """What was said after event `after`, and the number of the last event.

        A conversation that was deleted and begun anew is read from its beginning.
        """
        return await self._read(conversation, after)

    async def watch(self, conversation: str) -> AsyncGenerator[None, None]:
        """Yields at once and whenever the conversation may have gone on, until the feed is closed."""
        news = asyncio.Event()
        news.set()
        self._watchers.setdefault(conversation, set()).add(news)
        try:
            while True:
                await news.wait()
                if self._closed:
                    return
                news.clear()
                yield
        finally:
            self._watchers[conversation].discard(news)
            if not self._watchers[conversation]:
                del self._watchers[conversation]
                self._known.pop(conversation, None)

    async def subscribe(self, conversation: str, after: int = 0) -> AsyncIterator[dict[str, Any]]:
        """The items after event `after`, and then as they come, until the feed is closed."""
        async with contextlib.aclosing(self.watch(conversation)) as news:
            async for _ in news:
                found, after = await self._read(conversation, after)
                for item in found:
                    yield item

    async def run(self) -> None:
        """Look for what other processes did, until cancelled."""
        while True:
            await asyncio.sleep(POLL)
            if not self._watchers:
                continue
            with contextlib.suppress(StoreError):  # who reads from the store will say so
                last = await self._last(list(self._watchers))
                for name in list(self._watchers):
                    if self._known.get(name) != last.get(name, 0):
                        self._known[name] = last.get(name, 0)
                        self.touch(name)

    def close(self) -> None:
        """End every subscription."""
        self._closed = True
        for name in self._watchers:
            self.touch(name)
