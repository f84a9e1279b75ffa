"""Monte Carlo dropout: the last layer with some of its inputs missing, in training and in every answer.

Dropping inputs at random when answering, as in training, draws from an approximate posterior of the weights (Gal &
Ghahramani 2016, "Dropout as a Bayesian Approximation"). The inputs here are the units of the process read as a network
of one hidden layer: unit m is the covariance of the message with landmark text m, so that a draw is the answer of a
bot that never saw some of its examples. The encoders run once; only the last layer is drawn.

Training takes the expectation over the masks in the second order, which makes dropout a penalty (Wager et al. 2013,
"Dropout Training as Adaptive Regularization"): with h the units, a the weights and r the rate, the logits of a text
have the variance v_k = r / (1 - r) sum over m of h_m^2 a_mk^2 around h a, and the loss gains 1/2 sum over k of p_k (1
- p_k) v_k.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from typing_extensions import Self

from dialogue.posterior.descent import descend
from dialogue.posterior.kernel import FloatArray, IntArray
from dialogue.posterior.last_layer import Arrays, LastLayer, Lesson
from dialogue.posterior.softmax_map import cross_entropy

STEPS = 200
RATE = 0.05


@dataclass(frozen=True, slots=True)
class Masked:
    """The last layer and the masks.

    Attributes:
        units: [M, M], from features to hidden units.
        weights: a [M, K], of the units.
        masks: [S, M], 1 / (1 - rate) where a unit speaks and 0 where it is silent.
    """

    units: FloatArray
    weights: FloatArray
    masks: FloatArray

    def logits(self, features: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Centre [B, K], with all units, and deviations [S, B, K] of the logits for features [B, M]."""
        hidden = features @ self.units  # [B, M]
        spread = np.empty((len(self.masks), len(hidden), self.weights.shape[1]), np.float32)
        for b, one in enumerate(hidden):
            spread[:, b] = (one * (self.masks - 1)) @ self.weights
        return np.matmul(hidden, self.weights), spread

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All of it, by name."""
        return {name: getattr(self, name) for name in Masked.__slots__}

    @classmethod
    def of(cls, arrays: Arrays) -> Self:
        """What `arrays` gave."""
        return cls(**{name: arrays[name] for name in Masked.__slots__})

    def notes(self) -> dict[str, float]:
        """Nothing."""
        return {}


class DropoutPosterior(LastLayer[Masked]):
    """See the module. `rate` is the share of the units that are silent."""

    file = "mc_dropout.safetensors"
    kind = Masked

    def __init__(self, rate: float = 0.1) -> None:
        self.rate = rate

    def approximate(self, lesson: Lesson, *, samples: int, seed: int) -> Masked:
        """Train with the penalty, from the maximum a posteriori on, and draw the masks."""
        regression = lesson.regression
        scale = regression.scale(lesson.precision)
        units = np.linalg.inv(lesson.factor).T.astype(np.float32)
        inputs = regression.vectors * scale  # [M, M]
        hidden = lesson.features @ units  # [N, M]
        x: FloatArray = regression.rotated * scale
        to_units = lesson.factor.T @ inputs  # a = factor^T W
        decay: FloatArray = np.float32(lesson.precision) * np.square(scale[:, None])
        v: FloatArray = (regression.vectors.T @ lesson.weights) / scale[:, None]

        def slope(rows: IntArray, share: float, rng: np.random.Generator) -> list[FloatArray]:
            logits, weights = x[rows] @ v, to_units @ v
            _, by_logits, by_weights = dropout_penalty(logits, hidden[rows], weights, self.rate)
            by_logits += cross_entropy(logits, lesson.labels[rows])[1]
            fitting = np.matmul(x[rows].T, by_logits)
            fitting += to_units.T @ by_weights
            away: FloatArray = decay * v
            return [(np.float32(share) * fitting + away) / np.float32(len(x))]

        descend([v], slope, len(x), STEPS, RATE, seed)
        rng = np.random.default_rng(seed)
        masks = (rng.random((samples, len(units))) >= self.rate).astype(np.float32) / np.float32(1 - self.rate)
        return Masked(units, to_units @ v, masks)


def dropout_penalty(
    logits: FloatArray, hidden: FloatArray, weights: FloatArray, rate: float
) -> tuple[float, FloatArray, FloatArray]:
    """What dropout of the units [B, M] adds to the cross-entropy of logits [B, K], in the second order; nats.

    With it come its gradients by the logits [B, K] and by the weights [M, K].
    """
    p: FloatArray = softmax(logits, axis=1)
    squared, odds = np.square(hidden), np.float32(rate / (1 - rate))
    variance = odds * (squared @ np.square(weights))  # [B, K]
    by_p = 0.5 * (1 - 2 * p) * variance
    by_logits = p * (by_p - (p * by_p).sum(axis=1, keepdims=True))
    by_weights = odds * weights * (squared.T @ (p * (1 - p)))
    return 0.5 * float((p * (1 - p) * variance).sum()), by_logits, by_weights
