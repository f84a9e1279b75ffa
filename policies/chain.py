"""The ordered chain of policies: the first that decides is followed."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from typing_extensions import Self

from policies.base import CalibratedGate, Gate, Policy
from policies.fallback import FallbackPolicy
from policies.types import Belief, Decision, DialogueState, Doubt, HeldOut, Pass, Story


class Chain:
    """Asks policies in order and keeps why the earlier ones passed.

    First the gates are heard, wherever they stand. If one doubts the belief, all policies see the turn without its
    intent, so that nothing is done on a belief that does not carry it; a form may still take the message as an answer,
    and a rule for `nlu_fallback` may apply. If nobody decides, `FallbackPolicy` does.

    Raises:
        ValueError: if two policies have one name, or a name is no file name.
    """

    def __init__(self, policies: Sequence[Policy]) -> None:
        names = [policy.name for policy in policies]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two policies are called {name!r}: give one of them another name")
            if not re.fullmatch(r"\w[\w.-]*", name):
                raise ValueError(f"policy name {name!r}: expected letters, digits, '_', '-' and '.'")
        self.policies = tuple(policies)
        self._gates = tuple(policy for policy in policies if isinstance(policy, Gate))  # once: that look is slow
        self._last_resort = FallbackPolicy()

    def fit(self, stories: Sequence[Story], *, seed: int = 0) -> Self:
        """Fit every policy on all stories and rules."""
        for policy in self.policies:
            policy.fit(stories, seed=seed)
        return self

    def calibrate(self, held_out: Callable[[str | None], HeldOut]) -> Self:
        """Set the gates that go by held-out messages, given what reads the file of a gate."""
        for policy in self.policies:
            if isinstance(policy, CalibratedGate):
                policy.calibrate(held_out(policy.held_out))
        return self

    def doubt(self, belief: Belief, state: DialogueState) -> Doubt | None:
        """What the first gate that doubts the belief has to say, if any does."""
        verdicts = (gate.judge(belief, state) for gate in self._gates)
        return next((verdict for verdict in verdicts if isinstance(verdict, Doubt)), None)

    def decide(self, belief: Belief, state: DialogueState) -> Decision:
        """The first decision, with the names and reasons of those who passed before."""
        if (doubt := self.doubt(belief, state)) is not None:
            state = _doubtful(state, doubt)
        passed: list[tuple[str, str]] = []
        for policy in (*self.policies, self._last_resort):
            verdict = policy.decide(belief, state)
            if isinstance(verdict, Pass):
                passed.append((policy.name, verdict.reason))
            elif verdict.action in state.rejected:
                passed.append((policy.name, f"{verdict.action} refused to run"))
            else:
                return replace(verdict, passed=tuple(passed))
        raise RuntimeError("the last resort did not decide")

    def save(self, folder: Path) -> None:
        """Write every policy into a folder of its own name, in an existing folder."""
        for policy in self.policies:
            place = folder / policy.name
            place.mkdir()
            policy.save(place)

    def load(self, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            ValueError: naming the missing folder or the damaged file.
        """
        for policy in self.policies:
            place = folder / policy.name
            if not place.is_dir():
                raise ValueError(f"{place}: policy {policy.name!r} was not saved here")
            policy.load(place)
        return self


def _doubtful(state: DialogueState, doubt: Doubt) -> DialogueState:
    """The state in which the last turn's intent is not to be trusted."""
    if not state.turns:
        return replace(state, doubt=doubt)
    last = replace(state.turns[-1], intent=None)
    return replace(state, doubt=doubt, turns=(*state.turns[:-1], last))
