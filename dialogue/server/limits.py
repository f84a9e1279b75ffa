"""How often anybody may ask: rates in a moving window. With Redis the rates hold across machines.

While Redis is away each process counts by itself: a bot must not fall silent because nobody counts.
"""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING, Any

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter
from limits.errors import StorageError
from limits.storage import storage_from_string

from dialogue.clock import SetClock
from dialogue.errors import MissingExtraError, StarfoldError
from dialogue.sections import Rates

if TYPE_CHECKING:
    from redis.asyncio import ConnectionPool

logger = logging.getLogger(__name__)

SET_BACK = 1.0  # seconds; less is no harm
REDIS_SECONDS = 1.0  # for an answer
AWAY_SECONDS = 5.0  # until Redis is asked again


class LimitedError(StarfoldError):
    """Too much was asked for: `retry_after` is the number of seconds until more may be."""

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Limiter:
    """Counts what came by whom.

    Args:
        rates: how much may come, by kind of key, such as `30/minute`.
        redis: URL of the Redis that several machines count in; None: each process counts by itself.
    """

    def __init__(self, rates: Rates, redis: str | None = None) -> None:
        self._items: dict[str, RateLimitItem] = {
            name: parse(rate) for name, rate in rates.model_dump().items() if rate is not None
        }
        self._alone = MovingWindowRateLimiter(MemoryStorage())
        self._pool = None if redis is None else _connections(redis)
        self._together: MovingWindowRateLimiter | None = None
        if redis is not None:
            options: Any = {"implementation": "redispy", "wrap_exceptions": True, "connection_pool": self._pool}
            self._together = MovingWindowRateLimiter(storage_from_string(f"async+{redis}", **options))
        self._away_until = 0.0
        self._clock = SetClock()

    async def hit(self, kind: str, key: str) -> None:
        """Count one more.

        Args:
            kind: `sender`, `address` or `key`.
            key: who it is.

        Raises:
            LimitedError: if it is one too many.
        """
        if self._clock.moved() < -SET_BACK:
            await self._alone.storage.reset()  # what seems to come in the future would count until then
        item = self._items.get(kind)
        if item is None:
            return
        together = self._together if time.monotonic() >= self._away_until else None
        try:
            seconds = await _hit(together or self._alone, item, kind, key)
        except StorageError as error:
            logger.warning("Redis is away, rates are counted in this process alone: %s", error.storage_error)
            self._away_until = time.monotonic() + AWAY_SECONDS
            seconds = await _hit(self._alone, item, kind, key)
        if seconds:
            raise LimitedError(f"too many requests: at most {item} for each {kind}", seconds)

    async def close(self) -> None:
        """Let go of Redis."""
        if self._pool is not None:
            await self._pool.disconnect()


async def _hit(limiter: MovingWindowRateLimiter, item: RateLimitItem, kind: str, key: str) -> int:
    """Count one more: 0, or the seconds until there may be one more."""
    if await limiter.hit(item, kind, key):
        return 0
    window = await limiter.get_window_stats(item, kind, key)
    return min(max(1, math.ceil(window.reset_time - time.time())), item.get_expiry())


def _connections(redis: str) -> ConnectionPool:
    try:
        from redis.asyncio import ConnectionPool
    except ImportError as error:
        raise MissingExtraError("counting in Redis", "redis") from error
    try:
        return ConnectionPool.from_url(redis, socket_timeout=REDIS_SECONDS, socket_connect_timeout=REDIS_SECONDS)
    except ValueError as error:
        raise StarfoldError(f"server.redis: {error}") from error
