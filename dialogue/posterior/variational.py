"""Variational inference over the last layer: the Gaussian of a family that is nearest to the posterior.

q(V) has mean mu [M, K] and, along the eigenvectors of X^T X scaled by their curvature (W = U diag(scale) V),
covariance diag(sigma^2) + sum over r of l_r l_r^T: mean field with rank 0, otherwise with so many directions in which
all weights move together (Ong et al. 2018, "Gaussian Variational Approximation with a Factor Covariance Structure").
It maximises the evidence lower bound E_q log p(labels | X W) - KL(q | prior) by stochastic gradients. Under q the
logits of a text are Gaussian, so the expectation is taken by drawing the logits themselves (Kingma et al. 2015,
"Variational Dropout and the Local Reparameterization Trick"); the divergence is in closed form:

KL = 1/2 [sum (sigma^2 + sum_r l_r^2 + mu^2) / tau - sum log sigma^2 - log det(I + L^T diag(sigma^-2) L) + sum log tau
- M K],

with tau = 1 / (precision scale^2) the prior's variance of V.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from typing_extensions import Self

from dialogue.posterior.conjugate import gaussian_draws
from dialogue.posterior.descent import descend
from dialogue.posterior.kernel import FloatArray, IntArray
from dialogue.posterior.last_layer import Arrays, LastLayer, Lesson
from dialogue.posterior.softmax_map import cross_entropy

STEPS = 600
RATE = 0.05
BOUND_DRAWS = 64  # for the bound that is reported
FIRST_FACTOR = 0.01  # deviation of the factors' entries before they have learned


@dataclass(frozen=True, slots=True)
class Factored:
    """q in terms of features phi: x = phi `inputs`.

    Attributes:
        inputs: U diag(scale) [M, M].
        mean: mu [M, K].
        deviation: sigma [M, K].
        factors: l [R, M, K].
        draws: [S, K] and `common` [S, R], standard normal.
        bound: the evidence lower bound at the end, nats a text.
    """

    inputs: FloatArray
    mean: FloatArray
    deviation: FloatArray
    factors: FloatArray
    draws: FloatArray
    common: FloatArray
    bound: FloatArray

    def logits(self, features: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Centre [B, K] and deviations [S, B, K] of the logits for features [B, M]."""
        x: FloatArray = features @ self.inputs
        deviation: FloatArray = np.sqrt(np.square(x) @ np.square(self.deviation))  # [B, K]
        spread: FloatArray = np.einsum("sr,rbk->sbk", self.common, x @ self.factors)
        spread += deviation[None] * self.draws[:, None]
        return np.matmul(x, self.mean), spread

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All of it, by name."""
        return {name: getattr(self, name) for name in Factored.__slots__}

    @classmethod
    def of(cls, arrays: Arrays) -> Self:
        """What `arrays` gave."""
        return cls(**{name: arrays[name] for name in Factored.__slots__})

    def notes(self) -> dict[str, float]:
        """The evidence lower bound, nats a text."""
        return {"bound": float(self.bound[0])}


class VariationalPosterior(LastLayer[Factored]):
    """See the module. `rank` directions beyond mean field."""

    file = "variational.safetensors"
    kind = Factored

    def __init__(self, rank: int = 0) -> None:
        self.rank = rank

    def approximate(self, lesson: Lesson, *, samples: int, seed: int) -> Factored:
        """Climb the bound from the maximum a posteriori and the diagonal of its curvature."""
        regression, classes = lesson.regression, lesson.classes
        scale = regression.scale(lesson.precision)
        x: FloatArray = regression.rotated * scale  # [N, M]
        labels, texts = lesson.labels, np.float32(len(x))
        prior: FloatArray = np.reciprocal(np.float32(lesson.precision) * np.square(scale[:, None]))  # tau [M, 1]
        p: FloatArray = softmax(lesson.features @ lesson.weights, axis=1)
        curvature = np.square(x).T @ (p * (1 - p)) + 1 / prior
        mean: FloatArray = (regression.vectors.T @ lesson.weights) / scale[:, None]
        rng = np.random.default_rng(seed)
        q = Family(
            mean=mean,
            log_sigma=np.float32(-0.5) * np.log(curvature),
            factors=np.float32(FIRST_FACTOR) * rng.standard_normal((self.rank, *mean.shape), np.float32),
        )

        def slope(rows: IntArray, share: float, rng: np.random.Generator) -> list[FloatArray]:
            fitting, away = q.misfit(x[rows], labels[rows], rng)[1], q.divergence(prior)[1]
            return [(np.float32(share) * f + a) / texts for f, a in zip(fitting, away, strict=True)]

        descend([q.mean, q.log_sigma, q.factors], slope, len(x), STEPS, RATE, seed)
        misfit = np.mean([q.misfit(x, labels, rng)[0] for _ in range(BOUND_DRAWS)])
        return Factored(
            inputs=regression.vectors * scale,
            mean=q.mean,
            deviation=np.exp(q.log_sigma),
            factors=q.factors,
            draws=gaussian_draws(samples, classes, seed),
            common=gaussian_draws(samples, max(1, self.rank), seed + 1)[:, : self.rank],
            bound=np.array([-(misfit + q.divergence(prior)[0]) / texts], np.float32),
        )


@dataclass(frozen=True, slots=True)
class Family:
    """A Gaussian while it is being fitted: mu [M, K], log sigma [M, K] and l [R, M, K], changed in place."""

    mean: FloatArray
    log_sigma: FloatArray
    factors: FloatArray

    def misfit(self, x: FloatArray, labels: IntArray, rng: np.random.Generator) -> tuple[float, list[FloatArray]]:
        """Cross-entropy in nats of one draw of the logits of x [B, M], and its gradient by each of the three."""
        variances = np.exp(2 * self.log_sigma)
        deviation: FloatArray = np.sqrt(np.square(x) @ variances)  # [B, K]
        noise = rng.standard_normal(deviation.shape, np.float32)
        common = rng.standard_normal((len(self.factors), 1, 1), np.float32)  # moves all texts together
        logits = x @ (self.mean + (common * self.factors).sum(axis=0)) + deviation * noise
        loss, residual = cross_entropy(logits, labels)
        by_mean = x.T @ residual
        # Half a gradient by the variance of each logit; a text of all zeros has none.
        half = np.divide(residual * noise, deviation, out=np.zeros_like(noise), where=deviation > 0)
        return loss, [by_mean, variances * (np.square(x).T @ half), common * by_mean]

    def divergence(self, prior: FloatArray) -> tuple[float, list[FloatArray]]:
        """KL(q | prior) in nats and its gradients; `prior` [M, 1] are the variances tau."""
        variances, rank = np.exp(2 * self.log_sigma), len(self.factors)
        second = variances + np.square(self.mean) + np.square(self.factors).sum(axis=0)
        scaled = (self.factors / variances).reshape(rank, self.mean.size)  # [R, M K]
        inner = np.eye(rank) + scaled @ self.factors.reshape(rank, self.mean.size).T
        pull = (np.linalg.inv(inner).astype(np.float32) @ scaled).reshape(self.factors.shape)
        log_determinant = 2 * self.log_sigma.sum(dtype=np.float64) + np.linalg.slogdet(inner)[1]
        constant = self.mean.shape[1] * np.log(prior).sum(dtype=np.float64) - self.mean.size
        by_log_sigma = variances / prior - 1 + (self.factors * pull).sum(axis=0)
        nats = 0.5 * float((second / prior).sum(dtype=np.float64) - log_determinant + constant)
        return nats, [self.mean / prior, by_log_sigma, self.factors / prior - pull]
