"""Draws from the posterior of Gaussian classes: means and covariances, as far as one text can see them.

Sigma_k^-1 = L^-T Lambda L^-1 with Psi = L L^T and Lambda ~ Wishart(nu, identity), which is A A^T with a lower triangle
A of standard normals and, on its diagonal, roots of chi-square with nu, nu - 1, ... degrees of freedom (Bartlett's
decomposition; Murphy 2007, section 8). With u = L^-1 (z - m_k) and mu_k drawn around m_k, what a text z sees of a draw
is log |Lambda| / 2 - |A^T u - e / sqrt(kappa_k)|^2 / 2, with e standard normal. Two things make that cheap and keep it
exact for each text:

* the normal e matters by its part along A^T u, which is a standard normal, and by the square of the rest, chi-square
  with D - 1 degrees of freedom;
* where each class has a covariance of its own, A may be turned so that u lies along its first axis: A^T u is |u| times
  the first number of the diagonal. Where they share one, all distances are taken with the same A; `FACTORS` of them
  serve the S draws of the means in turn.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dialogue.posterior.gaussian import Array, Gaussians, distances, log_determinants
from dialogue.posterior.kernel import FloatArray

FACTORS = 16
MEANS, REST, COVARIANCES = 0, 1, 2  # streams of random numbers


class Draws:
    """S draws, the same on every call: log likelihoods of the classes, around their mean.

    Attributes:
        roots: L^-1 [G, D, D].
    """

    def __init__(self, known: Gaussians, samples: int, seed: int) -> None:
        self.known, self.samples, self.seed = known, samples, seed
        self.roots = known.roots()
        d = known.dimension
        self._along = self.by_class(MEANS, lambda rng: mirrored(rng, samples))
        self._rest = self.by_class(REST, lambda rng: rng.chisquare(d - 1, samples) if d > 1 else np.zeros(samples))
        if known.shared:
            self._factors = bartlett(float(known.freedom[0]), d, min(FACTORS, samples), seed)
            self._root = self.roots[0].astype(np.float32)
            self._origin = known.means.mean(axis=0)
            centres = (known.means - self._origin).astype(np.float32) @ self._root.T  # [K, D]
            self._centres = centres @ self._factors  # [R, K, D]
            self._lengths = np.square(self._centres).sum(axis=2)  # [R, K]
            return
        self._determinants = (-0.5 * log_determinants(self.roots)).astype(np.float32)
        logs = np.zeros((samples, len(known.counts)), np.float32)
        first = np.ones_like(logs)
        for k, freedom in enumerate(known.freedom):
            squares = np.random.default_rng([seed, COVARIANCES, k]).chisquare(freedom - np.arange(d), (samples, d))
            first[:, k], logs[:, k] = squares[:, 0], 0.5 * np.log(squares).sum(axis=1)
        self._first, self._logs = first, logs

    def by_class(self, stream: int, made: Callable[[np.random.Generator], Array]) -> FloatArray:
        """Numbers [S, K], each class from a stream of its own: one more class changes none."""
        columns = [made(np.random.default_rng([self.seed, stream, k])) for k in range(len(self.known.counts))]
        return np.stack(columns, axis=1).astype(np.float32)

    def log_likelihoods(self, vectors: Array) -> FloatArray:
        """Logarithms [S, B, K] of N(z; mu_k, Sigma_k) at vectors [B, D], up to a constant of the draw."""
        certainty = self.known.certainty.astype(np.float32)
        if self.known.shared:
            lengths = np.sqrt(self.quadratic(vectors))[np.arange(self.samples) % len(self._factors)]
        else:
            squares = distances(self.known, self.roots, vectors).astype(np.float32)
            lengths = np.sqrt(squares[None] * self._first[:, None])
        lengths -= (self._along / np.sqrt(certainty))[:, None]
        found: FloatArray = np.float32(-0.5) * (np.square(lengths) + (self._rest / certainty)[:, None])
        if not self.known.shared:
            found += (self._logs + self._determinants)[:, None]
        return found

    def quadratic(self, vectors: Array) -> FloatArray:
        """u^T Lambda u [R, B, K] for each factor of the shared covariance."""
        turned = (vectors - self._origin).astype(np.float32) @ self._root.T @ self._factors  # [R, B, D]
        across = turned @ self._centres.transpose(0, 2, 1)
        squares = np.square(turned).sum(axis=2)[:, :, None] - 2 * across + self._lengths[:, None]
        return np.maximum(squares, 0)  # type: ignore[no-any-return]

    def __call__(self, vectors: Array) -> FloatArray:
        """Deviations [S, B, K] of the log likelihoods from their mean over the draws."""
        found = self.log_likelihoods(vectors)
        found -= found.mean(axis=0)
        return found


def mirrored(rng: np.random.Generator, count: int) -> Array:
    """Standard normals and their mirror images, so that their mean is zero; with an odd count one is zero itself."""
    half = rng.standard_normal(count // 2)
    return np.concatenate([half, -half, np.zeros(count % 2)])


def bartlett(freedom: float, dimension: int, count: int, seed: int) -> FloatArray:
    """Lower triangles A [count, D, D] with A A^T ~ Wishart(freedom, identity)."""
    rng = np.random.default_rng([seed, COVARIANCES])
    lower = np.tril(rng.standard_normal((count, dimension, dimension), np.float32), -1)
    axis = np.arange(dimension)
    lower[:, axis, axis] = np.sqrt(rng.chisquare(freedom - axis, (count, dimension)))
    return lower
