"""The fallback ladder: what to do where the bot is in doubt, or knows nothing to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from policies.confidence import contenders
from policies.following import intent_mean
from policies.history import LISTEN
from policies.types import Belief, Candidate, Decision, DialogueState, Doubt, Kind, Verdict
from policies.untrained import Untrained

ACTIONS: Mapping[Kind, str] = {
    Kind.CLARIFY: "action_clarify",
    Kind.REPHRASE: "action_rephrase",
    Kind.FALL_BACK: "action_default_fallback",
    Kind.HAND_OVER: "action_hand_over",
}


class FallbackPolicy(Untrained):
    """Answers a doubt, and is the last resort when no other policy knows what to do.

    The first turn that is not understood gets the doubt's own answer, but no lower than the ladder's first step; each
    further one in a row goes a step up. A question becomes a request to rephrase where there is nothing to offer: when
    the message rather means none of the intents than one of the few.

    Args:
        steps: the ladder, lowest first, of rephrase, clarify, fall_back and hand_over.
        candidates: how many intents may be offered.
        fall_back_action: what runs as the step `fall_back`, and where a message was understood but no policy knows
            what to do about it.
        name: under which decisions are signed.

    Raises:
        ValueError: for an unknown or repeated step, an empty ladder, or no candidates.
    """

    def __init__(
        self,
        *,
        steps: Sequence[str] = ("rephrase", "clarify", "hand_over"),
        candidates: int = 3,
        fall_back_action: str = ACTIONS[Kind.FALL_BACK],
        name: str = "fallback",
    ) -> None:
        known = [kind.value for kind in ACTIONS]
        if not steps or len(set(steps)) != len(steps) or not set(steps) <= set(known):
            raise ValueError(f"steps: expected some of {', '.join(known)}, each once, got {list(steps)}")
        if candidates < 1:
            raise ValueError(f"candidates: expected at least 1, got {candidates}")
        self.steps = tuple(steps)
        self.candidates = candidates
        self.fall_back_action = fall_back_action
        self.name = name

    def decide(self, belief: Belief, state: DialogueState) -> Verdict:
        """Always a decision."""
        if not state.turns or state.turns[-1].actions:
            return Decision(Kind.LISTEN, LISTEN, 1.0, self.name, _nothing_left(state))
        doubt = state.doubt or _nothing_known(belief, state)
        kind = self._climb(doubt.kind, state.failures)
        offered = doubt.candidates or _worth_asking(belief, self.candidates)
        if kind is Kind.CLARIFY and not offered:
            kind = Kind.REPHRASE
        action = self.fall_back_action if kind is Kind.FALL_BACK else ACTIONS[kind]
        if action in state.rejected:
            return Decision(Kind.LISTEN, LISTEN, 1.0, self.name, f"{action} refused to run")
        reason = f"{doubt.reason}; number {state.failures + 1} in a row" if state.failures else doubt.reason
        return Decision(kind, action, doubt.confidence, self.name, reason, self._offer(kind, offered))

    def _climb(self, kind: Kind, failures: int) -> Kind:
        """The doubt's own kind or, if higher, the ladder's step after so many failures.

        What is not on the ladder stays as it is until the last step is due.
        """
        due = min(failures, len(self.steps) - 1)
        own = self.steps.index(kind.value) if kind.value in self.steps else None
        if own is None and due < len(self.steps) - 1:
            return kind
        return Kind(self.steps[max(due, own or 0)])

    def _offer(self, kind: Kind, offered: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
        return offered[: self.candidates] if kind is Kind.CLARIFY else ()


def _worth_asking(belief: Belief, most: int) -> tuple[Candidate, ...]:
    """The intents a question may offer, if together they are at least as probable as "none of these"."""
    offered = contenders(belief, most)
    return offered if sum(candidate.mean for candidate in offered) >= belief.unknown else ()


def _nothing_left(state: DialogueState) -> str:
    actions = state.turns[-1].actions if state.turns else ()
    return f"follows from {actions[-1]}: nothing is left to do" if actions else "nothing was said yet"


def _nothing_known(belief: Belief, state: DialogueState) -> Doubt:
    """The doubt of a bot that has understood, but has no policy that knows an action."""
    intent = state.turns[-1].intent
    reason = f"no rule or story says what to do after {intent or 'this'} here"
    return Doubt(Kind.FALL_BACK, reason, intent_mean(belief))
