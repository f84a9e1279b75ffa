"""Errors as Rasa's HTTP API tells them, and who may ask what of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from dialogue.actions.remote import CONTRACT
from dialogue.server.parts import caller, parts_of
from dialogue.server.replies import told

logger = logging.getLogger(__name__)

REASONS = {
    400: "BadRequest",
    401: "NotAuthenticated",
    403: "NotAuthorized",
    404: "NotFound",
    406: "NotAcceptable",
    409: "Conflict",
    422: "BadRequest",
}


@dataclass
class RasaError(Exception):
    """Something Rasa's API refuses: status, a word for programs, a sentence for people, and what it is about."""

    status: int
    message: str
    reason: str | None = None
    details: dict[str, Any] | None = None


class RasaRoute(APIRoute):
    """A route whose every error has Rasa's body."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See FastAPI."""
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handle(request)
            except Exception as error:  # whatever it is, the client is told in the one shape it reads
                return failure(error)

        return handled


def failure(error: Exception) -> Response:
    """`{version, status: "failure", message, reason, details, help, code}`. Nothing of the inside is told."""
    headers: dict[str, str] = {}
    details: dict[str, Any] = {}
    reason = None
    if isinstance(error, RasaError):
        status, message, reason = error.status, error.message, error.reason
        details = error.details or {}
    elif isinstance(error, RequestValidationError):
        status, message = 400, "the request is not what was expected"
        details = {".".join(map(str, one["loc"])): one["msg"] for one in error.errors()}
    elif isinstance(error, HTTPException):
        status, message, headers = error.status_code, str(error.detail), dict(error.headers or {})
    else:
        status, message, retry_after = told(error)
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        if status >= 500:
            logger.error("%s: %s", type(error).__name__, error, exc_info=error if status == 500 else None)
    body = {
        "version": CONTRACT,
        "status": "failure",
        "message": message,
        "reason": reason or REASONS.get(status) or HTTPStatus(status).phrase.replace(" ", ""),
        "details": details,
        "help": None,
        "code": status,
    }
    return JSONResponse(body, status, headers)


async def admin(request: Request) -> None:
    """A token, or a JWT with the role `admin`. Raises `RefusedError` for anybody else."""
    if not (await caller(request)).developer:
        raise RasaError(403, "User has insufficient permissions.")


async def own_conversation(request: Request, conversation: str) -> str:
    """The conversation in the path: any for an admin, that of their own name for a user. Raises `RefusedError`."""
    if not (await caller(request)).may(conversation):
        raise RasaError(403, "User has insufficient permissions.")
    if "\x00" in conversation or len(conversation) > 512:
        raise RasaError(400, "the id of a conversation has at most 512 characters")
    return conversation


async def with_model(request: Request) -> None:
    """A model is loaded. Raises `ModelError`, whose status is 409, while none is."""
    _ = parts_of(request).service.bot
