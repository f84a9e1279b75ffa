"""A Dirichlet process mixture of Gaussians, by collapsed Gibbs sampling.

Neal 2000, "Markov Chain Sampling Methods for Dirichlet Process Mixture Models", algorithm 3. How many clusters there
are is not given but found. In the space of `dialogue.learning.space` the members of a cluster lie around its mean with
covariance I, and means around 0 with covariance diag(b); both are integrated out. So a cluster of n points with sum s
expects the next one from N(v s, 1 + v), v = b / (1 + n b), and a new cluster expects it from N(0, 1 + b). Some clusters
may stand from the start, with points of their own that do not move: the bot's intents. The concentration of the process
is sampled too (Escobar and West 1995, "Bayesian Density Estimation and Inference Using Mixtures", section 6).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
LOG_TAU = float(np.log(2 * np.pi))


@dataclass(frozen=True, slots=True)
class Known:
    """Clusters that stand from the start: `sums` [K, D] and `counts` [K] of their own points."""

    sums: Floats
    counts: Ints


@dataclass(frozen=True, slots=True)
class Clustering:
    """The most probable of the sampled partitions.

    Attributes:
        labels: [N] cluster of each point; below K the known ones, from K on new ones without a gap.
        together: [N] how often, over the kept samples, a point was with those it is with here: a probability.
        log_posterior: of the partition and its points, up to a constant, in nats.
    """

    labels: Ints
    together: Floats
    log_posterior: float


class Seats:
    """Who sits where: counts, sums and predictive means of the clusters, the known ones first.

    A known cluster counts as one customer of the restaurant, however many points it stands on: how often an intent was
    written down says nothing of how often it is asked.
    """

    def __init__(self, points: Floats, spread: Floats, known: Known) -> None:
        size, width = points.shape
        room = len(known.counts) + size
        self.points, self.spread, self.known = points, spread, len(known.counts)
        self.count = np.zeros(room, np.int64)  # points that move
        self.own = np.concatenate([known.counts, np.zeros(size, np.int64)])  # points that do not
        self.sums = np.concatenate([known.sums, np.zeros((size, width))])
        self.labels = np.full(size, -1, np.int64)

    def clusters(self) -> Ints:
        """The clusters that stand or are sat at."""
        return np.flatnonzero((self.own > 0) | (self.count > 0))

    def sit(self, point: int, cluster: int) -> None:
        """Put a point into a cluster."""
        self.labels[point] = cluster
        self.count[cluster] += 1
        self.sums[cluster] += self.points[point]

    def rise(self, point: int) -> None:
        """Take a point out of its cluster."""
        cluster = self.labels[point]
        self.labels[point] = -1
        self.count[cluster] -= 1
        self.sums[cluster] -= self.points[point]

    def weights(self, point: int, concentration: float) -> tuple[Ints, Floats]:
        """Clusters, the last one new, and the log weight of each for a point that stands."""
        x, taken = self.points[point], self.clusters()
        n = self.own[taken] + self.count[taken]
        v = self.spread / (1 + n[:, None] * self.spread)  # [C, D]
        customers = self.count[taken] + (taken < self.known)
        old = np.log(customers) + self._log_normal(x - v * self.sums[taken], 1 + v)
        new = np.log(concentration) + self._log_normal(x[None], (1 + self.spread)[None])
        free = int(np.flatnonzero((self.own == 0) & (self.count == 0))[0])
        return np.append(taken, free), np.concatenate([old, new])

    def merge(self, concentration: float) -> None:
        """Join two clusters as long as some pair is more probable as one, the best pair first; not two known ones.

        One point at a time, a cluster in two halves hardly ever grows together.
        """
        while True:
            taken = self.clusters()
            n, moving = self.own[taken] + self.count[taken], self.count[taken] + (taken < self.known)
            fresh = taken >= self.known
            alone = self._weight(self.sums[taken], n) + gammaln(moving) + np.log(concentration) * fresh
            pairs = self._weight(self.sums[taken][:, None] + self.sums[taken], n[:, None] + n)
            together = pairs + gammaln(moving[:, None] + moving) + np.log(concentration) * (fresh[:, None] & fresh)
            gain = together - alone[:, None] - alone
            gain[np.tril_indices(len(taken))] = -np.inf
            gain[np.ix_(~fresh, ~fresh)] = -np.inf
            into, gone = np.unravel_index(int(gain.argmax()), gain.shape) if len(taken) > 1 else (0, 0)
            if len(taken) < 2 or gain[into, gone] <= 0:
                return
            for point in np.flatnonzero(self.labels == taken[gone]).tolist():
                self.rise(point)
                self.sit(point, int(taken[into]))

    def log_posterior(self, concentration: float) -> float:
        """Log probability of partition and points, up to what does not depend on the partition."""
        taken = self.clusters()
        moving, own = self.count[taken], self.own[taken]
        fresh = taken >= self.known
        process = fresh.sum() * np.log(concentration) + gammaln(moving + ~fresh).sum()
        return float(process + (self._evidence(taken, own + moving) - self._evidence(taken, own, own_only=True)).sum())

    def _evidence(self, clusters: Ints, n: Ints, *, own_only: bool = False) -> Floats:
        """`_weight` of the clusters' points."""
        sums = self.sums[clusters]
        if own_only:
            moved = np.zeros_like(self.sums)
            np.add.at(moved, self.labels, self.points)
            sums = sums - moved[clusters]
        return self._weight(sums, n)

    def _weight(self, sums: Floats, n: Ints) -> Floats:
        """Log marginal likelihood of n points with such a sum, without the terms every partition has."""
        scale = 1 + n[..., None] * self.spread
        weight: Floats = 0.5 * (self.spread * sums**2 / scale - np.log(scale)).sum(axis=-1)
        return weight

    @staticmethod
    def _log_normal(difference: Floats, variance: Floats) -> Floats:
        density: Floats = -0.5 * (LOG_TAU + np.log(variance) + difference**2 / variance).sum(axis=-1)
        return density


