"""How much each view is to be believed: type-II maximum a posteriori by leave-one-out.

The closed-form leave-one-out predictions of the process, put through the link, give each training text a probability
of its label by all the others; their mean log is the evidence that chooses the views' weights and slopes, the noise
and the link's power (Rasmussen & Williams 2006, section 5.4.2, with the log predictive probability of the class in
place of the density). It needs no held-out data, and a view that does not help ends with a weight near zero. A weak
log-normal prior carries the choice where there are few texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import spotrf, spotri
from scipy.special import expit, log_softmax, softmax

from dialogue.posterior.descent import Adam
from dialogue.posterior.kernel import FloatArray, IntArray, MultiViewKernel, ViewKernel, Views, cosines, take
from dialogue.posterior.link import DEFAULT_KNEE, DEFAULT_POWER, LOWEST, Link
from dialogue.posterior.sample import balanced_sample

FEW_TEXTS, MOST_TEXTS, SHARE = 600, 2000, 0.2
STEPS = 25
RATE = 0.25
PRIOR_STRENGTH = 4.0  # texts that one standard deviation of the log-normal prior counts for
DEFAULT_NOISE = 0.1
SMALLEST_WEIGHT = 1e-3


@dataclass(frozen=True, slots=True)
class Weighed:
    """What the evidence chose: the kernel, the noise variance of a label, the leave-one-out evidence in nats a text."""

    kernel: MultiViewKernel
    noise: float
    evidence: float


def weigh(views: Views, labels: IntArray, start: Mapping[str, ViewKernel], *, seed: int) -> Weighed:
    """Choose weights, slopes and noise.

    Args:
        views: of N texts; of more than 600 a class-balanced sample is looked at: a fifth, 600 at least, 2,000 at most.
            With thousands of texts the best kernel is steeper and trusts the labels more than a few would tell.
        labels: [N].
        start: the prior's centre; also what is returned when no intent has two texts.
        seed: of the sample.

    Raises:
        FloatingPointError: if a view holds a NaN.
    """
    repeated = np.flatnonzero(np.bincount(labels)[labels] > 1)
    if len(repeated) < 4 or len(np.unique(labels[repeated])) < 2:
        return Weighed(normalised(start), DEFAULT_NOISE, float("nan"))
    most = min(MOST_TEXTS, max(FEW_TEXTS, int(SHARE * len(repeated))))
    rows = balanced_sample(labels, repeated, most, seed)
    some = take(views, rows)
    _, y = np.unique(labels[rows], return_inverse=True)
    names = list(start)
    cosine = np.stack([cosines(some[name], some[name]) for name in names])  # [V, n, n]
    if not np.isfinite(cosine).all():
        raise FloatingPointError("a view of the training texts holds a number that is not finite")
    return maximise(cosine, y, names, start)


def maximise(cosine: FloatArray, y: IntArray, names: list[str], start: Mapping[str, ViewKernel]) -> Weighed:
    """Adam on the logarithms of weights, slopes, noise and power."""
    n, v = len(y), len(names)
    parts = [start[name] for name in names]
    centre = np.log(
        [max(part.weight, SMALLEST_WEIGHT) for part in parts]
        + [part.slope for part in parts]
        + [DEFAULT_NOISE, DEFAULT_POWER]
    )
    theta = centre.copy()
    optimiser = Adam([theta])
    best, chosen, evidence = np.inf, centre, np.nan
    for _ in range(STEPS):
        loss, gradient = leave_one_out_loss(theta, cosine, y)
        strayed = PRIOR_STRENGTH / n * (theta - centre)
        total = loss + 0.5 * float(strayed @ (theta - centre))
        if total < best:
            best, chosen, evidence = total, theta.copy(), -loss
        optimiser.step([gradient + strayed], RATE)
    weights, slopes, noise = np.exp(chosen[:v]), np.exp(chosen[v : 2 * v]), np.exp(chosen[2 * v])
    found = {name: ViewKernel(float(w), float(g)) for name, w, g in zip(names, weights, slopes, strict=True)}
    return Weighed(normalised(found), float(noise), evidence)


def leave_one_out_loss(theta: NDArray[Any], cosine: FloatArray, y: IntArray) -> tuple[float, NDArray[Any]]:
    """Mean negative log probability, in nats, of each label by the other texts; and its gradient by theta.

    Args:
        theta: logarithms of weights [V] (which are made to sum to 1), slopes [V], noise and power.
        cosine: [V, n, n].
        y: labels [n].

    With K the kernel matrix, A = (K + noise I)^-1 and T the targets, the left-out mean is T - (A T)_ik / A_ii. If G is
    the gradient by it, that by K is A (G / diag A) (A T)^T - A diag(h) A, with h_i = sum over k of G_ik (A T)_ik /
    A_ii^2.
    """
    v, n = cosine.shape[:2]
    weights, slopes = softmax(theta[:v]).astype(np.float32), np.exp(theta[v : 2 * v]).astype(np.float32)
    noise, power = np.float32(np.exp(theta[2 * v])), float(np.exp(theta[2 * v + 1]))
    each = cosine - 1
    each *= slopes[:, None, None]
    np.exp(each, out=each)  # [V, n, n]
    inverse = inverted(np.tensordot(weights, each, 1) + noise * np.eye(n, dtype=np.float32))
    targets = (y[:, None] == np.arange(y.max() + 1)).astype(np.float32)  # [n, K]
    solved, diagonal = inverse @ targets, inverse.diagonal()[:, None]
    loss, by_latent, by_power = link_loss(targets - solved / diagonal, y, power)
    pull = (by_latent * solved).sum(axis=1) / diagonal[:, 0] ** 2
    by_kernel = (inverse @ (by_latent / diagonal)) @ solved.T - (inverse * pull) @ inverse  # [n, n]
    by_weights, by_slopes = np.empty(v), np.empty(v)
    for i, part in enumerate(each):
        weighed = part * by_kernel
        by_weights[i] = weighed.sum()
        by_slopes[i] = weights[i] * (np.vdot(weighed, cosine[i]) - by_weights[i])
    by_log_weights = weights * (by_weights - weights @ by_weights)
    by_noise = noise * by_kernel.trace()
    return loss, np.concatenate([by_log_weights, slopes * by_slopes, [by_noise, power * by_power]])


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


def normalised(parts: Mapping[str, ViewKernel]) -> MultiViewKernel:
    """The kernel with weights that sum to 1; a weight below a thousandth of the whole is zero, and costs nothing."""
    total = sum(part.weight for part in parts.values())
    kept = {name: p for name, p in parts.items() if p.weight / total >= SMALLEST_WEIGHT}
    total = sum(part.weight for part in kept.values())
    return MultiViewKernel(
        {
            name: ViewKernel(kept[name].weight / total if name in kept else 0.0, part.slope)
            for name, part in parts.items()
        }
    )
