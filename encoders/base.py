"""The contract of an encoder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

from typing_extensions import Self

from encoders.features import Features, Utterance


class NotFittedError(RuntimeError):
    """An encoder was asked to encode before `fit` or `load`."""


@runtime_checkable
class Encoder(Protocol):
    """Turns utterances into `Features`.

    The constructor only stores keyword hyper-parameters under their own names; what is learned ends in `_`; a second
    `fit` forgets the first. `encoders.testing` checks all of it.

    Attributes:
        supervised: whether `fit` reads the labels. Such features know the answers of the texts they were fitted on,
            so whoever weighs them must cross-fit.
    """

    supervised: ClassVar[bool]

    @property
    def dim(self) -> int:
        """Width D of the word vectors. Raises `NotFittedError` before `fit`."""
        ...

    def fit(self, utterances: Sequence[Utterance], labels: Sequence[str] | None = None, *, seed: int = 0) -> Self:
        """Learn from the bot's own texts. `labels`, one per utterance, are only read by supervised encoders."""
        ...

    def encode(self, utterances: Sequence[Utterance]) -> Features:
        """One row per utterance, in order; the same numbers whatever else is in the batch."""
        ...

    def save(self, folder: Path) -> None:
        """Write everything `load` needs into an existing, empty folder: safetensors, JSON, the library's own format."""
        ...

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote. Raises `ValueError` naming the file that is missing or damaged."""
        ...
