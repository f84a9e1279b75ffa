"""A conversation as people see it (items), and as developers do (turns), out of its events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dialogue.domain import ACTION_LISTEN
from dialogue.events import ActionExecuted, AgentUttered, BotUttered, Event, UserUttered
from dialogue.store.records import TurnRecord

SHOWN = ("buttons", "image", "attachment", "custom")


def items(events: Sequence[Event], after: int, turns: Iterable[TurnRecord]) -> list[dict[str, Any]]:
    """What was said on both sides: `sequence`, `type` (user or reply), `text`, `time`, and what else there is.

    Args:
        events: those after number `after`, without a gap.
        after: number of the event before the first.
        turns: that end after `after`; they tell which message a reply answers.
    """
    answers = [(turn.first, turn.last, turn.message_id) for turn in turns]
    found = []
    for number, event in enumerate(events, after + 1):
        item = _item(event)
        if item is None:
            continue
        of = next((message for first, last, message in answers if first <= number <= last), None)
        found.append({"sequence": number, **item, **({"message_id": of} if of else {})})
    return found


def turn_views(events: Sequence[Event], after: int, turns: Iterable[TurnRecord]) -> list[dict[str, Any]]:
    """Each turn with its text, belief, decision, events and milliseconds."""
    return [_view(turn, events[max(turn.first - after - 1, 0) : turn.last - after]) for turn in turns]


def _item(event: Event) -> dict[str, Any] | None:
    if isinstance(event, UserUttered):
        if event.external:
            return None
        said: dict[str, Any] = {"type": "user", "text": event.text or "", "time": event.timestamp}
        title = event.metadata.get("title")
        return {**said, "title": title} if isinstance(title, str) else said
    if isinstance(event, (BotUttered, AgentUttered)):
        data: Mapping[str, Any] = event.data if isinstance(event.data, Mapping) else {}
        shown = {key: data[key] for key in SHOWN if data.get(key) is not None}
        agent = {"agent": True} if isinstance(event, AgentUttered) else {}
        return {"type": "reply", "text": event.text, **shown, **agent, "time": event.timestamp}
    return None


def _view(turn: TurnRecord, events: Sequence[Event]) -> dict[str, Any]:
    place = next((i for i, event in enumerate(events) if isinstance(event, UserUttered)), 0)
    said = events[place] if events and isinstance(events[place], UserUttered) else None
    parse: Mapping[str, Any] = said.parse_data if isinstance(said, UserUttered) else {}
    decided = next((event for event in events[place:] if isinstance(event, ActionExecuted)), None)
    return {
        "sequence": turn.last,
        "message_id": turn.message_id,
        "text": said.text if isinstance(said, UserUttered) else None,
        "time": events[-1].timestamp if events else None,
        "belief": parse.get("belief"),
        "intent": parse.get("intent"),
        "entities": parse.get("entities") or [],
        "doubt": parse.get("doubt"),
        "decision": None if decided is None else _decision(decided),
        "events": [event.as_dict() for event in events],
        "milliseconds": dict(turn.milliseconds),
    }


def _decision(event: ActionExecuted) -> dict[str, Any]:
    return {
        "kind": event.kind or ("listen" if event.name == ACTION_LISTEN else "act"),
        "action": event.name or event.action_text,
        "confidence": event.confidence,
        "policy": event.policy,
        "reason": event.reason,
        "passed": event.metadata.get("passed") or [],
        "candidates": event.metadata.get("candidates") or [],
    }
