"""Multinomial logistic regression on kernel features: the maximum a posteriori that `point` and `laplace` share."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

import numpy as np

from dialogue.posterior.kernel import FloatArray, IntArray

MOST_STEPS = 100
TOLERANCE = 1e-3  # share of the loss; steps that gain less change no decision
PRECISIONS = (0.3, 0.1, 0.03, 0.01)
DEFAULT_PRECISION = 0.01
FOLDS = 2


class Regression:
    """The regression of N labelled texts, ready to be fitted at several precisions.

    The weights are searched for along the eigenvectors of X^T X, scaled by the curvature there as if every intent had
    an even share: a few steps of L-BFGS then do what takes hundreds on the features as they are.

    Attributes:
        values, vectors: [M] and [M, M], eigenvalues and eigenvectors of X^T X.
    """

    def __init__(self, features: FloatArray, labels: IntArray, classes: int) -> None:
        self.labels, self.classes = labels, classes
        self.values, self.vectors = eigen(features.T @ features)
        self.rotated = features @ self.vectors  # [N, M]

    def ordered(self, order: IntArray) -> Regression:
        """The same with its eigenvectors in another order [M]."""
        other = copy(self)
        other.values, other.vectors = self.values[order], self.vectors[:, order]
        other.rotated = self.rotated[:, order]
        return other

    def scale(self, precision: float) -> FloatArray:
        """One over the root of the curvature [M] along the eigenvectors, as if every intent had an even share."""
        curvature: FloatArray = self.values / np.float32(self.classes) + np.float32(precision)
        return np.reciprocal(np.sqrt(curvature))

    def fit(
        self, precision: float, *, centre: FloatArray | None = None, importance: FloatArray | None = None
    ) -> FloatArray:
        """Weights W [M, K] that maximise sum_n importance_n log p(label_n | X W) - precision / 2 |W - centre|^2.

        Args:
            precision: of the prior.
            centre: [M, K], zero by default.
            importance: [N], one by default.
        """
        from scipy.optimize import minimize

        scale = self.scale(precision)  # [M]
        x: FloatArray = self.rotated * scale  # [N, M]
        penalty = np.float32(precision) * scale[:, None] ** 2  # [M, 1]

        def loss(flat: FloatArray) -> tuple[float, FloatArray]:
            weights = flat.reshape(-1, self.classes).astype(np.float32)
            value, residual = cross_entropy(x @ weights + offset, self.labels, importance)
            decay = penalty * weights
            gradient = x.T @ residual + decay
            return value + 0.5 * float((decay * weights).sum(dtype=np.float64)), gradient.ravel().astype(np.float64)

        offset = np.float32(0) if centre is None else self.rotated @ (self.vectors.T @ centre)
        start = np.zeros(len(scale) * self.classes)
        found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": MOST_STEPS, "ftol": TOLERANCE})
        weights = scale[:, None] * found.x.reshape(-1, self.classes)
        away: FloatArray = (self.vectors @ weights).astype(np.float32)
        return away if centre is None else away + centre


def cross_entropy(
    logits: FloatArray, labels: IntArray, importance: FloatArray | None = None
) -> tuple[float, FloatArray]:
    """Negative log probability of the labels, nats, and its gradient [N, K] by the logits, which are overwritten.

    `importance` [N] is how often each text counts, once by default.
    """
    rows = np.arange(len(labels))
    logits -= logits.max(axis=1, keepdims=True)
    chosen = logits[rows, labels].astype(np.float64)
    p = np.exp(logits, out=logits)
    total = p.sum(axis=1, keepdims=True)
    p /= total
    p[rows, labels] -= 1
    loss = np.log(total[:, 0].astype(np.float64)) - chosen
    if importance is None:
        return float(loss.sum()), p
    p *= importance[:, None]
    return float(importance @ loss), p


def eigen(matrix: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Eigenvalues (not below zero) and eigenvectors of a symmetric matrix, float32."""
    values, vectors = np.linalg.eigh(matrix.astype(np.float64))
    return np.maximum(values, 0).astype(np.float32), vectors.astype(np.float32)


@dataclass(frozen=True, slots=True)
class CrossFit:
    """What regressions say of texts they were not fitted on.

    Attributes:
        precision: of the prior, that of the best log probability.
        fold: [N] which regression a text was left out of.
        regressions, weights: of each fold, weights [M, K].
        logits: [N, K].
        rows: the texts that can be judged: those whose intent has another text. Empty when that is one intent or none.
    """

    precision: float
    fold: IntArray
    regressions: list[Regression]
    weights: list[FloatArray]
    logits: FloatArray
    rows: IntArray


def cross_fit(features: FloatArray, labels: IntArray, classes: int, seed: int) -> CrossFit:
    """Fit every fold's regression from strong to weak priors, as long as that gains log probability."""
    fold, rows = alternate(labels, FOLDS, seed), judged(labels)
    regressions = [Regression(features[fold != m], labels[fold != m], classes) for m in range(FOLDS)]
    best, lowest = None, np.inf
    for precision in PRECISIONS if len(rows) else (DEFAULT_PRECISION,):
        weights = [regression.fit(precision) for regression in regressions]
        logits = np.empty((len(labels), classes), np.float32)
        for m in range(FOLDS):
            logits[fold == m] = features[fold == m] @ weights[m]
        loss = cross_entropy(logits[rows], labels[rows])[0]
        if best is not None and loss >= lowest:
            break
        best, lowest = CrossFit(precision, fold, regressions, weights, logits, rows), loss
    assert best is not None
    return best


def judged(labels: IntArray) -> IntArray:
    """Texts whose intent has another text, if there are two such intents; without, leaving out says nothing."""
    rows = np.flatnonzero(np.bincount(labels)[labels] > 1)
    return rows if len(np.unique(labels[rows])) > 1 else rows[:0]


def alternate(labels: IntArray, folds: int, seed: int) -> IntArray:
    """A fold [N] for each text, spread evenly within each intent."""
    rng = np.random.default_rng(seed)
    fold = np.zeros(len(labels), np.int64)
    for turn, intent in enumerate(np.unique(labels)):
        rows = rng.permutation(np.flatnonzero(labels == intent))
        fold[rows] = (np.arange(len(rows)) + turn) % folds
    return fold
