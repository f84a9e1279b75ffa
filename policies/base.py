"""The contract of a policy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from typing_extensions import Self

from policies.types import Belief, DialogueState, Doubt, HeldOut, Pass, Story, Verdict


@runtime_checkable
class Policy(Protocol):
    """Looks at a belief and a conversation and decides, or passes.

    Pure: no I/O, no clock, no chance; the same arguments give the same verdict. `policies.testing` checks it.
    """

    name: str

    def fit(self, stories: Sequence[Story], *, seed: int = 0) -> Self:
        """Learn from stories and rules. A second `fit` forgets the first."""
        ...

    def decide(self, belief: Belief, state: DialogueState) -> Verdict:
        """A `Decision`, or a `Pass` with the reason."""
        ...

    def save(self, folder: Path) -> None:
        """Write what was learned (JSON, safetensors) into an existing, empty folder."""
        ...

    def load(self, folder: Path) -> Self:
        """Read what `save` wrote into this policy. Raises `ValueError` naming a damaged file."""
        ...


@runtime_checkable
class Gate(Policy, Protocol):
    """A policy that judges every belief before any policy acts on it, wherever in the chain it stands."""

    def judge(self, belief: Belief, state: DialogueState) -> Doubt | Pass:
        """A `Doubt` that keeps all policies from trusting the intent, or a `Pass` that lets it through."""
        ...


@runtime_checkable
class CalibratedGate(Gate, Protocol):
    """A gate that is set by how the bot does on messages it did not learn from.

    `held_out` is a file of such messages, seen from the project's folder; None for the examples, each left out in turn.
    """

    held_out: str | None

    def calibrate(self, held_out: HeldOut) -> Self:
        """Learn from held-out messages; comes after `fit`."""
        ...
