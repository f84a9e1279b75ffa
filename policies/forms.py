"""Forms: as long as one is in charge, it takes the word first."""

from __future__ import annotations

from policies.fallback import ACTIONS
from policies.history import LISTEN
from policies.rules import default_action
from policies.types import Belief, Decision, DialogueState, Kind, Pass, Verdict
from policies.untrained import Untrained

LADDER = frozenset(ACTIONS.values())


class FormPolicy(Untrained):
    """Runs the form in charge on every message until it has all its slots, then lets the others speak.

    It passes when the form refused the message, and when a story left the form to ask something of its own. A message
    that was not understood leaves no form. `/restart`, `/back` and `/session_start` are never for the form.

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
        if default_action(state) is not None:
            return Pass(f"/{state.turns[-1].intent} is not for {form}")
        actions = state.turns[-1].actions
        if actions and actions[-1] == form:
            return Decision(Kind.LISTEN, LISTEN, 1.0, self.name, f"follows from {form}: it waits for an answer")
        left = actions[-1] if actions else left_for(state)
        if left is not None:
            return Pass(f"{form} was left for {left}")
        return Decision(Kind.ACT, form, 1.0, self.name, f"{form} is active and takes the message, whatever its intent")


def left_for(state: DialogueState) -> str | None:
    """What a story asked instead of the active form, so that the message is its answer; None while the form waits.

    Turns that were not understood, and the ladder's way out of them, leave no form; and who fills the slot that the
    form asked for has come back to it.
    """
    form = state.active_form
    if form is None or state.slots.get(state.requested_slot or "") is not None:
        return None
    for turn in reversed(state.turns[:-1]):
        if form in turn.actions:
            return None
        if turn.actions and turn.intent is not None and turn.actions[-1] not in LADDER:
            return turn.actions[-1]
    return None
