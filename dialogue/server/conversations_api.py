"""Conversations over HTTP: messages in, replies out, and all that is known of them."""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response, StreamingResponse
from fastapi.routing import APIRoute
from pydantic import ValidationError
from starlette.requests import ClientDisconnect

from dialogue.channels.base import RefusedError
from dialogue.channels.jsonl import dumps
from dialogue.events import EXTERNAL
from dialogue.message import Message
from dialogue.server.parts import (
    NAME,
    Developer,
    Here,
    Known,
    Owned,
    Parts,
    Reachable,
    caller,
    owned,
    parts_of,
    token_of,
)
from dialogue.server.replies import told
from dialogue.server.shapes import (
    PROBLEMS,
    Answer,
    ConversationShown,
    Events,
    FeedbackRequest,
    Items,
    MessageRequest,
    SessionRequest,
    SessionShown,
    Turns,
)
from dialogue.server.transcript import turn_views
from dialogue.turn import REPEATED, TurnResult
from dialogue.understanding import belief_data

CHANNEL = "web"
SSE = "text/event-stream"
router = APIRouter(prefix="/api", tags=["conversations"], responses=PROBLEMS)
After = Annotated[int, Query(ge=0, le=2**31 - 1, description="Number of an event: what came later is shown.")]


@router.post("/session", summary="A conversation for a visitor")
async def begin_session(here: Here, request: Request, body: SessionRequest | None = None) -> SessionShown:
    """A token for one conversation: a new one, the one of an old token, or that of a user the web page vouches for."""
    if not here.origins.permits(request.headers.get("origin"), request.headers.get("host")):
        raise RefusedError(f"the origin {request.headers['origin']} may not talk to this bot", 403)
    shown = (body.token if body else None) or token_of(request)
    session = here.authority.session(shown)
    return SessionShown(conversation=session.conversation, token=session.token, expires=session.expires)


async def say(here: Here, conversation: Owned, found: Known, body: MessageRequest, request: Request) -> Any:
    """The answer; with `Accept: text/event-stream` the events `typing`, `reply` (each), and `done` or `error`."""
    message = await heard(here, conversation, body.text, body.id, body.metadata)
    if SSE in request.headers.get("accept", ""):
        stream = _stream(here, message, inside=found.developer)
        return StreamingResponse(stream, media_type=SSE, headers={"Cache-Control": "no-store"})
    turn = await here.service.handle(message, patience=here.serving.patience)
    return Response(dumps(answer(turn, inside=found.developer)), media_type="application/json")


class _Said(APIRoute):
    """Reads what is as it should be without FastAPI, which takes three times as long, and leaves it the rest."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What answers a request."""
        careful = super().get_route_handler()

        async def quick(request: Request) -> Response:
            conversation = request.path_params["conversation"]
            if request.headers.get("content-type") != "application/json" or not re.fullmatch(NAME, conversation):
                return await careful(request)
            try:
                body = MessageRequest.model_validate_json(await request.body())
            except (ValidationError, ClientDisconnect):
                return await careful(request)
            found = await caller(request)
            answered: Response = await say(parts_of(request), await owned(conversation, found), found, body, request)
            return answered

        return quick


router.add_api_route(
    "/conversations/{conversation}/messages",
    say,
    methods=["POST"],
    response_model=Answer,
    summary="Say something",
    responses={200: {"content": {SSE: {"schema": {"type": "string"}}}}},
    route_class_override=_Said,
)


@router.get("/conversations", dependencies=[Developer], summary="Who was here")
async def met(here: Here, limit: Annotated[int, Query(ge=1, le=1000)] = 50) -> list[ConversationShown]:
    """The conversations that went on last, latest first."""
    found = await here.service.call(lambda: here.service.records.met(limit))
    return [ConversationShown(conversation=one.conversation, last=one.last, updated=one.updated) for one in found]


@router.get("/conversations/{conversation}/messages", summary="What was said")
async def said(here: Here, conversation: Owned, after: After = 0) -> Items:
    """What was said on both sides after an event; of a conversation nobody knows, nothing."""
    found, last = await here.service.feed.items(conversation, after)
    return Items(items=found, last=last)


