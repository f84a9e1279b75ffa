"""Laplace approximation of the last layer.

Around the maximum a posteriori weights W of multinomial logistic regression the posterior is taken as Gaussian with
the generalised Gauss-Newton Hessian H = sum over texts of phi phi^T (x) (diag p - p p^T), plus precision I, which for
this model is the Hessian itself (Daxberger et al. 2021, "Laplace Redux"). In the eigenvectors U of A = sum phi phi^T
[M, M]:

* `kronecker`: H is A (x) G with G = mean of diag p - p p^T [K, K] (Ritter et al. 2018, "A Scalable Laplace
  Approximation for
  Neural Networks"). With A = U a U^T and G = V g V^T the logits of a text with features phi are Gaussian with
  covariance V diag_j(sum_i (U^T phi)_i^2 / (a_i g_j + precision)) V^T: exact under the factors.
* `diagonal`: only the diagonal of H in that basis, sum over texts of (U^T phi)_i^2 p_j (1 - p_j).
* `full`: H as it is over the leading eigenvectors, as many as make at most 4,096 weights, and Kronecker factors for the
  rest. A bot of 8 intents has 512 such directions, which is all of it up to so many texts; one of 150 has 27.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular
from scipy.special import softmax
from typing_extensions import Self

from dialogue.posterior.conjugate import gaussian_draws
from dialogue.posterior.kernel import FloatArray
from dialogue.posterior.last_layer import Arrays, LastLayer, Lesson
from dialogue.posterior.softmax_map import Regression, eigen

Hessian: TypeAlias = Literal["full", "kronecker", "diagonal"]
MOST_WEIGHTS = 4096  # of which the whole Hessian is taken: 128 MB
ROWS = 1024


@dataclass(frozen=True, slots=True)
class Curvature:
    """The covariance of the weights around W.

    Attributes:
        weights: W [M, K].
        inputs: U [M, M].
        outputs: V [K, K].
        variances: [M, K] of U^T W V, independent of each other; zero for what `lead` covers.
        lead: [S, R, K] draws of the deviations of the first R rows of U^T W, which depend on each other.
        draws: [S, K] standard normal.
    """

    weights: FloatArray
    inputs: FloatArray
    outputs: FloatArray
    variances: FloatArray
    lead: FloatArray
    draws: FloatArray

    def logits(self, features: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Centre [B, K] and deviations [S, B, K] of the logits for features [B, M]."""
        rotated = features @ self.inputs  # [B, M]
        deviation: FloatArray = np.sqrt(np.square(rotated) @ self.variances)  # [B, K]
        spread = np.matmul(deviation[None] * self.draws[:, None], self.outputs.T)  # [S, B, K]
        spread += rotated[:, : self.lead.shape[1]] @ self.lead
        return features @ self.weights, spread

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All of it, by name."""
        return {name: getattr(self, name) for name in Curvature.__slots__}

    @classmethod
    def of(cls, arrays: Arrays) -> Self:
        """What `arrays` gave."""
        return cls(**{name: arrays[name] for name in Curvature.__slots__})

    def notes(self) -> dict[str, float]:
        """Nothing."""
        return {}


class LaplacePosterior(LastLayer[Curvature]):
    """See the module."""

    file = "laplace.safetensors"
    kind = Curvature

    def __init__(self, hessian: Hessian = "kronecker") -> None:
        self.hessian = hessian

    def approximate(self, lesson: Lesson, *, samples: int, seed: int) -> Curvature:
        """The curvature at the maximum a posteriori weights."""
        regression, classes = lesson.regression, lesson.classes
        p = softmax(lesson.features @ lesson.weights, axis=1)  # [N, K]
        outputs, variances = diagonal(regression, p, lesson.precision)
        if self.hessian != "diagonal":
            outputs, variances = kronecker(regression, p, lesson.precision)
        lead = np.zeros((samples, 0, classes), np.float32)
        if self.hessian == "full":
            count = min(max(1, MOST_WEIGHTS // classes), len(regression.values))
            order = np.argsort(-regression.values, kind="stable")  # leading directions first
            regression = regression.ordered(order)
            lead = leading(regression.rotated[:, :count], p, lesson.precision, samples, seed)
            variances = variances[order]
            variances[:count] = 0
        draws = gaussian_draws(samples, classes, seed)
        return Curvature(lesson.weights, regression.vectors, outputs, variances, lead, draws)


def kronecker(regression: Regression, p: FloatArray, precision: float) -> tuple[FloatArray, FloatArray]:
    """V [K, K] and the variances [M, K] under the Kronecker factors, from the texts' own probabilities p [N, K]."""
    n = max(1, len(p))
    values, outputs = eigen((np.diag(p.sum(axis=0)) - p.T @ p).astype(np.float32) / np.float32(n))
    hessian: FloatArray = np.outer(regression.values, values) + np.float32(precision)
    return outputs, np.reciprocal(hessian)


def diagonal(regression: Regression, p: FloatArray, precision: float) -> tuple[FloatArray, FloatArray]:
    """The identity [K, K] and the variances [M, K] under the diagonal alone."""
    hessian: FloatArray = np.square(regression.rotated).T @ (p * (1 - p)) + np.float32(precision)
    return np.eye(p.shape[1], dtype=np.float32), np.reciprocal(hessian)


def leading(rotated: FloatArray, p: FloatArray, precision: float, samples: int, seed: int) -> FloatArray:
    """Draws [S, R, K] from the Gaussian of the whole Hessian over R directions, from features [N, R] along them."""
    r, k = rotated.shape[1], p.shape[1]
    flat = np.zeros((r * k, r * k))
    for start in range(0, len(p), ROWS):
        some, q = rotated[start : start + ROWS], p[start : start + ROWS]
        outer = (some[:, :, None] * q[:, None, :]).reshape(len(q), r * k)
        flat -= outer.T @ outer
    hessian = flat.reshape(r, k, r, k)
    for j in range(k):
        hessian[:, j, :, j] += (rotated * p[:, j, None]).T @ rotated
    flat[np.diag_indices(r * k)] += precision
    lower = cholesky(flat, lower=True, overwrite_a=True)
    half = np.random.default_rng(seed).standard_normal((r * k, samples // 2))
    z = np.concatenate([half, -half, np.zeros((r * k, samples % 2))], axis=1)  # mean zero
    drawn = solve_triangular(lower, z, lower=True, trans="T").T
    return drawn.reshape(samples, r, k).astype(np.float32)  # type: ignore[no-any-return]
