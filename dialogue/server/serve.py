"""A bot's server from its first breath to its last: uvicorn around the app."""

from __future__ import annotations

import logging
import secrets
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from pydantic import ValidationError

from dialogue import tracing
from dialogue.brokers import broker_of
from dialogue.errors import StarfoldError
from dialogue.project import Progress
from dialogue.sections import Serving
from dialogue.server.answering import Answering
from dialogue.server.app import create_app
from dialogue.server.limits import Limiter
from dialogue.server.logs import log_json, quiet
from dialogue.server.memory import few_arenas, settle
from dialogue.server.opening import authority_of, open_service
from dialogue.server.origins import Origins
from dialogue.server.rasa_mount import sorted_out

DRAIN_SECONDS = 30  # for open connections; turns and replies that were begun are waited for in any case


def with_options(serving: Serving, given: Mapping[str, Any]) -> Serving:
    """The section `server` with what the command line says instead; None there says nothing.

    Raises:
        StarfoldError: if an option is wrong.
    """
    said = {name: value for name, value in given.items() if value is not None and value != []}
    try:
        return Serving.model_validate({**serving.model_dump(), **said})
    except ValidationError as error:
        first = error.errors()[0]
        raise StarfoldError(f"server.{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def check(serving: Serving) -> None:
    """Find out at once what would otherwise only be told once the bot is trained.

    Raises:
        StarfoldError: if an origin, a rate or the broker of `serving` is wrong, or its packages are not there.
    """
    Limiter(serving.rates, serving.redis)
    Origins(serving.origins)
    if serving.events.url:
        broker_of(serving.events)


@dataclass(frozen=True, slots=True)
class Place:
    """What a process has from the one that began it with others.

    Attributes:
        socket: listens already, in all of them.
        answering: which version of the model they answer with.
        ready: is called once messages are answered.
    """

    socket: socket.socket
    answering: Answering
    ready: Callable[[], None]


def prepared(serving: Serving, tell: Callable[[str], None]) -> Serving:
    """The section `server`, checked; where it has neither API token nor JWT, a token is made up and told.

    Raises:
        StarfoldError: as `check`.
    """
    check(serving)
    if serving.tokens or serving.jwt_secret is not None:
        return serving
    made = with_options(serving, {"tokens": [secrets.token_urlsafe(16)]})
    tell(f"API token, until this server ends: {made.tokens[0]}")
    return made


def begin_log(serving: Serving) -> None:
    """Log in the form that `serving` wants."""
    if serving.log == "json":
        log_json(mask=serving.mask)
    else:
        logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
        quiet()


def serve(
    project: Path,
    serving: Serving,
    *,
    channels: Sequence[object] = (),
    api: bool = False,
    progress: Progress | None = None,
    place: Place | None = None,
) -> None:
    """Serve a bot in this process until SIGTERM or SIGINT.

    Args:
        project: the bot's folder.
        serving: the section `server` of bot.yml, `prepared`.
        channels: messaging channels, Rasa's own among them.
        api: whether Rasa's HTTP API is served.
        progress: hears how training goes.
        place: among several processes.

    Raises:
        StarfoldError: of the kind that fits; see `dialogue.errors`.
    """
    begin_log(serving)
    few_arenas()
    answering = place.answering if place else None
    service = open_service(project, serving, progress=progress, answering=answering)
    stop = tracing.start(service.bot.name) if tracing.wanted() else None
    served, rasa = sorted_out(channels, api=api)
    authority = authority_of(project, serving)
    app = create_app(service, serving, authority, channels=served, project=project, rasa=rasa, answering=answering)
    config = uvicorn.Config(
        app,
        host=serving.host,
        port=serving.port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(serving.proxies),
        forwarded_allow_ips=serving.proxies,
        ws_max_size=serving.body_kb * 1024,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    settle()
    try:
        Server(config, place.ready if place else lambda: None).run([place.socket] if place else None)
    except SystemExit as end:  # it has logged why
        raise StarfoldError(f"cannot listen on {serving.host}:{serving.port}") from end
    finally:
        if stop is not None:
            stop()


class Server(uvicorn.Server):
    """Says when it answers."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn does."""
        await super().startup(sockets)
        self._ready()
