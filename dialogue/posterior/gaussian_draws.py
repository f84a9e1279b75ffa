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

from collections.abc import Iterable, Iterator
from copy import copy

import numpy as np

from dialogue.posterior.gaussian import Array, Gaussians, distances, log_determinants, root
from dialogue.posterior.kernel import FloatArray

FACTORS = 16
MEANS, REST, COVARIANCES = 0, 1, 2  # streams of random numbers


class Draws:
    """S draws, the same on every call: log likelihoods of the classes, around their mean.

    Attributes:
        known: the posterior they are drawn from.
        roots: L^-1 [D, D] of each covariance.
    """

    def __init__(self, known: Gaussians, samples: int, seed: int) -> None:
        self.known, self.samples, self.seed = known, samples, seed
        classes, d = len(known.counts), known.dimension
        self.roots = known.roots()
        self._along = columns(mirrored(rng, samples) for rng in streams(seed, MEANS, classes))
        self._rest = columns(chi_square(rng, d - 1, samples) for rng in streams(seed, REST, classes))
        if known.shared:
            self.share()
        else:
            drawn = [self.covariance(k) for k in range(classes)]
            self._first, self._logs = (columns(one[part] for one in drawn) for part in (0, 1))

    def share(self) -> None:
        """The factors of the one covariance, and where they take the means."""
        known = self.known
        self._factors = bartlett(float(known.freedom[0]), known.dimension, min(FACTORS, self.samples), self.seed)
        self._root = self.roots[0].astype(np.float32)
        self._origin = known.means.mean(axis=0)
        centres = (known.means - self._origin).astype(np.float32) @ self._root.T  # [K, D]
        self._centres = centres @ self._factors  # [R, K, D]
        self._lengths = np.square(self._centres).sum(axis=2)  # [R, K]

    def covariance(self, k: int) -> tuple[Array, Array]:
        """Of class k's own: the square of the first number of A's diagonal [S], and log |Sigma_k^-1| / 2 [S]."""
        d, rng = self.known.dimension, np.random.default_rng([self.seed, COVARIANCES, k])
        squares = rng.chisquare(self.known.freedom[k] - np.arange(d), (self.samples, d))
        return squares[:, 0], 0.5 * np.log(squares).sum(axis=1) - 0.5 * log_determinants(self.roots[k : k + 1])[0]

    def learned(self, known: Gaussians, label: int) -> Draws:
        """What `Draws(known, ...)` would be, where only class `label` has changed or is new at the end."""
        found, before = copy(self), len(self.known.counts)
        found.known = known
        if label == before:
            rest = chi_square(np.random.default_rng([self.seed, REST, label]), known.dimension - 1, self.samples)
            along = mirrored(np.random.default_rng([self.seed, MEANS, label]), self.samples)
            found._along, found._rest = exchanged(self._along, label, along), exchanged(self._rest, label, rest)
        if known.shared:
            found.roots = known.roots()
            found.share()
            return found
        found.roots = [*self.roots[:label], root(known.scale[label]), *self.roots[label + 1 :]]
        first, logs = found.covariance(label)
        found._first, found._logs = (exchanged(old, label, x) for old, x in ((self._first, first), (self._logs, logs)))
        return found

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
            found += self._logs[:, None]
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


def streams(seed: int, what: int, classes: int) -> Iterator[np.random.Generator]:
    """A stream of random numbers for each class: one more class changes none of the others'."""
    return (np.random.default_rng([seed, what, k]) for k in range(classes))


def columns(made: Iterable[Array]) -> FloatArray:
    """Numbers [S] of each class side by side: [S, K]."""
    return np.stack(list(made), axis=1).astype(np.float32)


def exchanged(old: FloatArray, label: int, column: Array) -> FloatArray:
    """Numbers [S, K] with the column of a class exchanged, or put at the end."""
    return np.concatenate([old[:, :label], column[:, None].astype(np.float32), old[:, label + 1 :]], axis=1)


def chi_square(rng: np.random.Generator, freedom: int, count: int) -> Array:
    """Chi-square numbers [count]; none of freedom is zero."""
    return rng.chisquare(freedom, count) if freedom > 0 else np.zeros(count)


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
