"""What every turn is made of: messages are read, actions are run, and something comes of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dialogue.actions.base import ActionError, ActionOutcome, ActionRejected, ActionRequest, Actions, Outside
from dialogue.domain import ACTION_LISTEN, Domain
from dialogue.engine import Steps, Turned
from dialogue.events import Event
from dialogue.message import Message, Reply
from dialogue.understanding import Understanding, shortcut
from dialogue.watch import Watch
from policies.types import Belief, Decision, Kind

logger = logging.getLogger(__name__)

REPEATED = Decision(Kind.LISTEN, ACTION_LISTEN, 1.0, "store", "this message was answered before")


@dataclass(frozen=True, slots=True)
class TurnResult:
    """What came of a message.

    Attributes:
        decision: the turn's first that was not refused.
        events: the turn's, in order; none for a message that was answered before.
        milliseconds: what each stage took by itself: load, understand beside the model's own stages, decide, act,
            store. Of a turn that ran together with others, its share of what they did together.
    """

    message: Message
    replies: tuple[Reply, ...]
    decision: Decision
    belief: Belief
    events: tuple[Event, ...]
    milliseconds: Mapping[str, float]


class Waits(Exception):  # noqa: N818  # it is no error to wait
    """An action cannot be run here.

    Args:
        request: what it was asked.
    """

    def __init__(self, request: ActionRequest) -> None:
        super().__init__(request.name)
        self.request = request


@dataclass(frozen=True, slots=True)
class Read:
    """What a message means, and the milliseconds of each stage that found it out."""

    belief: Belief
    milliseconds: Mapping[str, float]


def beliefs_of(texts: Sequence[str], understanding: Understanding, domain: Domain, watch: Watch) -> list[Belief]:
    """What each text means; those that are no shortcuts are read, all at once."""
    told = [shortcut(text, domain) for text in texts]
    ordinary = [text for text, belief in zip(texts, told, strict=True) if belief is None]
    read = iter(understanding.parse_many(ordinary) if ordinary else ())
    if ordinary:
        watch.split(understanding.timings)
    return [next(read) if belief is None else belief for belief in told]


def drive(steps: Steps, actions: Actions, watch: Watch, request: ActionRequest | None = None) -> Turned:
    """Run what the engine asks for until the turn is over.

    Args:
        steps: of the engine.
        actions: where they are run.
        watch: measures them.
        request: what `steps` asked for last, where it has begun.

    Raises:
        Waits: if an action raises `Outside`; the turn can be taken up again from there.
    """
    try:
        request = request or next(steps)
        while True:
            try:
                with watch("act", **{"starfold.action": request.name}) as span:
                    outcome = _run(actions, request)
                    if isinstance(outcome, ActionError):
                        span.set_attributes({"error.type": "ActionError"})
            except Outside:
                raise Waits(request) from None
            request = steps.send(outcome)
    except StopIteration as stop:
        turned: Turned = stop.value
        return turned


def attributes_of(decision: Decision, belief: Belief) -> dict[str, str | float]:
    """What a span holds of a turn: what was decided and how sure that is, nothing that was said."""
    known: dict[str, str | float] = {
        "starfold.kind": decision.kind.value,
        "starfold.action": decision.action,
        "starfold.policy": decision.policy,
        "starfold.confidence": decision.confidence,
        "starfold.unknown": belief.unknown,
    }
    return known if belief.top is None else {**known, "starfold.intent": belief.top.name}


def _run(actions: Actions, request: ActionRequest) -> ActionOutcome:
    """Run an action. Whatever it raises is a failure of that action alone: the turn must end all the same."""
    try:
        return actions.run(request)
    except ActionRejected as refusal:
        return refusal
    except Exception as problem:
        logger.exception("conversation %s: action %s failed", request.tracker.conversation, request.name)
        if isinstance(problem, ActionError):
            return problem
        return ActionError(f"{type(problem).__name__}: {problem}")
