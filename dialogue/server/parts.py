"""What the rooms of the server share, and who is asking."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request
from fastapi import Path as InPath
from fastapi.security import HTTPBearer

from dialogue.channels.base import RefusedError
from dialogue.sections import Serving
from dialogue.server.auth import Authority, Caller
from dialogue.server.limits import Limiter
from dialogue.server.origins import Origins
from dialogue.server.service import BotService

NAME = r"^[^\x00]{1,512}$"
_bearer = HTTPBearer(auto_error=False, description="An API token, a JWT, or a visitor's token.")


@dataclass(frozen=True, slots=True)
class Parts:
    """The service and the rules around it. `project` is the bot's folder; None where there is nothing to teach."""

    service: BotService
    serving: Serving
    authority: Authority
    limiter: Limiter
    origins: Origins
    project: Path | None = None


async def parts(request: Request) -> Parts:
    """Those of the app that is asked. It waits for nothing: were it no coroutine, a thread would be asked for it."""
    return parts_of(request)


def parts_of(request: Request) -> Parts:
    """Those of the app that is asked."""
    found: Parts = request.app.state.parts
    return found


def token_of(request: Request) -> str | None:
    """What the caller shows: a bearer token or, as Rasa has it, `?token=`."""
    scheme, _, shown = request.headers.get("authorization", "").partition(" ")
    return shown.strip() if scheme.lower() == "bearer" else request.query_params.get("token")


async def caller(request: Request, _: Annotated[object, Depends(_bearer)] = None) -> Caller:
    """Whoever asks, counted. Raises `RefusedError` and `LimitedError`."""
    mine = parts_of(request)
    if not mine.origins.permits(request.headers.get("origin"), request.headers.get("host")):
        raise RefusedError(f"the origin {request.headers['origin']} may not talk to this bot", 403)
    found = mine.authority.caller(token_of(request))
    await mine.limiter.hit("key", found.name)
    return found


async def developer(found: Annotated[Caller, Depends(caller)]) -> Caller:
    """Whoever asks, a developer. Raises `RefusedError` with status 403 for anybody else."""
    if not found.developer:
        raise RefusedError("only developers may do this", 403)
    return found


async def owned(
    conversation: Annotated[str, InPath(pattern=NAME, description="Id of the conversation.")],
    found: Annotated[Caller, Depends(caller)],
) -> str:
    """The conversation in the path, if whoever asks may see it. Raises `RefusedError` with status 403 if not."""
    if not found.may(conversation):
        raise RefusedError("this conversation is another's", 403)
    return conversation


async def reachable(
    conversation: Annotated[str, InPath(pattern=NAME, description="Id of the conversation.")],
    found: Annotated[Caller, Depends(developer)],
) -> str:
    """The conversation in the path, for a developer."""
    return conversation


Here = Annotated[Parts, Depends(parts)]
Owned = Annotated[str, Depends(owned)]
Reachable = Annotated[str, Depends(reachable)]
Known = Annotated[Caller, Depends(caller)]
Developer = Depends(developer)
