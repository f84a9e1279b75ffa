"""A bot's server from its first breath to its last: uvicorn around the app."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import uvicorn
from pydantic import ValidationError

from dialogue import tracing
from dialogue.brokers import broker_of
from dialogue.errors import StarfoldError
from dialogue.project import Progress
from dialogue.sections import Serving
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


def serve(
    project: Path,
    serving: Serving,
    *,
    channels: Sequence[object] = (),
    api: bool = False,
    progress: Progress | None = None,
    tell: Callable[[str], None] = print,
) -> None:
    """Serve a bot until SIGTERM or SIGINT. Without an API token or JWT, a token is made up and told.

    Args:
        project: the bot's folder.
        serving: the section `server` of bot.yml.
        channels: messaging channels, Rasa's own among them.
        api: whether Rasa's HTTP API is served.
        progress: hears how training goes.
        tell: says something to whoever started the server.

    Raises:
        StarfoldError: of the kind that fits; see `dialogue.errors`.
    """
    check(serving)
    if not serving.tokens and serving.jwt_secret is None:
        serving = with_options(serving, {"tokens": [secrets.token_urlsafe(16)]})
        tell(f"API token, until this server ends: {serving.tokens[0]}")
    if serving.log == "json":
        log_json(mask=serving.mask)
    else:
        logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
        quiet()
    few_arenas()
    service = open_service(project, serving, progress=progress)
    stop = tracing.start(service.bot.name) if tracing.wanted() else None
    served, rasa = sorted_out(channels, api=api)
    app = create_app(service, serving, authority_of(project, serving), channels=served, project=project, rasa=rasa)
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
        uvicorn.Server(config).run()
    except SystemExit as end:  # it has logged why
        raise StarfoldError(f"cannot listen on {serving.host}:{serving.port}") from end
    finally:
        if stop is not None:
            stop()
