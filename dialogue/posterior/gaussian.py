"""Gaussian classes with unknown means and covariance under the conjugate prior, all in closed form.

z | class k ~ N(mu_k, Sigma), mu_k | Sigma ~ N(m, Sigma / kappa), Sigma ~ inverse Wishart(nu, Psi): the
Normal-inverse-Wishart (Murphy 2007, "Conjugate Bayesian analysis of the Gaussian distribution", section 9; Murphy 2012,
"Machine Learning: A Probabilistic Perspective", section 4.6.3). One Sigma for all classes, or one each. After the
vectors of class k, which count n_k in all,

* kappa_k = kappa + n_k, and m_k is the mean of m (counting kappa) and the vectors;
* each vector that counts w adds w to nu and w kappa_k / (kappa_k + w) (z - m_k)(z - m_k)^T to Psi, with what kappa_k
  and m_k were before it: the update that learns one more, and taken off again the one that leaves one out;
* the predictive density of class k is a multivariate Student t around m_k with f = nu - D + 1 degrees of freedom and
  the scale Psi (kappa_k + 1) / (kappa_k f). A class without vectors has the prior's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.special import gammaln

from dialogue.posterior.kernel import IntArray

Array: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Gaussians:
    """K classes in D dimensions, and what is known of them. With counts of zero it is the prior itself.

    Attributes:
        strength: kappa, how many vectors the prior mean counts for.
        counts: n [K], how many vectors each class has; a hint counts for less than one.
        means: m_k [K, D].
        scale: Psi [G, D, D], G = 1 for one covariance or K for one a class.
        freedom: nu [G].
    """

    strength: float
    counts: Array
    means: Array
    scale: Array
    freedom: Array

    @property
    def dimension(self) -> int:
        """D."""
        return int(self.means.shape[1])

    @property
    def shared(self) -> bool:
        """Whether all classes have one covariance."""
        return len(self.scale) == 1

    @property
    def certainty(self) -> Array:
        """kappa_k [K]: how many vectors each mean counts for."""
        return self.strength + self.counts

    def learn(self, vector: Array, label: int, weight: float = 1.0) -> Gaussians:
        """After one more vector [D] of class `label`, which counts `weight`."""
        group = 0 if self.shared else label
        kappa = self.certainty[label]
        away = vector - self.means[label]
        counts, means, scale, freedom = (a.copy() for a in (self.counts, self.means, self.scale, self.freedom))
        counts[label] += weight
        means[label] += away * (weight / (kappa + weight))
        scale[group] += (weight * kappa / (kappa + weight)) * np.outer(away, away)
        freedom[group] += weight
        return replace(self, counts=counts, means=means, scale=scale, freedom=freedom)

    def learn_all(self, vectors: Array, labels: IntArray, weights: Array) -> Gaussians:
        """After vectors [N, D] of classes [N], which count `weights` [N]: what `learn` gives one by one."""
        k = len(self.counts)
        share = np.zeros((k, len(labels)))
        share[labels, np.arange(len(labels))] = weights
        added = share.sum(axis=1)
        sums = share @ vectors
        certainty = self.certainty + added
        means = (self.certainty[:, None] * self.means + sums) / certainty[:, None]
        centres = sums / np.maximum(added, 1e-300)[:, None]
        within = (vectors - centres[labels]) * np.sqrt(weights)[:, None]
        between = (centres - self.means) * np.sqrt(self.certainty * added / certainty)[:, None]
        if self.shared:
            scale = self.scale + within.T @ within + between.T @ between
            return replace(
                self, counts=self.counts + added, means=means, scale=scale, freedom=self.freedom + added.sum()
            )
        scale = self.scale + between[:, :, None] * between[:, None, :]
        for label in np.unique(labels):
            own = within[labels == label]
            scale[label] += own.T @ own
        return replace(self, counts=self.counts + added, means=means, scale=scale, freedom=self.freedom + added)

    def first(self) -> Gaussians:
        """The first class alone."""
        return replace(
            self, counts=self.counts[:1], means=self.means[:1], scale=self.scale[:1], freedom=self.freedom[:1]
        )

    def grown(self, prior: Gaussians) -> Gaussians:
        """With one more class at the end, of which nothing is known but `prior`."""
        counts, means = np.append(self.counts, 0.0), np.concatenate([self.means, prior.means])
        if self.shared:
            return replace(self, counts=counts, means=means)
        scale, freedom = np.concatenate([self.scale, prior.scale]), np.concatenate([self.freedom, prior.freedom])
        return replace(self, counts=counts, means=means, scale=scale, freedom=freedom)

    def roots(self) -> list[Array]:
        """For each covariance L^-1 [D, D] with L L^T = Psi: u^T Psi^-1 u is the squared length of L^-1 u."""
        return [root(psi) for psi in self.scale]


def root(psi: Array) -> Array:
    """L^-1 [D, D] with L L^T = Psi."""
    found: Array = solve_triangular(np.linalg.cholesky(psi), np.eye(len(psi)), lower=True)
    return found


def distances(known: Gaussians, roots: Sequence[Array], vectors: Array) -> Array:
    """u^T Psi^-1 u [B, K] with u = z_b - m_k, not below zero."""
    if known.shared:
        turned, centres = vectors @ roots[0].T, known.means @ roots[0].T
        squares = (turned**2).sum(axis=1)[:, None] - 2 * turned @ centres.T + (centres**2).sum(axis=1)[None]
        return np.maximum(squares, 0)  # type: ignore[no-any-return]
    return np.stack(
        [(((vectors - mean) @ root.T) ** 2).sum(axis=1) for mean, root in zip(known.means, roots, strict=True)], axis=1
    )


def log_density(known: Gaussians, roots: Sequence[Array], vectors: Array) -> Array:
    """Log predictive density [B, K] of each class at vectors [B, D]: multivariate Student t."""
    squares = distances(known, roots, vectors)
    return log_student(squares, log_determinants(roots), known.certainty, known.freedom, known.dimension)


def log_determinants(roots: Sequence[Array]) -> Array:
    """The logarithm of |Psi|, [G]."""
    return np.array([-2 * np.log(inverse.diagonal()).sum() for inverse in roots])


def log_student(squares: Array, determinant: Array, certainty: Array, freedom: Array, dimension: int) -> Array:
    """Log t from u^T Psi^-1 u, log |Psi|, kappa_k and nu, all of shapes that go together."""
    d, f = dimension, freedom - dimension + 1
    grown = (certainty + 1) / certainty
    volume = 0.5 * (d * np.log(np.pi * grown) + determinant)
    return gammaln((f + d) / 2) - gammaln(f / 2) - volume - (f + d) / 2 * np.log1p(squares / grown)  # type: ignore[no-any-return]


def left_out(known: Gaussians, vectors: Array, labels: IntArray, weights: Array) -> Array:
    """Log predictive density [N, K] of each class at each of the vectors known, by all the others but itself.

    Leaving out z, which counts w, takes a v v^T off Psi, with v = z - m_k and a = w kappa_k / (kappa_k - w): Sherman
    and Morrison's formula has the inverse, the determinant lemma the determinant.
    """
    rows, roots = np.arange(len(labels)), known.roots()
    group = np.zeros_like(labels) if known.shared else labels
    kappa = known.certainty[labels]
    a = weights * kappa / (kappa - weights)
    before = (kappa[:, None] * known.means[labels] - weights[:, None] * vectors) / (kappa - weights)[:, None]
    own = np.empty_like(vectors)  # L^-1 v
    moved = np.empty_like(vectors)  # L^-1 (z - the mean of its class without it)
    for g in np.unique(group):
        at = group == g
        own[at] = (vectors[at] - known.means[labels[at]]) @ roots[g].T
        moved[at] = (vectors[at] - before[at]) @ roots[g].T
    length = (own**2).sum(axis=1)
    rest = np.maximum(1 - a * length, 1e-12)  # above zero but for rounding: Psi without z is positive definite
    determinants = log_determinants(roots)
    squares = distances(known, roots, vectors)
    across = (moved * own).sum(axis=1)
    downdated = (moved**2).sum(axis=1) + a * across**2 / rest
    certainty = np.broadcast_to(known.certainty, squares.shape).copy()
    certainty[rows, labels] -= weights
    freedom = np.broadcast_to(known.freedom, squares.shape).copy()
    determinant = np.broadcast_to(determinants, squares.shape).copy()
    if known.shared:
        turned, centres = vectors @ roots[0].T, known.means @ roots[0].T
        inner = (turned * own).sum(axis=1)[:, None] - own @ centres.T
        squares = squares + (a / rest)[:, None] * inner**2
        freedom -= weights[:, None]
        determinant += np.log(rest)[:, None]
    else:
        freedom[rows, labels] -= weights
        determinant[rows, labels] += np.log(rest)
    squares[rows, labels] = downdated
    return log_student(squares, determinant, certainty, freedom, known.dimension)


def uninformed(
    classes: int, mean: Array, variance: float, *, strength: float, confidence: float, covariances: int
) -> Gaussians:
    """The prior itself, before any vector.

    Args:
        classes: K.
        mean: m [D].
        variance: of every coordinate, expected within a class.
        strength: kappa, how many vectors `mean` counts for.
        confidence: how many vectors `variance` counts for.
        covariances: G, 1 or K.
    """
    d = len(mean)
    return Gaussians(
        strength,
        np.zeros(classes),
        np.tile(mean, (classes, 1)),
        np.tile(confidence * variance * np.eye(d), (covariances, 1, 1)),
        np.full(covariances, d + 1 + confidence),  # so that the mean of the inverse Wishart is `variance`
    )
