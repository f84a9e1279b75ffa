"""Finitely many features that stand for the kernel: what a posterior over weights needs.

phi(x) = L^-1 k(x, landmarks) with K_MM = L L^T, so that phi(x) . phi(x') = k(x, x') between landmarks
(Williams & Seeger 2001, "Using the Nystroem Method to Speed Up Kernel Machines").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cholesky, solve_triangular

from dialogue.posterior.kernel import FloatArray, IntArray, take
from dialogue.posterior.process import JITTER, Process


@dataclass(frozen=True, slots=True)
class Landmarks:
    """M of the training texts. `factor` [M, M] is L^-1, `rows` [M] their places among the training texts."""

    rows: IntArray
    factor: FloatArray

    def __call__(self, rows: FloatArray) -> FloatArray:
        """Features [B, M] from kernel rows [B, N]."""
        return rows[:, self.rows] @ self.factor.T


def choose_landmarks(process: Process, most: int) -> Landmarks:
    """At most `most` training texts, evenly spaced over them as they are sorted by intent."""
    order = np.argsort(process.labels, kind="stable")
    rows = np.sort(order[np.linspace(0, len(order) - 1, min(most, len(order))).astype(np.int64)])
    within = process.kernel.gram(take(process.views, rows)).astype(np.float64)
    lower = cholesky(within + JITTER * np.eye(len(rows)), lower=True)
    factor = solve_triangular(lower, np.eye(len(rows)), lower=True).astype(np.float32)
    return Landmarks(rows, factor)


def training_features(process: Process, landmarks: Landmarks) -> FloatArray:
    """Features [N, M] of the training texts themselves."""
    some = take(process.views, landmarks.rows)
    return process.kernel(process.views, some) @ landmarks.factor.T
