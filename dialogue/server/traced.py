"""Middleware: a span for each HTTP request. It holds the route, not the path, which may name a person."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dialogue import tracing


class Traced:
    """Traces what goes through the app."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http" or not tracing.on():
            await self._app(scope, receive, send)
            return
        with tracing.request(scope["method"], scope["headers"]) as span:

            async def told(message: Message) -> None:
                if message["type"] == "http.response.start":
                    route = getattr(scope.get("route"), "path", "")
                    span.set_attributes({"http.route": route, "http.response.status_code": message["status"]})
                await send(message)

            await self._app(scope, receive, told)
