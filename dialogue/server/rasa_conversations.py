"""Conversations in Rasa's HTTP API: tracker, events from outside, actions and intents set going, what comes next."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Body, Depends, Query, Request
from fastapi.responses import Response
from pydantic import BeforeValidator

from dialogue.bot import Bot
from dialogue.channels.base import SendError
from dialogue.channels.jsonl import dumps
from dialogue.domain import DEFAULT_ACTIONS, DEFAULT_INTENTS
from dialogue.draft import reply_of
from dialogue.errors import suggestion
from dialogue.events import ActionExecuted, BotUttered, Event, SessionStarted, UserUttered
from dialogue.interactive import recorded
from dialogue.message import Message, Reply
from dialogue.server.parts import Here, Parts
from dialogue.server.rasa_errors import RasaError, RasaRoute, own_conversation, with_model
from dialogue.server.rest import own_metadata, rasa_messages
from dialogue.tracker import Include, Tracker
from dialogue.training.written import story_lines
from dialogue.understanding import found_in
from policies.types import Decision, Story, StoryStep

logger = logging.getLogger(__name__)
Value = TypeVar("Value")

router = APIRouter(
    prefix="/conversations/{conversation:path}", route_class=RasaRoute, dependencies=[Depends(with_model)]
)
Mine = Annotated[str, Depends(own_conversation)]
Until = Annotated[float | None, Query(description="Only events up to this time, in seconds since 1970.")]
Shown = Annotated[
    Include,
    BeforeValidator(lambda given: str(given).upper()),
    Query(alias="include_events", description="Which events are shown: those since the last restart, or ..."),
]
Channel = Annotated[
    str | None, Query(alias="output_channel", description="`latest` or the name of a channel: where replies go.")
]
Given = Annotated[dict[str, Any], Body()]


@router.get("/tracker", summary="The state of a conversation")
async def tracker(here: Here, conversation: Mine, include: Shown = "AFTER_RESTART", until: Until = None) -> Response:
    """Rasa's tracker. A conversation nobody knows is begun, as by Rasa: its clients greet a visitor so."""
    found = await _call(here, lambda bot: bot.tracker(conversation))
    if found.length == 0:
        found = await _turn(here, conversation, lambda bot: bot.append(conversation, ()))
    if until is not None:
        found = await _call(here, lambda bot: _until(bot, conversation, until))
    return _json(found.as_dict(include))


@router.post("/tracker/events", summary="Add events")
async def append(
    here: Here,
    request: Request,
    conversation: Mine,
    body: Annotated[Any, Body()],
    include: Shown = "AFTER_RESTART",
    execute_side_effects: bool = False,
    output_channel: Channel = None,
) -> Response:
    """Add one event or a list; with `execute_side_effects`, what the bot says in them is sent to the channel, too."""
    events = read_events(body)
    found = await _turn(here, conversation, lambda bot: bot.append(conversation, events))
    if execute_side_effects:
        said = [reply_of(event) for event in events if isinstance(event, BotUttered)]
        await _send(request, found, said, output_channel)
    return _json(found.as_dict(include))


@router.put("/tracker/events", summary="Replace all events")
async def replace_all(
    here: Here, conversation: Mine, body: Annotated[Any, Body()], include: Shown = "AFTER_RESTART"
) -> Response:
    """Let a conversation consist of these events and nothing else."""
    events = read_events(body)
    found = await _turn(here, conversation, lambda bot: bot.append(conversation, events, anew=True))
    return _json(found.as_dict(include))


@router.get("/story", summary="A conversation as a test story")
async def story(here: Here, conversation: Mine, until: Until = None, all_sessions: bool = False) -> Response:
    """The last session, or each as a story of its own, in YAML. 404 when nobody knows the conversation.

    All that was said and done is in it, what a form asked and what was taken back, too.
    """

    def written(bot: Bot) -> str:
        _known(bot, conversation)
        sessions = _sessions(_until(bot, conversation, until).events)
        chosen = sessions if all_sessions else sessions[-1:]
        lines = ['version: "3.1"', "stories:"]
        for number, events in enumerate(chosen, 1):
            name = f"{conversation}, story {number}" if len(chosen) > 1 else conversation
            lines += story_lines(Story(name, tuple(_steps(events, bot))))
        return "\n".join(lines) + "\n"

    return Response(await _call(here, written), media_type="text/yaml")


