"""The contract of actions: what the engine asks for and what it gets back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

from dialogue.domain import Domain
from dialogue.errors import ActionError
from dialogue.events import Event
from dialogue.message import Reply
from dialogue.tracker import Tracker
from policies.types import Decision

__all__ = ["ActionError", "ActionOutcome", "ActionRejected", "ActionRequest", "ActionResult", "Actions", "Outside"]


class ActionRejected(Exception):  # noqa: N818  # to refuse is no error
    """The action refuses to run now; the policies are asked for another one."""


class Outside(BaseException):  # no failure: nothing may take it for one
    """The action takes its time, for it runs the project's own code or asks another server, and may not here."""


@dataclass(frozen=True, slots=True)
class ActionRequest:
    """An action to run.

    Attributes:
        tracker: the conversation up to now; the action itself is not in it yet.
        decision: why it is run; for a question, what it offers.
    """

    name: str
    tracker: Tracker
    domain: Domain
    decision: Decision


@dataclass(frozen=True, slots=True)
class ActionResult:
    """What an action did: events in order, and what it says. Replies become `bot` events before its own events."""

    events: tuple[Event, ...] = ()
    replies: tuple[Reply, ...] = ()


ActionOutcome: TypeAlias = ActionResult | ActionRejected | ActionError


@runtime_checkable
class Actions(Protocol):
    """A place where actions run: this process, an action server, the bot's responses."""

    def knows(self, name: str) -> bool:
        """Whether an action of that name is run here."""
        ...

    def run(self, request: ActionRequest) -> ActionResult:
        """Run it.

        Raises:
            ActionRejected: if it refuses.
            ActionError: if it fails. Any other exception of an action counts as that, too.
        """
        ...
