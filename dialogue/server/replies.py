"""What a client is answered when something goes wrong: a sentence, whether to try again, never a traceback."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from dialogue.channels.base import RefusedError, SendError
from dialogue.errors import ModelError, ProjectError, StarfoldError, StoreError, TrainingError
from dialogue.server.limits import LimitedError

logger = logging.getLogger(__name__)

STORE_SECONDS = 5


def error_response(status: int, message: str, retry_after: int | None = None, **more: Any) -> Response:
    """`{"error": message, "retry": bool}`, with Retry-After where trying again is of use."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse({"error": message, "retry": retry_after is not None, **more}, status, headers)


def told(error: Exception) -> tuple[int, str, int | None]:
    """Status, sentence and seconds until to try again, for what our own code raises. Nothing of the inside is told."""
    from dialogue.server.service import BusyError, SlowTurnError

    if isinstance(error, LimitedError):
        return 429, str(error), error.retry_after
    if isinstance(error, BusyError):
        return 503, str(error), 1
    if isinstance(error, SlowTurnError):
        return 504, str(error), 1
    if isinstance(error, SendError):
        return 503, "the platform cannot be asked just now; try again", round(error.retry_after or STORE_SECONDS)
    if isinstance(error, RefusedError):
        return error.status, str(error), None
    if isinstance(error, StoreError):
        return 503, "the conversations cannot be reached just now; try again", STORE_SECONDS
    if isinstance(error, ModelError):
        return 409, str(error), None
    if isinstance(error, (TrainingError, ProjectError)):
        return 422, str(error), None
    return 500, "something went wrong here; it was logged", None


def install(app: FastAPI) -> None:
    """Have every error of an app answered in this shape."""

    async def ours(_: Request, error: Exception) -> Response:
        status, message, retry_after = told(error)
        if status >= 500:
            logger.error("%s: %s", type(error).__name__, error, exc_info=error if status == 500 else None)
        return error_response(status, message, retry_after)

    async def invalid(_: Request, error: Exception) -> Response:
        problems = error.errors() if isinstance(error, RequestValidationError) else []
        places = [
            {"where": ".".join(str(part) for part in problem["loc"]), "message": problem["msg"]} for problem in problems
        ]
        return error_response(422, "the request is not what was expected", problems=places)

    async def http(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        answer = error_response(error.status_code, str(error.detail))
        answer.headers.update(error.headers or {})
        return answer

    app.add_exception_handler(StarfoldError, ours)
    app.add_exception_handler(Exception, ours)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
