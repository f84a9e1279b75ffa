"""A turn while it is under way, and how what happens in it is written down."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from typing_extensions import Self

from dialogue.events import ActionExecuted, BotUttered, Event
from dialogue.message import Button, Reply
from dialogue.tracker import Tracker
from policies.types import Decision


@dataclass(slots=True)
class Draft:
    """Events and replies so far, and the conversation after them."""

    tracker: Tracker
    clock: Callable[[], float]
    events: list[Event] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    decision: Decision | None = None

    def add(self, *events: Event) -> Self:
        """More events."""
        if events:
            self.events.extend(events)
            self.tracker = self.tracker.apply(events)
        return self

    def say(self, replies: Iterable[Reply]) -> None:
        """More replies, and the events that tell of them."""
        said = tuple(replies)
        self.replies.extend(said)
        self.add(*(uttered(reply, self.clock()) for reply in said))


def executed(decision: Decision, now: float, **more: Any) -> ActionExecuted:
    """The record of a decision that was followed."""
    metadata: dict[str, Any] = {"kind": decision.kind.value, "reason": decision.reason, **more}
    if decision.candidates:
        metadata["candidates"] = [candidate.name for candidate in decision.candidates]
    if decision.passed:
        metadata["passed"] = [list(entry) for entry in decision.passed]
    return ActionExecuted(
        timestamp=now, metadata=metadata, name=decision.action, policy=decision.policy, confidence=decision.confidence
    )


def uttered(reply: Reply, now: float) -> BotUttered:
    """The record of a reply."""
    buttons = [button.as_dict() for button in reply.buttons]
    data = {
        "elements": None,
        "quick_replies": None,
        "buttons": buttons or None,
        "attachment": reply.attachment,
        "image": reply.image,
        "custom": reply.custom,
    }
    return BotUttered(timestamp=now, metadata=dict(reply.metadata), text=reply.text, data=data)


def reply_of(event: BotUttered) -> Reply:
    """What a `bot` event said, the reverse of `uttered`; what has another shape is left out."""
    data = event.data
    custom = data.get("custom")
    return Reply(
        text=event.text,
        buttons=tuple(Button.of(one) for one in data.get("buttons") or () if isinstance(one, dict)),
        image=data.get("image"),
        attachment=data.get("attachment"),
        custom=custom if isinstance(custom, dict) else None,
        metadata=event.metadata,
    )
