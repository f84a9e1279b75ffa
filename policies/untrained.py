"""What policies share that learn nothing from stories."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from typing_extensions import Self

from policies.types import Story


class Untrained:
    """`fit`, `save` and `load` of a policy that is all in its options."""

    def fit(self, stories: Sequence[Story], *, seed: int = 0) -> Self:
        """Learn nothing."""
        return self

    def save(self, folder: Path) -> None:
        """Write nothing."""

    def load(self, folder: Path) -> Self:
        """Read nothing."""
        return self
