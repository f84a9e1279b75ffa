"""Rasa's REST channel: a message in, the bot's messages out, as an array or line by line."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from dialogue.channels.base import RefusedError
from dialogue.channels.jsonl import dumps
from dialogue.events import EXTERNAL
from dialogue.message import Message, Reply
from dialogue.server.parts import Here
from dialogue.server.rasa_errors import RasaRoute

NAME = "rest"
SENDER = "default"
STREAM = "text/event-stream"  # what Rasa calls it; the body is a JSON object a line


def rest() -> APIRouter:
    """The channel's addresses. Anybody may speak for any sender, as in Rasa: put it where only programs reach it."""
    router = APIRouter(prefix=f"/webhooks/{NAME}", route_class=RasaRoute, tags=["rasa"])
    router.add_api_route("/", healthy, methods=["GET"], summary="Is the channel there?")
    router.add_api_route("/webhook", receive, methods=["POST"], summary="Say something", response_model=None)
    return router


async def healthy() -> dict[str, str]:
    """Always well."""
    return {"status": "ok"}


async def receive(here: Here, request: Request, stream: bool = False) -> Response:
    """The bot's messages: `[{recipient_id, text | image | attachment | custom, buttons?}]`; with `stream`, a line each.

    A body that cannot be read is answered as in Rasa: 400 with `description`, `status` and `message`.
    """
    try:
        message = read_message(await request.body(), NAME, here.serving.message_characters)
    except RefusedError as error:
        return JSONResponse({"description": "Bad Request", "status": error.status, "message": str(error)}, error.status)
    if message is None:
        return JSONResponse([])
    await here.limiter.hit("sender", message.sender)
    turn = await here.service.handle(message, patience=here.serving.patience)
    said = [one for reply in turn.replies for one in rasa_messages(reply, message.sender)]
    if stream:
        return StreamingResponse((dumps(one) + "\n" for one in said), media_type=STREAM)
    return Response(dumps(said), media_type="application/json")


def read_message(body: bytes, channel: str, most: int) -> Message | None:
    """The message of a request of the REST or callback channel; None when it has none.

    Raises:
        RefusedError: with status 400, if the body is not what the channel expects.
    """
    try:
        told = json.loads(body)
    except ValueError as error:
        raise RefusedError("Failed when parsing body as json", 400) from error
    if not isinstance(told, dict):
        raise RefusedError("expected a JSON object", 400)
    text = told.get("message")
    if text is None:
        return None
    if not isinstance(text, str) or len(text) > most:
        raise RefusedError(f"message: expected a string of at most {most} characters", 400)
    metadata = told.get("metadata")
    metadata = {} if metadata is None else metadata
    if not isinstance(metadata, dict):
        raise RefusedError("metadata: expected an object", 400)
    return Message(
        text,
        _name(told, "sender", SENDER),
        _name(told, "input_channel", channel),
        id=_name(told, "message_id", uuid.uuid4().hex),
        metadata=own_metadata(metadata),
    )


def own_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata without the mark of messages that no person said: that is not for clients to set."""
    return {key: value for key, value in metadata.items() if key != EXTERNAL}


def rasa_messages(reply: Reply, recipient: str) -> Iterator[dict[str, Any]]:
    """A reply as Rasa's messages: a text with buttons is one, else each paragraph and each other part is."""
    to = {"recipient_id": recipient}
    shown = reply.as_dict()
    if reply.buttons:
        yield {**to, "text": reply.text or "", "buttons": shown["buttons"]}
    elif reply.text is not None:
        yield from ({**to, "text": paragraph} for paragraph in paragraphs(reply.text))
    for part in ("custom", "image", "attachment"):
        if part in shown:
            yield {**to, part: shown[part]}


def paragraphs(text: str) -> list[str]:
    """A text, cut at blank lines."""
    return text.strip().split("\n\n")


def _name(told: Mapping[str, Any], key: str, default: str) -> str:
    value = told.get(key)
    value = default if value in (None, "") else str(value) if type(value) in (int, float) else value
    if not isinstance(value, str) or not 0 < len(value) <= 255 or "\x00" in value:
        raise RefusedError(f"{key}: expected a string of 1 to 255 characters", 400)
    return value
