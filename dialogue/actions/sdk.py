"""What goes to actions written for rasa-sdk and what comes back, in process or over HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from dialogue.actions.base import ActionError, ActionRequest, ActionResult
from dialogue.actions.respond import Responder
from dialogue.draft import reply_of
from dialogue.events import BotUttered, Event
from dialogue.message import Button, Reply
from dialogue.responses import element_replies
from policies.history import NOT_UNDERSTOOD

OWN = frozenset(("text", "buttons", "elements", "custom", "template", "response", "image", "attachment"))
SHAPES: Mapping[str, tuple[tuple[type, ...], str]] = {
    "text": ((str,), "a string"),
    "image": ((str,), "a string"),
    "attachment": ((str, dict), "a string or a mapping"),
    "custom": ((dict,), "a mapping"),
    "buttons": ((list,), "a list"),
    "elements": ((list,), "a list"),
}


def tracker_state(request: ActionRequest) -> dict[str, Any]:
    """The tracker of a request, with all events.

    A doubted message is one of `nlu_fallback`, which stands first in the ranking, as actions written for Rasa expect.
    Its confidence is the probability that the best intent is not meant.
    """
    state, said = request.tracker.as_dict("ALL"), request.tracker.latest_message
    if said is None or said.understood:
        return state
    parse = state["latest_message"]
    doubt = {"name": NOT_UNDERSTOOD, "confidence": 1 - float((parse.get("intent") or {}).get("confidence") or 0.0)}
    ranking = [doubt, *(parse.get("intent_ranking") or ())]
    return {**state, "latest_message": {**parse, "intent": doubt, "intent_ranking": ranking}}


def read_result(
    request: ActionRequest,
    events: Sequence[Mapping[str, Any]],
    responses: Sequence[Mapping[str, Any]],
    responder: Responder,
) -> ActionResult:
    """Events and replies from what an action returned.

    A response that names one of the domain is rendered with the other keys as values; its own buttons are added, its
    other parts replaced. A `bot` event is said after the responses.

    Raises:
        ActionError: naming the action, if an event or a response is none.
    """
    name = request.name
    if not all(isinstance(item, Mapping) for item in (*events, *responses)):
        raise ActionError(f"action {name!r} returned an event or a response that is not a mapping")
    try:
        read = [Event.from_dict(event) for event in events]
        said = [reply for response in responses for reply in _replies(request, response, responder)]
    except ValueError as problem:
        raise ActionError(f"action {name!r} returned a damaged event or response: {problem}") from problem
    said += [reply_of(event) for event in read if isinstance(event, BotUttered)]
    return ActionResult(tuple(event for event in read if not isinstance(event, BotUttered)), tuple(said))


def read_response(response: Mapping[str, Any], first: Reply, *rest: Reply) -> tuple[Reply, ...]:
    """Replies from `{text, buttons, image, attachment, custom, elements}`; empty values say nothing.

    Args:
        response: what an action or a response server said.
        first: what the response adds to: its buttons are added, its other parts replaced.
        rest: what follows `first`.

    Raises:
        ValueError: if a part has another shape.
    """
    for key, (kinds, expected) in SHAPES.items():
        value = response.get(key)
        if value and not isinstance(value, kinds):
            raise ValueError(f"a response's {key!r} is {value!r:.80}, expected {expected}")
        if isinstance(value, list) and not all(isinstance(item, Mapping) for item in value):
            raise ValueError(f"a response's {key!r} holds what is no mapping: {value!r:.80}")
    own = {key: response[key] for key in ("text", "image", "attachment", "custom") if response.get(key)}
    merged = replace(first, buttons=(*first.buttons, *map(Button.of, response.get("buttons") or ())), **own)
    cards = element_replies(response.get("elements") or (), first.metadata)
    return ((merged,) if merged.as_dict() else ()) + rest + cards


def _replies(request: ActionRequest, response: Mapping[str, Any], responder: Responder) -> tuple[Reply, ...]:
    named = response.get("response") or response.get("template")
    base: tuple[Reply, ...] = ()
    if named:
        values = {key: value for key, value in response.items() if key not in OWN}
        base = responder.replies(str(named), request.tracker, request.domain, **values)
    return read_response(response, *(base or (Reply(),)))
