"""How often each intent is meant: a Dirichlet over the intents, fed by use.

A model takes over the shares that the intents have in its training data, which say what its author thought of, not
what people ask. With shares b in training and theta in use, Bayes' rule moves its probabilities by the ratio: p_i in
proportion to p_i theta_i / b_i (Saerens, Latinne & Decaestecker 2002, "Adjusting the Outputs of a Classifier to New a
Priori Probabilities"). theta ~ Dirichlet(strength b + c) with c the expected counts of the intents in what was said;
without counts, or with a strength far above them, theta is b and nothing moves.

Every draw of the class probabilities gets a draw of theta of its own, so what is not known of theta widens the
interval. The mean of the moved draws is no answer: a text says something of theta, too, and its posterior predictive,
theta integrated out, is in proportion to p_i E[theta_i] / b_i. So the draws are shifted, as those of `conjugate.py`,
until that is their mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from dialogue.posterior.kernel import FloatArray, IntArray

SEED = 0
SHIFTS = 8
SMALLEST = np.float32(1e-30)


@dataclass(frozen=True, slots=True)
class IntentPrior:
    """The Dirichlet and what it replaces.

    Attributes:
        strength: how many messages the shares in training count for, above 0.
        base: b, shares of the I intents in training; above 0, they sum to 1.
        counts: c, expected counts [I], not below 0.
        groups: the intent of each of the K classes.
    """

    strength: float
    base: tuple[float, ...]
    counts: tuple[float, ...]
    groups: tuple[int, ...]

    @property
    def mean(self) -> NDArray[np.float64]:
        """Posterior mean [I] of theta."""
        found = self.strength * np.array(self.base) + np.array(self.counts)
        return found / found.sum()  # type: ignore[no-any-return]

    def __call__(self, draws: FloatArray) -> FloatArray:
        """Probabilities [S, B, K] of classes, moved: each draw by one of theta, their mean by the mean of theta."""
        whole = normalised(draws.mean(axis=0) * ratios(self, 1))  # [B, K]
        if len(draws) == 1:
            return whole[None]
        moved = normalised(draws * ratios(self, len(draws))[:, None])
        for _ in range(SHIFTS):
            moved = normalised(moved * (whole / np.maximum(moved.mean(axis=0), SMALLEST)))
        return moved

    def grown(self) -> Self:
        """With one more class, an intent of its own: as rare as the rarest in training, and never meant so far."""
        base = np.append(self.base, min(self.base))
        groups = (*self.groups, len(self.base))
        return type(self)(self.strength, tuple((base / base.sum()).tolist()), (*self.counts, 0.0), groups)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def of(cls, read: Mapping[str, Any]) -> Self:
        """What `as_dict` gave. Raises `KeyError` naming what is missing."""
        return cls(float(read["strength"]), *(tuple(read[name]) for name in ("base", "counts", "groups")))


@lru_cache(maxsize=8)
def ratios(prior: IntentPrior, samples: int) -> FloatArray:
    """Draws [S, K] of theta / b for each class, the same for the same prior; a single one is the mean."""
    mean = prior.mean
    theta = mean[None]  # [S, I]
    if samples > 1:
        concentration = mean * (prior.strength + sum(prior.counts))
        drawn = np.random.default_rng(SEED).dirichlet(concentration, samples)
        theta = np.maximum(drawn, SMALLEST)
    return (theta / np.array(prior.base))[:, list(prior.groups)].astype(np.float32)  # type: ignore[no-any-return]


def normalised(weights: FloatArray) -> FloatArray:
    """Weights [..., K], not all zero, as probabilities."""
    found: FloatArray = np.maximum(weights, SMALLEST)
    found /= found.sum(axis=-1, keepdims=True)
    return found


def shares(groups: IntArray, labels: IntArray, weights: FloatArray) -> tuple[float, ...]:
    """Shares [I] of the intents in training texts of classes [N], each text by its weight [N]: a text more for each."""
    found = np.bincount(groups[labels], weights=weights, minlength=int(groups.max()) + 1) + 1.0
    return tuple((found / found.sum()).tolist())
