"""Rasa's HTTP API, so that programs written for `rasa run --enable-api` find what they know.

Paths, queries and shapes are those of Rasa 3.6. README.md tells what differs: errors are errors, and nothing is open
without a token.
"""

from __future__ import annotations

from typing import Any

import yaml
from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Scope

import dialogue
from dialogue.actions.remote import CONTRACT
from dialogue.server import rasa_conversations, rasa_model, rasa_tests
from dialogue.server.parts import Here
from dialogue.server.rasa_errors import RasaError, RasaRoute, admin, with_model

MINIMUM_COMPATIBLE = "3.5.0"
YAML_TYPES = ("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml")


class _ForPrograms(APIRoute):
    """Answers all but browsers: a page may stand under the same path."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """See Starlette."""
        accept = next((value for name, value in scope.get("headers", ()) if name == b"accept"), b"")
        return (Match.NONE, {}) if b"text/html" in accept else super().matches(scope)


def greetings() -> APIRouter:
    """What Rasa answers with or without `--enable-api`."""
    router = APIRouter(route_class=_ForPrograms, include_in_schema=False)
    router.add_api_route("/", hello, methods=["GET"], response_class=PlainTextResponse)
    router.add_api_route("/version", version, methods=["GET"])
    return router


def rasa_api() -> APIRouter:
    """What needs `--enable-api`."""
    router = APIRouter(tags=["rasa"])
    router.include_router(_about)
    router.include_router(rasa_conversations.router)
    router.include_router(rasa_model.router)
    router.include_router(rasa_tests.router)
    return router


async def hello() -> str:
    """What Rasa's server says; clients take it for a sign of life."""
    return f"Hello from Rasa: {CONTRACT}"


async def version() -> dict[str, str]:
    """The release of Rasa whose contract this is, and this server's own version."""
    return {"version": CONTRACT, "minimum_compatible_version": MINIMUM_COMPATIBLE, "starfold": dialogue.__version__}


_about = APIRouter(route_class=RasaRoute, dependencies=[Depends(admin), Depends(with_model)])


@_about.get("/status", summary="Which model answers")
async def status(here: Here, request: Request) -> dict[str, Any]:
    """The version of the model and how many trainings run."""
    loaded = here.service.live.now
    jobs: int = getattr(request.app.state, "training_jobs", 0)
    return {"model_file": loaded.version, "model_id": loaded.version, "num_active_training_jobs": jobs}


@_about.get("/domain", summary="The domain of the model")
async def domain(here: Here, request: Request) -> Response:
    """The domain as JSON or YAML, whichever `Accept` asks for; JSON where it leaves the choice."""
    accept = request.headers.get("accept", "*/*").lower()
    found = here.service.bot.domain.as_dict()
    if any(kind in accept for kind in YAML_TYPES):
        return Response(yaml.safe_dump(found, sort_keys=False, allow_unicode=True), media_type="application/yaml")
    if "application/json" in accept or "*/*" in accept or "application/*" in accept:
        return JSONResponse(found)
    raise RasaError(406, "the domain comes as application/json or application/yaml", "NotAcceptable")
