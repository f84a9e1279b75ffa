"""How much anybody may ask for: rates in a moving window, and sizes. With Redis the rates hold across machines."""

from __future__ import annotations

import math
import time

from limits import RateLimitItem, parse
from limits.aio.strategies import MovingWindowRateLimiter
from limits.storage import storage_from_string
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dialogue.clock import SetClock
from dialogue.errors import MissingExtraError, StarfoldError
from dialogue.sections import Rates
from dialogue.server.replies import error_response

OPEN = ("/health/live", "/health/ready")
SET_BACK = 1.0  # seconds; less is no harm


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
        if redis is None:
            storage = storage_from_string("async+memory://")
        else:
            try:
                storage = storage_from_string(f"async+{redis}", implementation="redispy")
            except Exception as error:
                raise MissingExtraError("counting in Redis", "redis") from error
        self._limiter = MovingWindowRateLimiter(storage)
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
            await self._limiter.storage.reset()  # what seems to come in the future would count until then
        item = self._items.get(kind)
        if item is None or await self._limiter.hit(item, kind, key):
            return
        window = await self._limiter.get_window_stats(item, kind, key)
        seconds = max(1, math.ceil(window.reset_time - time.time()))
        raise LimitedError(f"too many requests: at most {item} for each {kind}", seconds)


class Guard:
    """Middleware: turns away bodies that are too large, and addresses that ask too often.

    Args:
        app: what it guards.
        limiter: counts by the client's address.
        most_bytes: of a body.
    """

    def __init__(self, app: ASGIApp, limiter: Limiter, most_bytes: int) -> None:
        self._app = app
        self._limiter = limiter
        self._most = most_bytes
        self._too_large = f"the body is too large: at most {most_bytes} bytes"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] not in ("http", "websocket") or scope["path"] in OPEN:
            await self._app(scope, receive, send)
            return
        try:
            await self._limiter.hit("address", scope["client"][0] if scope.get("client") else "unknown")
        except LimitedError as error:
            await _refuse(scope, receive, send, 429, str(error), error.retry_after)
            return
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return
        told = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if not told.isdigit() or int(told) > self._most:
            await _refuse(scope, receive, send, 413, self._too_large)
            return
        await self._app(scope, self._counted(receive), send)

    def _counted(self, receive: Receive) -> Receive:
        """Also a body that does not tell its length ends where it becomes too large."""
        size = 0

        async def count() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._most:
                raise HTTPException(413, self._too_large)
            return message

        return count


async def _refuse(
    scope: Scope, receive: Receive, send: Send, status: int, message: str, retry_after: int | None = None
) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1013, "reason": message[:100]})
        return
    await error_response(status, message, retry_after)(scope, receive, send)