@router.post("/execute", summary="Run an action", deprecated=True)
async def execute(
    here: Here,
    request: Request,
    conversation: Mine,
    body: Given,
    include: Shown = "AFTER_RESTART",
    output_channel: Channel = None,
) -> Response:
    """Run `{name, policy, confidence}` whatever the policies say: `{tracker, messages}`. 500 if the action fails."""
    name, policy, confidence = body.get("name"), body.get("policy"), body.get("confidence")
    if not isinstance(name, str) or not name:
        raise RasaError(400, "Name of the action not provided in request body.", None, {"parameter": "name"})
    if not isinstance(policy, (str, type(None))):
        raise RasaError(400, "policy: expected a string", None, {"parameter": "policy"})
    sure = 1.0 if confidence is None else confidence
    if isinstance(sure, bool) or not isinstance(sure, (int, float)) or not 0 <= sure <= 1:
        raise RasaError(400, "confidence: expected a probability", None, {"parameter": "confidence"})

    def run(bot: Bot) -> tuple[Tracker, Sequence[Reply]]:
        _known(bot, conversation)
        if not bot.domain.knows_action(name):
            raise RasaError(404, f"no action {name!r}{suggestion(name, _actions(bot))}", None, {"action": name})
        turned = bot.execute(conversation, name, policy=policy, confidence=float(sure))
        last = next((one for one in turned.events if isinstance(one, ActionExecuted)), None)
        if last is not None and last.metadata.get("error"):
            raise RasaError(500, f"the action {name} failed", "ConversationError", {"action": name})
        return turned.tracker, turned.replies

    found, replies = await _turn(here, conversation, run)
    await _send(request, found, replies, output_channel)
    return _json({"tracker": found.as_dict(include), "messages": _messages(replies, conversation)})


@router.post("/trigger_intent", summary="Let an intent come in")
async def trigger(
    here: Here,
    request: Request,
    conversation: Mine,
    body: Given,
    include: Shown = "AFTER_RESTART",
    output_channel: Channel = None,
) -> Response:
    """Answer `{name, entities}` as if it were said: `{tracker, messages}`. 404 if there is no such intent."""
    intent, entities = body.get("name"), body.get("entities")
    if not isinstance(intent, str) or not intent:
        raise RasaError(400, "Name of the intent not provided in request body.", None, {"parameter": "name"})

    def run(bot: Bot) -> tuple[Tracker, Sequence[Reply]]:
        names = (*bot.domain.intents, *DEFAULT_INTENTS)
        if intent not in names:
            raise RasaError(404, f"no intent {intent!r}{suggestion(intent, names)}", None, {"intent": intent})
        try:
            turn = bot.trigger(conversation, intent, entities)
        except ValueError as error:
            raise RasaError(400, str(error), None, {"parameter": "entities"}) from error
        return bot.tracker(conversation), () if turn is None else turn.replies

    found, replies = await _turn(here, conversation, run)
    await _send(request, found, replies, output_channel)
    return _json({"tracker": found.as_dict(include), "messages": _messages(replies, conversation)})


@router.post("/predict", summary="What would come next")
async def predict(here: Here, conversation: Mine, include: Shown = "AFTER_RESTART") -> Response:
    """`{scores: [{action, score}], policy, confidence, tracker}`. Changes nothing. 404 if nobody knows it."""

    def run(bot: Bot) -> dict[str, Any]:
        _known(bot, conversation)
        return predicted(bot, bot.tracker(conversation), include)

    return _json(await _call(here, run))


@router.post("/messages", summary="Add a message without answering it")
async def listen(here: Here, conversation: Mine, body: Given, include: Shown = "AFTER_RESTART") -> Response:
    """Write `{text, sender: "user", parse_data?}` down; without a parse it is read first. The tracker after it."""
    text, parse = body.get("text"), body.get("parse_data")
    if body.get("sender") != "user":
        raise RasaError(
            400, "Currently, only user messages can be passed to this endpoint.", None, {"parameter": "sender"}
        )
    if not isinstance(text, str) or len(text) > here.serving.message_characters:
        most = here.serving.message_characters
        raise RasaError(400, f"text: expected a string of at most {most} characters", None, {"parameter": "text"})
    if not isinstance(parse, (dict, type(None))):
        raise RasaError(400, "parse_data: expected an object", None, {"parameter": "parse_data"})
    given = body.get("metadata")
    message = Message(text, conversation, "rest", metadata=own_metadata(given if isinstance(given, dict) else {}))

    def run(bot: Bot) -> Tracker:
        try:
            if parse is not None:
                found_in(UserUttered(parse_data=parse).parse_data)
        except ValueError as error:
            raise RasaError(400, str(error), None, {"parameter": "parse_data"}) from error
        return bot.listen(message, parse)

    return _json((await _turn(here, conversation, run)).as_dict(include))


