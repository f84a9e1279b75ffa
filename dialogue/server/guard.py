"""What is turned away before any route sees it: bodies that are too large, addresses that ask too often."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dialogue.server.limits import LimitedError, Limiter
from dialogue.server.replies import error_response

OPEN = ("/health/live", "/health/ready")


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
