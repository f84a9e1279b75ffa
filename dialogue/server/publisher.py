"""Brings the events of all conversations to a message broker: each at least once, in the order of its conversation.

A turn knows nothing of it. Events are read from the store once they are there, published, and noted as published when
the broker has confirmed them. While it does not answer they wait in the store.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Collection, Sequence

from anyio import fail_after

from dialogue.brokers import SECONDS, Connection, Publish
from dialogue.errors import StoreError
from dialogue.server.service import BotService
from dialogue.store.outbox import Unpublished

logger = logging.getLogger(__name__)

POLL = 0.5  # seconds until events are looked for again
LONGEST_PAUSE = 30.0


class Publisher:
    """Publishes what the outbox of a service holds.

    Args:
        service: whose conversations.
        broker: makes connections.
    """

    def __init__(self, service: BotService, broker: Callable[[], Connection]) -> None:
        self._service = service
        self._outbox = service.outbox
        self._broker = broker
        self._attempts = 0

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            while True:
                try:
                    async with self._broker() as publish:
                        await self._work(publish)
                except Exception as error:  # each broker's client has errors of its own
                    logger.warning("events wait: %s", str(error) or type(error).__name__)
                await asyncio.sleep(min(LONGEST_PAUSE, 2**self._attempts))
                self._attempts = min(self._attempts + 1, 10)
        finally:
            with contextlib.suppress(StoreError):  # then it runs out by itself
                await self._service.call(self._outbox.lease.release)

    async def _work(self, publish: Publish) -> None:
        """Publish until the connection fails, or there is nothing left but what the broker would not take."""
        refused: dict[int, Exception] = {}
        while True:
            batch = asyncio.ensure_future(self._batch(publish, refused.keys()))
            try:
                taken, failed = await asyncio.shield(batch)
            finally:
                await asyncio.wait([batch])  # what was begun is noted, or it would be published twice
            refused |= failed
            if taken:
                self._attempts = 0
            elif refused:
                raise next(iter(refused.values()))
            else:
                await asyncio.sleep(POLL)

    async def _batch(self, publish: Publish, but: Collection[int]) -> tuple[int, dict[int, Exception]]:
        """Publish the next events: how many were taken, and which conversations failed."""
        claimed = await self._service.call(self._outbox.claim, but)
        until = time.monotonic() + self._outbox.lease.seconds - 2 * SECONDS
        done = await asyncio.gather(*(_in_order(publish, events, until) for events in claimed))
        counts = [count for count, _ in done]
        last = [events[count - 1] for events, count in zip(claimed, counts, strict=True) if count]
        await self._service.call(self._outbox.note, last)
        self._service.metrics.published.inc(sum(counts))
        failed = {events[0].key: error for events, (_, error) in zip(claimed, done, strict=True) if error}
        return sum(counts), failed


async def _in_order(publish: Publish, events: Sequence[Unpublished], until: float) -> tuple[int, Exception | None]:
    """Publish events of one conversation until one fails or time is up: how many the broker took, and what failed."""
    for count, event in enumerate(events):
        if count and time.monotonic() > until:
            return count, None
        try:
            with fail_after(SECONDS):
                await publish(event)
        except Exception as error:  # as above
            return count, error
    return len(events), None
