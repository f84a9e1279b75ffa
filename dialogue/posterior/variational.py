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
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from torch import Tensor
from typing_extensions import Self

from dialogue.posterior.conjugate import gaussian_draws
from dialogue.posterior.descent import descend
from dialogue.posterior.kernel import FloatArray
from dialogue.posterior.last_layer import Arrays, LastLayer, Lesson

STEPS = 300
RATE = 0.05
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
        x = torch.from_numpy(regression.rotated * scale)  # [N, M]
        labels = torch.from_numpy(lesson.labels)
        prior = torch.from_numpy(1 / (np.float32(lesson.precision) * scale**2))[:, None]  # tau [M, 1]
        mean = (regression.vectors.T @ lesson.weights) / scale[:, None]
        p = softmax(lesson.features @ lesson.weights, axis=1)
        curvature = np.square(x.numpy()).T @ (p * (1 - p)) + 1 / prior.numpy()
        generator = torch.Generator().manual_seed(seed)
        factors = FIRST_FACTOR * torch.randn((self.rank, *mean.shape), generator=generator)
        mu, log_sigma = torch.from_numpy(mean), torch.from_numpy(-0.5 * np.log(curvature))
        for part in (mu, log_sigma, factors):
            part.requires_grad_(True)

        def loss(rows: Tensor, share: Tensor) -> Tensor:
            fitting = torch.nn.functional.cross_entropy(
                sampled(x[rows], mu, log_sigma, factors), labels[rows], reduction="sum"
            )
            return (share * fitting + divergence(mu, log_sigma, factors, prior)) / len(labels)

        descend([mu, log_sigma, factors], loss, len(labels), STEPS, RATE, seed)
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            bound = -float(np.mean([float(loss(torch.arange(len(labels)), torch.tensor(1.0))) for _ in range(4)]))
        return Factored(
            inputs=regression.vectors * scale,
            mean=mu.detach().numpy(),
            deviation=torch.exp(log_sigma).detach().numpy(),
            factors=factors.detach().numpy(),
            draws=gaussian_draws(samples, classes, seed),
            common=gaussian_draws(samples, max(1, self.rank), seed + 1)[:, : self.rank],
            bound=np.array([bound], np.float32),
        )


def sampled(x: Tensor, mean: Tensor, log_sigma: Tensor, factors: Tensor) -> Tensor:
    """One draw of the logits [B, K] for each text of x [B, M]; `factors` [R, M, K] move all texts together."""
    variance = x**2 @ torch.exp(2 * log_sigma)
    drawn = x @ mean + torch.sqrt(variance) * torch.randn_like(variance)
    if len(factors):
        drawn = drawn + torch.einsum("r,rbk->bk", torch.randn(len(factors)), x @ factors)
    return drawn


def divergence(mean: Tensor, log_sigma: Tensor, factors: Tensor, prior: Tensor) -> Tensor:
    """KL(q | prior) in nats; `prior` [M, 1] are the variances tau."""
    variance = torch.exp(2 * log_sigma)  # [M, K]
    second = variance + mean**2 + (factors**2).sum(0)
    log_determinant = 2 * log_sigma.sum()
    if len(factors):
        flat = factors.flatten(1)  # [R, M K]
        inner = torch.eye(len(flat)) + (flat / variance.flatten()) @ flat.T
        log_determinant = log_determinant + torch.logdet(inner)
    constant = mean.shape[1] * torch.log(prior).sum() - mean.numel()
    return 0.5 * ((second / prior).sum() - log_determinant + constant)
