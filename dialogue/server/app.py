"""The app: every room of the server under one roof, and what runs beside the requests."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi_offline import FastAPIOffline

import dialogue
from dialogue.brokers import broker_of
from dialogue.channels.base import Channel, Listener, Registers
from dialogue.sections import Serving
from dialogue.server import conversations_api, health, model_api, replies, stream
from dialogue.server.alone import alone
from dialogue.server.answering import Answering, follow
from dialogue.server.auth import Authority
from dialogue.server.chores import remind, tidy
from dialogue.server.courier import Courier, listen, register
from dialogue.server.guard import Guard
from dialogue.server.limits import Limiter
from dialogue.server.origins import Origins
from dialogue.server.parts import Parts
from dialogue.server.publisher import Publisher
from dialogue.server.rasa_mount import NOTHING, RasaOptions, mount
from dialogue.server.service import BotService
from dialogue.server.static import static_routes
from dialogue.server.traced import Traced
from dialogue.server.webhooks import webhooks
from dialogue.store.leases import Lease

logger = logging.getLogger(__name__)

ABOUT = "The API of a starfold bot. Developers show an API token or a JWT, visitors the token of their session."


def create_app(
    service: BotService,
    serving: Serving,
    authority: Authority,
    *,
    channels: Sequence[Channel | Listener] = (),
    project: Path | None = None,
    rasa: RasaOptions = NOTHING,
    answering: Answering | None = None,
) -> FastAPI:
    """The web application around a bot. The service ends with it.

    Args:
        service: answers.
        serving: the section `server` of bot.yml.
        authority: knows callers.
        channels: messaging channels to serve.
        project: the bot's folder, where examples are taught into; None to refuse them.
        rasa: what of Rasa's server is served.
        answering: which version answers, where several processes serve the bot.

    Raises:
        StarfoldError: if an origin, a rate or the broker of `serving` is wrong, or its packages are not there.
    """
    parts = Parts(
        service=service,
        serving=serving,
        authority=authority,
        limiter=Limiter(serving.rates, serving.redis),
        origins=Origins(serving.origins),
        project=project,
    )
    client = httpx.AsyncClient(timeout=15.0)
    courier = Courier(service, channels, client)
    publisher = Publisher(service, broker_of(serving.events)) if serving.events.url else None

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        chores: list[Coroutine[Any, Any, None]] = [service.feed.run(), remind(service, courier), tidy(parts)]
        if channels:
            chores.append(courier.run())
        if publisher is not None:
            chores.append(publisher.run())
        if answering is not None:
            chores.append(follow(service, answering))
        for channel in (channel for channel in channels if isinstance(channel, Listener)):
            lease = Lease(service.store.database, f"channel {channel.name}")
            chores.append(alone(service, lease, partial(listen, channel, courier.take, client)))
        chores += [register(channel, client) for channel in channels if isinstance(channel, Registers)]
        tasks = [asyncio.ensure_future(chore) for chore in chores]
        try:
            yield
        finally:
            service.draining = True
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if socket is not None:
                await socket.close()
            await service.close()
            await client.aclose()
            await parts.limiter.close()

    app = FastAPIOffline(
        redoc_url=None, title=service.bot.name, version=dialogue.__version__, description=ABOUT, lifespan=lifespan
    )
    app.state.parts = parts
    replies.install(app)
    for router in (conversations_api.router, model_api.router, stream.router, health.router):
        app.router.routes.extend(router.routes)  # a router within a router would be searched twice for each request
    app.router.routes.extend(static_routes())
    app.include_router(webhooks([channel for channel in channels if isinstance(channel, Channel)], courier))
    socket = mount(app, parts, courier, [channel.name for channel in channels], rasa)
    # The last one added is asked first: a refusal for size or rate has CORS headers, too.
    app.add_middleware(Guard, limiter=parts.limiter, most_bytes=serving.body_kb * 1024)
    if serving.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(parts.origins.allowed),
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=["*"],
            expose_headers=["Retry-After", "filename"],
            max_age=600,
        )
    app.add_middleware(Traced)
    return app
