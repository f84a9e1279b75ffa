"""What goes to actions written for rasa-sdk and what comes back, in process or over HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from dialogue.actions.base import ActionError, ActionRequest, ActionResult
from dialogue.actions.respond import Responder
from dialogue.events import Event
from dialogue.message import Reply
from dialogue.responses import element_replies, read_buttons

OWN = frozenset(("text", "buttons", "elements", "custom", "template", "response", "image", "attachment"))


def tracker_state(request: ActionRequest) -> dict[str, Any]:
    """The tracker of a request, with all events."""
    return request.tracker.as_dict("ALL")


def read_result(
    request: ActionRequest,
    events: Sequence[Mapping[str, Any]],
    responses: Sequence[Mapping[str, Any]],
    responder: Responder,
) -> ActionResult:
    """Events and replies from what an action returned.

    A response that names one of the domain is rendered with the other keys as values; its own buttons are added, its
    other parts replaced.

    Raises:
        ActionError: naming the action, if an event or a response is none.
    """
    name = request.name
    if not all(isinstance(item, Mapping) for item in (*events, *responses)):
        raise ActionError(f"action {name!r} returned an event or a response that is not a mapping")
    try:
        read = tuple(Event.from_dict(event) for event in events)
    except ValueError as problem:
        raise ActionError(f"action {name!r} returned a damaged event: {problem}") from problem
    said = [reply for response in responses for reply in _replies(request, response, responder)]
    return ActionResult(read, tuple(said))


def _replies(request: ActionRequest, response: Mapping[str, Any], responder: Responder) -> tuple[Reply, ...]:
    named = response.get("response") or response.get("template")
    base: tuple[Reply, ...] = ()
    if named:
        values = {key: value for key, value in response.items() if key not in OWN}
        base = responder.replies(str(named), request.tracker, request.domain, **values)
    cards = element_replies(response.get("elements") or (), {})
    first, rest = (base[0], base[1:]) if base else (Reply(), ())
    own = {key: response[key] for key in ("text", "image", "attachment", "custom") if response.get(key)}
    merged = replace(first, buttons=(*first.buttons, *read_buttons(response.get("buttons") or ())), **own)
    return ((merged,) if merged.as_dict() else ()) + rest + cards
