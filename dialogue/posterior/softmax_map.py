"""Multinomial logistic regression on kernel features: the maximum a posteriori that `point` and `laplace` share."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax

from dialogue.posterior.kernel import FloatArray, IntArray

MOST_STEPS = 200


def fit_map(features: FloatArray, labels: IntArray, classes: int, precision: float) -> FloatArray:
    """Weights [M, K] that maximise log p(labels | features W) - precision / 2 |W|^2, by L-BFGS."""
    n, m = features.shape
    targets = np.zeros((n, classes))
    targets[np.arange(n), labels] = 1

    def loss(flat: FloatArray) -> tuple[float, FloatArray]:
        weights = flat.reshape(m, classes)
        log_p = log_softmax(features @ weights, axis=1)
        value = -float((targets * log_p).sum()) + 0.5 * precision * float((weights**2).sum())
        gradient = features.T @ (np.exp(log_p) - targets) + precision * weights
        return value, gradient.ravel()

    found = minimize(loss, np.zeros(m * classes), jac=True, method="L-BFGS-B", options={"maxiter": MOST_STEPS})
    return found.x.reshape(m, classes).astype(np.float32)  # type: ignore[no-any-return]


def choose_precision(features: FloatArray, labels: IntArray, classes: int, seed: int) -> tuple[float, FloatArray]:
    """Precision of the prior with the best two-fold log probability, and the out-of-fold logits [N, K] it gave."""
    fold = alternate(labels, 2, seed)
    best: tuple[float, float, FloatArray] | None = None
    for precision in (0.01, 0.03, 0.1, 0.3):
        logits = np.empty((len(labels), classes), np.float32)
        for held_out in (0, 1):
            weights = fit_map(features[fold != held_out], labels[fold != held_out], classes, precision)
            logits[fold == held_out] = features[fold == held_out] @ weights
        score = float(log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean())
        if best is None or score > best[0]:
            best = (score, precision, logits)
    assert best is not None
    return best[1], best[2]


def alternate(labels: IntArray, folds: int, seed: int) -> IntArray:
    """A fold [N] for each text, spread evenly within each intent."""
    rng = np.random.default_rng(seed)
    fold = np.zeros(len(labels), np.int64)
    for turn, intent in enumerate(np.unique(labels)):
        rows = rng.permutation(np.flatnonzero(labels == intent))
        fold[rows] = (np.arange(len(rows)) + turn) % folds
    return fold