def read_events(body: Any) -> list[Event]:
    """Events of a request: one, or a list. Raises `RasaError` with status 400 for what is none."""
    try:
        events = [Event.from_dict(one) for one in (body if isinstance(body, list) else [body])]
    except ValueError as error:
        raise RasaError(400, f"Couldn't extract proper events from the request body: {error}") from error
    if not events:
        raise RasaError(400, "Couldn't extract proper events from the request body: there is none")
    return events


def predicted(bot: Bot, tracker: Tracker, include: Include) -> dict[str, Any]:
    """What would come next: the score of the action chosen is the confidence of the decision, all others have 0."""
    decision: Decision = bot.predict(tracker)
    scores = [
        {"action": name, "score": decision.confidence if name == decision.action else 0.0}
        for name in dict.fromkeys((decision.action, *_actions(bot)))
    ]
    return {
        "scores": sorted(scores, key=lambda one: -float(str(one["score"]))),
        "policy": decision.policy,
        "confidence": decision.confidence,
        "tracker": tracker.as_dict(include),
    }


def _actions(bot: Bot) -> tuple[str, ...]:
    return (*DEFAULT_ACTIONS, *bot.domain.actions, *bot.domain.forms, *bot.domain.responses)


def _known(bot: Bot, conversation: str) -> None:
    """Raises `RasaError` with status 404 for a conversation nobody knows."""
    if bot.tracker(conversation).length == 0:
        raise RasaError(404, "Conversation ID not found.", None, {"conversation_id": conversation})


def _until(bot: Bot, conversation: str, until: float | None) -> Tracker:
    found = bot.tracker(conversation)
    if until is None:
        return found
    return bot.fold(conversation, [event for event in found.events if event.timestamp <= until])


def _sessions(events: Iterable[Event]) -> list[list[Event]]:
    """The events of each session, the action that began it left out."""
    sessions: list[list[Event]] = [[]]
    for event in events:
        if isinstance(event, SessionStarted) and any(isinstance(one, UserUttered) for one in sessions[-1]):
            sessions.append([])
        sessions[-1].append(event)
    return sessions


def _steps(events: Iterable[Event], bot: Bot) -> Iterable[StoryStep]:
    """Steps of a test story: each message with its text and what it was taken for."""
    for event in events:
        for step in recorded([event], bot.domain):
            if isinstance(event, UserUttered) and event.text and not event.external:
                yield replace(step, text=event.text, entities=found_in(event.parse_data))
            else:
                yield step


def _messages(replies: Iterable[Reply], conversation: str) -> list[dict[str, Any]]:
    return [message for reply in replies for message in rasa_messages(reply, conversation)]


async def _send(request: Request, tracker: Tracker, replies: Sequence[Reply], output_channel: str | None) -> None:
    """Bring replies to a channel: `latest` is the one the user spoke in last. Those of REST are only in the answer."""
    name = tracker.as_dict("NONE")["latest_input_channel"] if output_channel == "latest" else output_channel
    if name is None or not replies:
        return
    for send in request.app.state.outputs:
        try:
            if await send(str(name), tracker.conversation, replies):
                return
        except SendError as error:
            raise RasaError(502, f"{name} did not take the messages", "ConversationError") from error
    if name != "rest":
        logger.warning("conversation %s was not heard on %s: what was said is sent nowhere", tracker.conversation, name)


async def _call(here: Parts, function: Callable[[Bot], Value]) -> Value:
    """Run what reads the store or predicts, in a thread."""
    bot = here.service.bot
    return await here.service.call(function, bot)


async def _turn(here: Parts, conversation: str, function: Callable[[Bot], Value]) -> Value:
    """Run what goes on with a conversation, in a thread, after its turns that wait."""
    bot = here.service.bot
    return await here.service.take_turn(conversation, lambda: function(bot))


def _json(content: Any) -> Response:
    return Response(dumps(content), media_type="application/json")
