"""The addresses that platforms call: `/webhooks/<channel>/webhook`."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from dialogue.channels.base import Channel, Delivery, Prepares
from dialogue.server.courier import Courier
from dialogue.server.parts import Here

METHODS = ["GET", "POST"]


def webhooks(channels: list[Channel], courier: Courier) -> APIRouter:
    """One route a channel; its requests are verified by it, so they need no token of ours."""
    router = APIRouter(prefix="/webhooks", include_in_schema=False)
    for channel in channels:
        router.add_api_route(f"/{channel.name}/webhook", _route(channel, courier), methods=METHODS)
    return router


def _route(channel: Channel, courier: Courier):  # type: ignore[no-untyped-def]  # noqa: ANN202 (FastAPI reads the rest)
    async def deliver(here: Here, request: Request) -> Response:
        url = str(request.url)
        if here.serving.public_url is not None:
            query = f"?{request.url.query}" if request.url.query else ""
            url = f"{here.serving.public_url.rstrip('/')}{request.url.path}{query}"
        delivery = Delivery(
            method=request.method,
            url=url,
            headers={name.lower(): value for name, value in request.headers.items()},
            query=dict(request.query_params),
            body=await request.body(),
        )
        if isinstance(channel, Prepares):
            await channel.prepare(delivery, courier.client)
        incoming = channel.receive(delivery)
        await courier.take(incoming)
        told = incoming.response
        return Response(told.body, told.status, {"content-type": told.content_type, **told.headers})

    return deliver
