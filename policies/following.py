"""A decision that follows a rule or story: how sure it is, and why."""

from __future__ import annotations

from policies.history import ANYTHING, LISTEN, NOT_UNDERSTOOD, Point
from policies.types import Belief, Decision, Kind


def follow(point: Point, belief: Belief, policy: str) -> Decision:
    """What a rule or story does at a point.

    What answers an intent is as sure as the intent: its posterior mean is copied from the belief. What follows from an
    action before it, or answers the very words a story has or whatever is said, is certain, and so is listening.
    """
    last = point.past[-1]
    if point.action == LISTEN:
        done = f"follows from {last.action}: {point.where} is done" if last.action else f"{point.where} says nothing"
        return Decision(Kind.LISTEN, LISTEN, 1.0, policy, done)
    if last.action is not None:
        reason, confidence = f"follows from {last.action}: {point.where} says so", 1.0
    elif last.intent is None:
        reason, confidence = f"{point.where} answers these very words", 1.0
    elif last.intent == ANYTHING:
        reason, confidence = f"{point.where} answers whatever is said", 1.0
    else:
        said = "what was not understood" if last.intent == NOT_UNDERSTOOD else last.intent
        reason, confidence = f"{point.where} answers {said}", intent_mean(belief)
    return Decision(point.kind, point.action, confidence, policy, reason)


def intent_mean(belief: Belief) -> float:
    """Posterior mean of the most probable intent; 0 for a bot without intents."""
    return belief.top.mean if belief.top is not None else 0.0
