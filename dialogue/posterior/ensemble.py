"""An ensemble of heads: last layers that differ in what they were told and in what they believed before.

Member e is the maximum a posteriori of a resampled problem (sample-then-optimise): its texts count w_n ~ Exp(1) times
each, which is the Bayesian bootstrap (Rubin 1981; Newton & Raftery 1994, "Approximate Bayesian Inference with the
Weighted Likelihood Bootstrap"), and its prior has its mean at a draw of the prior itself (randomised priors; Osband et
al. 2018, "Randomized Prior Functions for Deep Reinforcement Learning"), so that members still disagree where no text
has spoken. For a Gaussian likelihood the randomised prior alone gives exact draws of the posterior (Matthews et al.
2017, "Sample-then-optimize posterior sampling for Bayesian linear models"). All members look at the same features, so
the encoders run once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from dialogue.posterior.kernel import FloatArray
from dialogue.posterior.last_layer import Arrays, LastLayer, Lesson


@dataclass(frozen=True, slots=True)
class Draws:
    """S draws of the weights, side by side: [M, S, K]. The centre of a text's logits is their mean."""

    weights: FloatArray

    def logits(self, features: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Centre [B, K] and deviations [S, B, K] of the logits for features [B, M]."""
        m, s, k = self.weights.shape
        found = (features @ self.weights.reshape(m, s * k)).reshape(-1, s, k).transpose(1, 0, 2)
        centre = found.mean(axis=0)
        return centre, found - centre

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The weights."""
        return {"weights": self.weights}

    @classmethod
    def of(cls, arrays: Arrays) -> Self:
        """What `arrays` gave."""
        return cls(arrays["weights"])

    def notes(self) -> dict[str, float]:
        """How many."""
        return {"draws": float(self.weights.shape[1])}


class EnsemblePosterior(LastLayer[Draws]):
    """See the module. `members` heads at most, one a draw."""

    file = "ensemble.safetensors"
    kind = Draws

    def __init__(self, members: int = 16) -> None:
        self.members = members

    def approximate(self, lesson: Lesson, *, samples: int, seed: int) -> Draws:
        """Every member in its turn."""
        rng = np.random.default_rng(seed)
        shape, count = lesson.weights.shape, min(samples, self.members)
        weights = np.empty((shape[0], count, shape[1]), np.float32)
        for e in range(count):
            centre = (rng.standard_normal(shape) / np.sqrt(lesson.precision)).astype(np.float32)
            importance = rng.standard_exponential(len(lesson.labels)).astype(np.float32)
            weights[:, e] = lesson.regression.fit(lesson.precision, centre=centre, importance=importance)
        return Draws(weights)
