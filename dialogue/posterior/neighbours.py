"""How probable the labels of left-out texts are by their nearest neighbours alone, and the gradient of that.

Exactly, every step costs an inverse of all texts; a sample of them is cheaper, but its texts lie further apart, and
the kernel that serves them is not that of the whole. What a text's left-out probability rests on are the texts next to
it. So each of some texts is predicted from its n nearest, taken from all there are (Vecchia 1988; Datta et al. 2016,
"Hierarchical Nearest-Neighbor Gaussian Process Models"), which costs one small system a text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import spotrf, spotrs
from scipy.sparse import csr_matrix

from dialogue.posterior.evidence import Hyperparameters, Theta, link_loss
from dialogue.posterior.kernel import FloatArray, IntArray, MultiViewKernel, View, Views, count, take

NEIGHBOURS = 64
TOGETHER = 32  # texts whose covariances fit into the processor's cache
LOOKED_UP = 256


@dataclass(frozen=True, slots=True)
class Neighbourhoods:
    """m texts, each with its n nearest.

    Attributes:
        cosine: [m, V, n + 1, n], of the neighbours, and in the last row of the text itself, with the neighbours.
        labels: [m, n] of the neighbours.
        y: [m] of the texts.
        classes: K.
    """

    cosine: FloatArray
    labels: IntArray
    y: IntArray
    classes: int


def neighbourhoods(views: Views, labels: IntArray, rows: IntArray, kernel: MultiViewKernel) -> Neighbourhoods:
    """Those of texts `rows` among the N of `views`, by a first kernel; view by view in its order."""
    near = nearest(views, rows, kernel)
    m, n = near.shape
    cosine = np.empty((m, len(kernel.parts), n + 1, n), np.float32)
    for i, row in enumerate(rows):
        group = take(views, np.append(near[i], row))
        for v, name in enumerate(kernel.parts):
            cosine[i, v] = among(group[name])[:, :-1]
    return Neighbourhoods(cosine, labels[near], labels[rows], int(labels.max()) + 1)


def nearest(views: Views, rows: IntArray, kernel: MultiViewKernel) -> IntArray:
    """The texts of the highest covariance with each of `rows`, itself left out: [m, n]."""
    n = min(NEIGHBOURS, count(views) - 1)
    found = []
    for start in range(0, len(rows), LOOKED_UP):
        some = rows[start : start + LOOKED_UP]
        covariance = kernel(take(views, some), views)
        covariance[np.arange(len(some)), some] = -np.inf
        found.append(np.argpartition(covariance, -n, axis=1)[:, -n:])
    return np.concatenate(found)


def among(view: View) -> FloatArray:
    """Inner products [B, B] of the B rows of a view with each other."""
    product = view @ view.T
    return product.toarray() if isinstance(product, csr_matrix) else product


def neighbours_loss(theta: Theta, seen: Neighbourhoods) -> tuple[float, Theta]:
    """The loss of the m texts by their neighbours, and its gradient by theta; see `evidence`.

    With S the neighbours' covariance and noise, k that with the text and b = S^-1 k, the latent mean of a class is the
    sum of b over its neighbours. If g are the gradients by the means of the neighbours' own classes and a = S^-1 g,
    that by k is a, and that by S is -b a^T.
    """
    at = Hyperparameters.of(theta)
    m, v, _, n = seen.cosine.shape
    noise = at.noise * np.eye(n, dtype=np.float32)
    loss, by_power, by_noise = 0.0, 0.0, 0.0
    by_weights, by_slopes = np.zeros(v), np.zeros(v)
    for start in range(0, m, TOGETHER):
        some = slice(start, start + TOGETHER)
        cosine, labels, y = seen.cosine[some], seen.labels[some], seen.y[some]
        share = len(y) / m
        each = cosine - 1
        each *= at.slopes[:, None, None]
        np.exp(each, out=each)  # [B, V, n + 1, n]
        whole = np.einsum("v,bvij->bij", at.weights, each)
        roots = [root(one) for one in whole[:, :n] + noise]
        b = solved(roots, whole[:, n])
        means = np.zeros((len(y), seen.classes), np.float32)
        np.add.at(means, (np.arange(len(y))[:, None], labels), b)
        part, by_means, power = link_loss(means, y, at.power)
        a = solved(roots, np.take_along_axis(by_means, labels, axis=1) * np.float32(share))
        loss, by_power, by_noise = loss + share * part, by_power + share * power, by_noise - float(np.vdot(a, b))
        by = np.concatenate([-b, np.ones((len(y), 1), np.float32)], axis=1)[:, None, None], a[:, None, :, None]
        by_weights += (by[0] @ each @ by[1]).sum(axis=(0, 2, 3))
        each *= cosine
        by_slopes += (by[0] @ each @ by[1]).sum(axis=(0, 2, 3))
    by_slopes = at.weights * (by_slopes - by_weights)
    return loss, at.gradient(by_weights, by_slopes, by_noise, by_power)


def root(matrix: FloatArray) -> FloatArray:
    """The lower Cholesky factor [n, n]. Raises `np.linalg.LinAlgError` if there is none."""
    lower, failed = spotrf(matrix.T, lower=1, clean=0)
    if failed:
        raise np.linalg.LinAlgError("the kernel of the views is not positive definite")
    return lower  # type: ignore[no-any-return]


def solved(roots: Sequence[FloatArray], sides: FloatArray) -> FloatArray:
    """The solutions [B, n] of B systems by their matrices' factors; several calls of LAPACK beat a batched inverse."""
    return np.stack([spotrs(lower, side, lower=1)[0] for lower, side in zip(roots, sides, strict=True)])
