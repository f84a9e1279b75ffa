"""The Gaussian process every posterior stands on, and what it says of texts it has not seen.

Labels are regressed as K functions with targets 1 (this intent) and 0 (another) that share one kernel, so one
factorisation serves all (least-squares classification, Rasmussen & Williams 2006, section 6.5). Everything below is
closed form in A = (K + noise)^-1:

* predictive mean k(x)^T A Y, variance 1 - k(x)^T A k(x);
* one example left out (section 5.4.2): mean y_i - (A y)_i / A_ii, variance 1 / A_ii - noise_i;
* a whole intent c left out: mean Y_c - (A_cc)^-1 (A Y)_c, variance diag (A_cc)^-1 - noise, A_cc its block of A.

Leaving out one example shows how the bot answers what it was taught; leaving out an intent shows how it looks upon what
it was never taught. The first calibrates "which intent", both together "any intent at all".
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import cholesky, lapack, solve_triangular

from dialogue.posterior.kernel import FloatArray, IntArray, MultiViewKernel, Views, count, inner

FULL_VARIANCE = 2048
INDUCING = 1024
JITTER, TINY = 1e-4, 1e-12  # so that what is positive definite stays so in single, in double precision


@dataclass(frozen=True, slots=True)
class LeftOut:
    """How texts look when they, or their intents, are left out.

    `mean` [N, K] and `variance` [N] of the latent functions, `nearest` [N]: the highest covariance with a text that is
    still there.
    """

    mean: FloatArray
    variance: FloatArray
    nearest: FloatArray


@dataclass(frozen=True, slots=True)
class Process:
    """A fitted process.

    Attributes:
        kernel: prior covariance.
        views: of the N training texts.
        labels: [N] intent of each.
        noise: [N] variance of each label.
        alpha: [N, K] (K + noise)^-1 Y.
        amplitude: variance of the latent functions that fits the labels best: trace(Y^T A Y) / (N K).
        reduce: [M, M], what the training texts do to the prior variance, as a factor: variance = 1 - |reduce k_M|^2.
        inducing: [M] rows of `views`; all N of them in a small bot, where the variance is exact.
    """

    kernel: MultiViewKernel
    views: Views
    labels: IntArray
    noise: FloatArray
    alpha: FloatArray
    amplitude: float
    reduce: FloatArray
    inducing: IntArray

    def rows(self, views: Views) -> FloatArray:
        """Covariances [B, N] of new texts with the training texts."""
        return self.kernel(views, self.views)

    def latent(self, rows: FloatArray) -> Latent:
        """What the process says of B texts, from their kernel rows [B, N]."""
        return Latent(self, rows)

    def mean(self, rows: FloatArray) -> FloatArray:
        """Latent means [B, K]."""
        return rows @ self.alpha

    def variance(self, rows: FloatArray) -> FloatArray:
        """Latent variances [B], as a share of the prior's."""
        return np.clip(1 - (self.reduced(rows) ** 2).sum(axis=1), 0.0, 1.0)  # type: ignore[no-any-return]

    def reduced(self, rows: FloatArray) -> FloatArray:
        """[B, M], whose inner products are what the training texts take off the prior covariances of B texts."""
        return inner(rows[:, self.inducing], self.reduce)


class Latent:
    """The latent functions of B texts, from their kernel rows [B, N]; each number computed once, when asked for."""

    def __init__(self, process: Process, rows: FloatArray) -> None:
        self.process = process
        self.rows = rows

    @cached_property
    def mean(self) -> FloatArray:
        """See `Process.mean`."""
        return self.process.mean(self.rows)

    @cached_property
    def variance(self) -> FloatArray:
        """See `Process.variance`."""
        return self.process.variance(self.rows)


@dataclass(frozen=True, slots=True)
class Fit:
    """A process and how its own training texts look from outside."""

    process: Process
    example_out: LeftOut
    intent_out: LeftOut


