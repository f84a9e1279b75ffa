"""What only one process does at a time, such as to ask a platform for messages: whoever has the lease."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from dialogue.errors import StoreError
from dialogue.server.service import BotService
from dialogue.store.leases import Lease

logger = logging.getLogger(__name__)


async def alone(service: BotService, lease: Lease, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run something while this process holds a lease, until cancelled; another process goes on when it does not.

    Args:
        service: whose threads wait for the store.
        lease: of what is run.
        run: begins it; it is cancelled when the lease is lost, or cannot be held because the store does not answer.
    """
    running: asyncio.Task[None] | None = None
    try:
        while True:
            mine = await _held(service, lease)
            if mine and running is None:
                running = asyncio.ensure_future(run())
            elif not mine and running is not None:
                await _stopped(running)
                running = None
            await asyncio.sleep(lease.seconds / 3)
    finally:
        if running is not None:
            await _stopped(running)
            with contextlib.suppress(StoreError):  # then it runs out by itself
                await service.call(lease.release)


async def _held(service: BotService, lease: Lease) -> bool:
    try:
        return await service.call(lease.take)
    except StoreError as error:
        logger.warning("nobody knows whose turn it is: %s", error)
        return False


async def _stopped(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
