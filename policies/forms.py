"""Forms: as long as one is in charge, it takes the word first."""

from __future__ import annotations

from policies.history import LISTEN
from policies.types import Belief, Decision, DialogueState, Kind, Pass, Verdict
from policies.untrained import Untrained


class FormPolicy(Untrained):
    """Runs the form in charge on every message until it has all its slots, then lets the others speak.

    It passes when the form refused the message, and when a story left the form to ask something of its own. A message
    that was not understood leaves no form.

    Args:
        name: under which decisions are signed.
    """

    def __init__(self, *, name: str = "forms") -> None:
        self.name = name

    def decide(self, belief: Belief, state: DialogueState) -> Verdict:
        """The active form; to listen once it has asked. Confidence 1: it takes a message whatever its intent."""
        form = state.active_form
        if form is None:
            return Pass("no form is active")
        if not state.turns:
            return Pass("nothing was said yet")
        if form in state.rejected:
            return Pass(f"{form} refused the message")
        actions = state.turns[-1].actions
        if actions and actions[-1] == form:
            return Decision(Kind.LISTEN, LISTEN, 1.0, self.name, f"follows from {form}: it waits for an answer")
        if actions:
            return Pass(f"{form} was left for {actions[-1]}")
        asked = _last_asked(state)
        if asked not in (None, form):
            return Pass(f"{form} was left for {asked}")
        return Decision(Kind.ACT, form, 1.0, self.name, f"{form} is active and takes the message, whatever its intent")


def _last_asked(state: DialogueState) -> str | None:
    """The last action before this message, not counting turns that were not understood."""
    for turn in reversed(state.turns[:-1]):
        if turn.intent is not None and turn.actions:
            return turn.actions[-1]
    return None
