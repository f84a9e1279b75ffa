"""How probable the labels of left-out texts are under a kernel, exactly, and the gradient of that.

What is judged is theta: the logarithms of the views' weights (which are made to sum to 1), of their slopes, of the
noise and of the link's power. Its loss is the mean negative log probability, in nats, of each label by the other texts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import spotrf, spotri
from scipy.special import expit, log_softmax, softmax

from dialogue.posterior.kernel import FloatArray, IntArray
from dialogue.posterior.link import DEFAULT_KNEE, LOWEST, Link

Theta = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """What a theta of 2 V + 2 numbers says: weights [V], slopes [V], noise, power."""

    weights: FloatArray
    slopes: FloatArray
    noise: np.float32
    power: float

    @classmethod
    def of(cls, theta: Theta) -> Hyperparameters:
        """Read it."""
        v = len(theta) // 2 - 1
        weights = softmax(theta[:v]).astype(np.float32)
        slopes, noise, power = np.split(np.exp(theta[v:]), [v, v + 1])
        return cls(weights, slopes.astype(np.float32), np.float32(noise[0]), float(power[0]))

    def gradient(self, by_weights: Theta, by_slopes: Theta, by_noise: float, by_power: float) -> Theta:
        """That by theta, from those by weights, slopes, noise and power."""
        by_log_weights = self.weights * (by_weights - self.weights @ by_weights)
        return np.concatenate([by_log_weights, self.slopes * by_slopes, [self.noise * by_noise, self.power * by_power]])


def leave_one_out_loss(theta: Theta, cosine: FloatArray, y: IntArray) -> tuple[float, Theta]:
    """The loss of n texts by all the others, and its gradient by theta.

    Args:
        theta: see above.
        cosine: [V, n, n].
        y: labels [n].

    With K the kernel matrix, A = (K + noise I)^-1 and T the targets, the left-out mean is T - (A T)_ik / A_ii
    (Rasmussen & Williams 2006, section 5.4.2). If G is the gradient by it, that by K is A (G / diag A) (A T)^T -
    A diag(h) A, with h_i = sum over k of G_ik (A T)_ik / A_ii^2.
    """
    v, n = cosine.shape[:2]
    at = Hyperparameters.of(theta)
    each = cosine - 1
    each *= at.slopes[:, None, None]
    np.exp(each, out=each)  # [V, n, n]
    inverse = inverted(np.tensordot(at.weights, each, 1) + at.noise * np.eye(n, dtype=np.float32))
    targets = (y[:, None] == np.arange(y.max() + 1)).astype(np.float32)  # [n, K]
    solved, diagonal = inverse @ targets, inverse.diagonal()[:, None]
    loss, by_latent, by_power = link_loss(targets - solved / diagonal, y, at.power)
    pull = (by_latent * solved).sum(axis=1) / diagonal[:, 0] ** 2
    by_kernel = (inverse @ (by_latent / diagonal)) @ solved.T - (inverse * pull) @ inverse  # [n, n]
    by_weights, by_slopes = np.empty(v), np.empty(v)
    for i, part in enumerate(each):
        weighed = part * by_kernel
        by_weights[i] = weighed.sum()
        by_slopes[i] = at.weights[i] * (np.vdot(weighed, cosine[i]) - by_weights[i])
    return loss, at.gradient(by_weights, by_slopes, by_kernel.trace(), by_power)


def link_loss(latent: FloatArray, y: IntArray, power: float) -> tuple[float, FloatArray, float]:
    """Mean negative log probability of the labels under the link, and its gradients by latent [n, K] and power."""
    rows = np.arange(len(y))
    logits = Link(power, DEFAULT_KNEE).logits(latent)
    log_p = log_softmax(logits, axis=1)
    residual = np.exp(log_p)
    residual[rows, y] -= 1
    residual /= np.float32(len(y))
    x = latent / np.float32(DEFAULT_KNEE)
    log_share = logits / np.float32(power)
    # d log softplus(x) / dx; where the link follows the latent itself that is 1
    steep = np.where(x < LOWEST, 1, expit(x) / np.exp(log_share))
    by_latent: FloatArray = residual * steep * np.float32(power / DEFAULT_KNEE)
    return -float(log_p[rows, y].mean()), by_latent, float((residual * log_share).sum())


def inverted(matrix: FloatArray) -> FloatArray:
    """The inverse of a positive definite matrix. Raises `np.linalg.LinAlgError` if it is none."""
    lower, failed = spotrf(matrix, lower=1, overwrite_a=1)  # zeros above the diagonal
    if failed:
        raise np.linalg.LinAlgError("the kernel of the views is not positive definite")
    inverse, _ = spotri(lower, lower=1, overwrite_c=1)
    whole: FloatArray = inverse + inverse.T
    whole[np.diag_indices(len(whole))] /= 2
    return whole