def fit_process(kernel: MultiViewKernel, views: Views, labels: IntArray, classes: int, noise: FloatArray) -> Fit:
    """Condition the prior on N labelled texts.

    Costs one factorisation of an [N, N] float32 matrix, held once, and that factor's inverse: 16,000 texts take 1 GB.

    Args:
        kernel: prior covariance.
        views: of N texts.
        labels: [N] integers below `classes`.
        classes: K.
        noise: [N] variance of each label.

    Raises:
        FloatingPointError: if the covariance cannot be factorised (a NaN in a view).
    """
    n = count(views)
    targets = np.zeros((n, classes), np.float32)
    targets[np.arange(n), labels] = 1
    matrix = kernel.gram(views)
    nearest_example, nearest_stranger = nearest(matrix, labels)
    exact = n <= FULL_VARIANCE
    inducing = np.arange(n) if exact else np.linspace(0, n - 1, INDUCING).astype(np.int64)
    across = None if exact else matrix[inducing]  # a copy: the matrix is factorised in its own memory
    matrix[np.diag_indices(n)] += noise
    root = factorised(matrix)
    alpha = np.ascontiguousarray(lapack.spotrs(root, targets, lower=1)[0])  # [N, K]
    half = inverted(root)
    reduce = np.ascontiguousarray(half) if across is None else sparse_factor(across, inducing, noise)
    process = Process(
        kernel=kernel,
        views=views,
        labels=labels,
        noise=noise,
        alpha=alpha,
        amplitude=float((targets * alpha).sum() / (n * classes)),
        reduce=reduce,
        inducing=inducing,
    )
    diagonal = np.array([np.vdot(column, column) for column in half.T])
    example_out = LeftOut(targets - alpha / diagonal[:, None], np.maximum(1 / diagonal - noise, 0), nearest_example)
    return Fit(process, example_out, leave_intents_out(half, alpha, targets, labels, noise, nearest_stranger))


def leave_intents_out(
    half: FloatArray, alpha: FloatArray, targets: FloatArray, labels: IntArray, noise: FloatArray, near: FloatArray
) -> LeftOut:
    """Each text as seen by a process without its whole intent; that intent's own column is -inf.

    Of the inverse, half^T half, only the intents' own blocks are needed.
    """
    mean, variance = np.empty_like(targets), np.empty_like(noise)
    for intent in np.unique(labels):
        rows = np.flatnonzero(labels == intent)
        columns = half.T[rows]
        block = np.linalg.inv((columns @ columns.T).astype(np.float64))
        mean[rows] = targets[rows] - block @ alpha[rows]
        variance[rows] = np.maximum(block.diagonal() - noise[rows], 0)
    mean[np.arange(len(labels)), labels] = -np.inf
    return LeftOut(mean, variance, near)


def nearest(matrix: FloatArray, labels: IntArray) -> tuple[FloatArray, FloatArray]:
    """For each text the highest covariance with another text, and with a text of another intent (0 if none): [N]."""
    n = len(labels)
    other, stranger = np.empty(n, np.float32), np.empty(n, np.float32)
    for i in range(n):
        row = matrix[i].copy()
        row[i] = 0.0
        other[i] = row.max()
        row[labels == labels[i]] = 0.0
        stranger[i] = row.max()
    return other, stranger


def factorised(matrix: FloatArray) -> FloatArray:
    """The lower Cholesky factor of a symmetric positive definite matrix, in its memory, column by column.

    Raises:
        FloatingPointError: if it is not positive definite, or holds a NaN.
    """
    root, failed = lapack.spotrf(matrix.T, lower=1, overwrite_a=1)
    if failed:
        raise FloatingPointError("the covariance of the training texts is not positive definite")
    if not np.isfinite(root.diagonal()).all():
        raise FloatingPointError("the covariance of the training texts holds a NaN")
    return root  # type: ignore[no-any-return]


def inverted(root: FloatArray) -> FloatArray:
    """The inverse X of a lower Cholesky factor, in its memory: X^T X is the inverse of what was factorised."""
    half: FloatArray = lapack.strtri(root, lower=1, overwrite_c=1)[0]
    return half


def sparse_factor(across: FloatArray, inducing: IntArray, noise: FloatArray) -> FloatArray:
    """`reduce` [M, M] of `Process` where some texts stand for all, from their covariances [M, N] with all.

    As in Titsias 2009 ("Variational Learning of Inducing Variables in Sparse Gaussian Processes"), who takes K_MM^-1
    off the variance and gives (K_MM + K_MN noise^-1 K_NM)^-1 back. With K_MM = L L^T and W = A A^T, where A is
    L^-1 K_MN noise^-1/2, both together are L^-T (1 - (1 + W)^-1) L^-1, in double precision for what cancels.
    """
    wide = across.astype(np.float64)
    root = cholesky(wide[:, inducing] + JITTER * np.eye(len(inducing)), lower=True)  # [M, M]
    wide = solve_triangular(root, wide, lower=True)  # [M, N]
    wide /= np.sqrt(noise)
    one = np.eye(len(inducing))
    lower, _ = lapack.dpotrf(wide @ wide.T + one, lower=1)
    given_back, _ = lapack.dpotri(lower, lower=1)  # its lower triangle, which is all that is read of it
    half, failed = lapack.dpotrf((1 + TINY) * one - given_back, lower=1)
    if failed:
        raise FloatingPointError("the covariance of the training texts is not positive definite")
    found: FloatArray = solve_triangular(root, half, lower=True, trans=1).T.astype(np.float32, order="C")
    return found