def cluster(
    points: Floats, spread: Floats, known: Known, *, sweeps: int = 30, concentration: float | None = None, seed: int = 0
) -> Clustering:
    """Sample partitions; keep the most probable.

    Args:
        points: [N, D], see the module.
        spread: [D] the variance b of cluster means.
        known: clusters that stand from the start.
        sweeps: over all points; the first third is not kept.
        concentration: of the Dirichlet process; None to sample it too, under a Gamma(1, 1) prior.
        seed: of the sampler.
    """
    rng = np.random.default_rng(seed)
    seats, alpha = Seats(points, spread, known), concentration or 1.0
    for point in rng.permutation(len(points)):
        move(seats, point, alpha, rng)
    best, found = -np.inf, seats.labels.copy()
    kept: list[Ints] = []
    for sweep in range(sweeps):
        for point in rng.permutation(len(points)):
            seats.rise(point)
            move(seats, point, alpha, rng)
        if concentration is None:
            fresh = int((seats.clusters() >= seats.known).sum())
            alpha = sampled_concentration(alpha, len(points) + seats.known, fresh + seats.known, rng)
        if sweep < sweeps // 3:
            seats.merge(alpha)
        else:
            kept.append(seats.labels.copy())
        if (score := seats.log_posterior(alpha)) > best:
            best, found = score, seats.labels.copy()
    for point in range(len(points)):
        seats.rise(point)
        seats.sit(point, int(found[point]))
    seats.merge(alpha)
    found, best = seats.labels.copy(), seats.log_posterior(alpha)
    return Clustering(renumbered(found, seats.known), companionship(found, kept), best)


def move(seats: Seats, point: int, concentration: float, rng: np.random.Generator) -> None:
    """Sit a standing point somewhere, by the weights."""
    clusters, log_weights = seats.weights(point, concentration)
    share = np.exp(log_weights - log_weights.max())
    seats.sit(point, int(clusters[np.searchsorted(np.cumsum(share), rng.random() * share.sum())]))


def sampled_concentration(alpha: float, points: int, clusters: int, rng: np.random.Generator) -> float:
    """A draw of the concentration given so many clusters, under a Gamma(1, 1) prior."""
    eta = rng.beta(alpha + 1, points)
    rate = 1 - np.log(eta)
    odds = clusters / (points * rate)
    shape = 1 + clusters - (rng.random() >= odds / (1 + odds))
    return float(rng.gamma(shape, 1 / rate))


def renumbered(labels: Ints, known: int) -> Ints:
    """The same partition with new clusters numbered from `known` on, the largest first."""
    fresh, sizes = np.unique(labels[labels >= known], return_counts=True)
    number = {int(old): known + place for place, old in enumerate(fresh[np.argsort(-sizes, kind="stable")])}
    return np.array([number.get(int(label), int(label)) for label in labels], np.int64)


def companionship(labels: Ints, samples: list[Ints]) -> Floats:
    """For each point the mean share, over the samples, of its companions here it is together with; 1 when alone."""
    mates = labels[:, None] == labels[None]
    np.fill_diagonal(mates, False)
    met = np.zeros(len(labels))
    for sample in samples:
        met += ((sample[:, None] == sample[None]) & mates).sum(axis=1)
    others = mates.sum(axis=1)
    return np.where(others > 0, met / np.maximum(others * max(1, len(samples)), 1), 1.0)