@router.get("/conversations/{conversation}/events", summary="What happened")
async def happened(here: Here, conversation: Reachable, after: After = 0) -> Events:
    """The events after one."""
    events = await here.service.call(lambda: here.service.store.events(conversation, after=after))
    return Events(events=[event.as_dict() for event in events], last=after + len(events))


@router.get("/conversations/{conversation}/turns", summary="Why the bot said what it said")
async def turns(here: Here, conversation: Reachable, after: After = 0) -> Turns:
    """Each turn with belief, decision, events and milliseconds, and the slots as they are now."""

    def read() -> Turns:
        service = here.service
        events = service.store.events(conversation)[after:]
        views = turn_views(events, after, service.records.turns(conversation, after=after))
        return Turns(turns=views, slots=dict(service.bot.tracker(conversation).state().slots))

    return await here.service.call(read)


@router.delete("/conversations/{conversation}", status_code=204, summary="Forget a conversation")
async def forget(here: Here, conversation: Owned) -> None:
    """Delete all there is of a conversation. Nothing is also well."""
    await here.service.delete(conversation)


@router.get("/conversations/{conversation}/export", summary="All there is of a conversation")
async def export(here: Here, conversation: Owned) -> dict[str, Any]:
    """Events, messages with their replies, feedback, and what is on its way."""
    return await here.service.export(conversation)


@router.post("/conversations/{conversation}/feedback", status_code=204, summary="Thumbs up or down")
async def rate(here: Here, conversation: Owned, body: FeedbackRequest) -> None:
    """Keep what the user thought of an answer; the last word counts."""
    await rated(here, conversation, body)


async def rated(here: Parts, conversation: str, body: FeedbackRequest) -> None:
    """Keep feedback. Raises `RefusedError` with status 404 if the conversation has no such message."""
    known = await here.service.call(here.service.records.rate, conversation, body.message_id, body.rating, body.comment)
    if not known:
        raise RefusedError(f"the conversation has no message {body.message_id!r}", 404)


async def heard(here: Parts, conversation: str, text: str, message_id: str | None, metadata: dict[str, Any]) -> Message:
    """A message of the web, counted. Raises `LimitedError`, and `RefusedError` if it is too long."""
    if len(text) > here.serving.message_characters:
        raise RefusedError(f"the message is too long: at most {here.serving.message_characters} characters", 422)
    await here.limiter.hit("sender", conversation)
    # What marks messages that no person said is not for clients to say.
    own = {key: value for key, value in metadata.items() if key != EXTERNAL}
    return Message(text, conversation, CHANNEL, id=message_id or uuid.uuid4().hex, metadata=own)


def answer(turn: TurnResult, *, inside: bool) -> dict[str, Any]:
    """A turn as `Answer` has it; what goes on inside the bot is for developers."""
    decision = turn.decision
    shown = {
        "message_id": turn.message.id,
        "replies": [reply.as_dict() for reply in turn.replies],
        "decision": None,
        "belief": None,
        "repeated": decision is REPEATED,
    }
    if not inside:
        return shown
    decided = {
        "kind": decision.kind.value,
        "action": decision.action,
        "confidence": decision.confidence,
        "policy": decision.policy,
        "reason": decision.reason,
        "passed": [list(entry) for entry in decision.passed],
        "candidates": [candidate.name for candidate in decision.candidates],
    }
    return {**shown, "decision": decided, "belief": belief_data(turn.belief)}


async def _stream(here: Parts, message: Message, *, inside: bool) -> AsyncIterator[str]:
    yield _event("typing", {"message_id": message.id})
    try:
        turn = await here.service.handle(message, patience=here.serving.patience)
    except Exception as error:
        _, sentence, retry_after = told(error)
        yield _event("error", {"message": sentence, "message_id": message.id, "retry": retry_after is not None})
        return
    for reply in turn.replies:
        yield _event("reply", {"message_id": message.id, **reply.as_dict()})
    yield _event("done", answer(turn, inside=inside))


def _event(name: str, data: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {dumps(data)}\n\n"
