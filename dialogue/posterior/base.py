"""The contract of a posterior, and the numbers that come out of one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from typing_extensions import Self

from dialogue.posterior.kernel import FloatArray
from dialogue.posterior.process import Fit, Latent, Process

BLOCK = 64


class Posterior(Protocol):
    """A posterior over "which intent, given that it is one of them".

    It starts from the fitted Gaussian process (its kernel rows are everybody's features) and answers with draws from
    the posterior of the class probabilities; interval, entropy and mutual information follow from the draws the same
    way for all. One pass of the encoders serves any number of draws. A point estimate has one draw.
    """

    def fit(self, fit: Fit, *, samples: int, seed: int) -> Self:
        """Learn from the process and its leave-one-out predictions. `samples` is the number S of draws to give."""
        ...

    def draw(self, latent: Latent) -> FloatArray:
        """Probabilities [S, B, K] that sum to 1 over K, for B texts as the process sees them; always the same."""
        ...

    def save(self, folder: Path) -> None:
        """Write what was learned (safetensors, JSON) into an existing folder."""
        ...

    def notes(self) -> dict[str, float]:
        """Plain numbers by name that tell a person how the fit went."""
        ...

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote. Raises `ValueError` naming a damaged file."""
        ...


@runtime_checkable
class Teachable(Protocol):
    """A posterior that learns one more text in closed form; the others are fitted again."""

    def teach(self, process: Process) -> Posterior:
        """What it is with the last text of the process as well, the one that was added to it; its class may be new."""
        ...


@dataclass(frozen=True, slots=True)
class Predictive:
    """The posterior predictive of B texts over K intents and "none of these".

    Attributes:
        mean, lower, upper: [B, K] probabilities; a row of `mean` and its `unknown` sum to 1.
        known: [B, K] probabilities given that it is one of the intents; rows sum to 1.
        draws: [S, B, K] of `mean`, for sums over intents.
        unknown: [B] probability of none of these.
        entropy, mutual_information: [B], nats.
    """

    mean: FloatArray
    lower: FloatArray
    upper: FloatArray
    known: FloatArray
    draws: FloatArray
    unknown: FloatArray
    entropy: FloatArray
    mutual_information: FloatArray
