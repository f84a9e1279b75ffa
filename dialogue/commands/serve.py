"""The command that serves a bot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dialogue.commands.frame import HERE, Project

if TYPE_CHECKING:
    from dialogue.sections import Serving


def run(
    project: Project = HERE,
    host: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, metavar="PORT", help="Port to listen on.")] = None,
    cors: Annotated[
        list[str] | None, typer.Option(metavar="ORIGIN", help="A web page that may talk to the bot; may be repeated.")
    ] = None,
    auth_token: Annotated[str | None, typer.Option(metavar="TOKEN", help="API token of developers.")] = None,
    jwt_secret: Annotated[
        str | None, typer.Option(metavar="SECRET", help="Secret, or public key, that JWTs are checked with.")
    ] = None,
    jwt_method: Annotated[str | None, typer.Option(metavar="METHOD", help="HS256 or RS256.")] = None,
    channel: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Serve only this messaging channel; may be repeated.")
    ] = None,
    processes: Annotated[
        int | None, typer.Option(min=1, max=64, metavar="N", help="Processes that share the port, a core for each.")
    ] = None,
    enable_api: Annotated[bool, typer.Option("--enable-api", help="Serve Rasa's HTTP API, too.")] = False,
) -> None:
    """Serve the bot over HTTP and WebSocket, trained first when it must be. SIGTERM ends it when all is answered.

    What is not given here stands in the section `server` of bot.yml.
    """
    from dialogue.assembly import build_channels
    from dialogue.config_file import load_config
    from dialogue.console import progress
    from dialogue.server.serve import prepared, serve, with_options

    given = {
        "host": host,
        "port": port,
        "origins": cors,
        "tokens": [auth_token] if auth_token else None,
        "jwt_secret": jwt_secret,
        "jwt_method": jwt_method,
        "processes": processes,
    }
    config = load_config(project)
    serving: Serving = prepared(with_options(config.server, given), typer.echo)
    channels = list(build_channels(config, channel or None).values())
    if serving.processes > 1:
        from dialogue.server.processes import serve_together

        serve_together(project, serving, channel or None, api=enable_api)
        return
    with progress() as report:
        serve(project, serving, channels=channels, api=enable_api, progress=report)
