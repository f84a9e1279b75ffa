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
SHAPES: Mapping[str, tuple[tuple[type, ...], str]] = {
    "text": ((str,), "a string"),
    "image": ((str,), "a string"),
    "attachment": ((str, dict), "a string or a mapping"),
    "custom": ((dict,), "a mapping"),
    "buttons": ((list,), "a list"),
    "elements": ((list,), "a list"),
}


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
        said = tuple(reply for response in responses for reply in _replies(request, response, responder))
    except ValueError as problem:
        raise ActionError(f"action {name!r} returned a damaged event or response: {problem}") from problem
    return ActionResult(read, said)


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
    merged = replace(first, buttons=(*first.buttons, *read_buttons(response.get("buttons") or ())), **own)
    cards = element_replies(response.get("elements") or (), first.metadata)
    return ((merged,) if merged.as_dict() else ()) + rest + cards


def _replies(request: ActionRequest, response: Mapping[str, Any], responder: Responder) -> tuple[Reply, ...]:
    named = response.get("response") or response.get("template")
    base: tuple[Reply, ...] = ()
    if named:
        values = {key: value for key, value in response.items() if key not in OWN}
        base = responder.replies(str(named), request.tracker, request.domain, **values)
    return read_response(response, *(base or (Reply(),)))
