"""Clusters of unknown number: against every partition there is, and on clusters that were planted."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from dialogue.learning.mixture import Known, Seats, cluster, companionship, move, renumbered, sampled_concentration

NONE = Known(np.zeros((0, 2)), np.zeros(0, np.int64))
SPREAD = np.array([4.0, 2.0])
POINTS = np.array([[2.0, 0.5], [2.4, 0.1], [-1.0, 0.3], [-0.4, -0.5], [0.6, 1.5]])


def partitions(size):
    """Every partition of so many points, as labels in order of first appearance."""
    for labels in product(range(size), repeat=size):
        if all(label <= max(labels[:place], default=-1) + 1 for place, label in enumerate(labels)):
            yield labels


def log_joint(labels, points, concentration, known=()):
    """Chinese restaurant times the exact Gaussian marginal of every cluster; `known` lists points that stand first."""
    total, seated = 0.0, dict.fromkeys(range(-len(known), 0), 1)
    for label in labels:
        total += np.log(seated.get(label, 0) or concentration)
        seated[label] = seated.get(label, 0) + 1
    for label in set(labels) | set(range(-len(known), 0)):
        own = known[label + len(known)] if label < 0 else np.zeros((0, points.shape[1]))
        own = np.atleast_2d(own).reshape(-1, points.shape[1])
        members = np.concatenate([own, points[[one == label for one in labels]]])
        for d in range(points.shape[1]):
            for part, sign in ((members, 1), (own, -1)):
                if len(part):
                    covariance = np.eye(len(part)) + SPREAD[d] * np.ones((len(part), len(part)))
                    total += sign * multivariate_normal.logpdf(part[:, d], np.zeros(len(part)), covariance)
    return total


def canonical(labels):
    seen = {}
    return tuple(seen.setdefault(int(label), len(seen)) for label in labels)


def sampled(points, known, concentration, sweeps, rng):
    seats = Seats(points, SPREAD, known)
    for point in range(len(points)):
        move(seats, point, concentration, rng)
    for _ in range(sweeps):
        for point in range(len(points)):
            seats.rise(point)
            move(seats, point, concentration, rng)
        yield seats


def test_the_sampler_visits_every_partition_as_often_as_it_should():
    exact = {labels: log_joint(labels, POINTS, 0.7) for labels in partitions(5)}
    top = max(exact.values())
    weights = {labels: np.exp(value - top) for labels, value in exact.items()}
    total = sum(weights.values())
    counts = dict.fromkeys(exact, 0)
    sweeps = 12_000
    for seats in sampled(POINTS, NONE, 0.7, sweeps, np.random.default_rng(0)):
        counts[canonical(seats.labels)] += 1
    assert max(abs(counts[labels] / sweeps - weights[labels] / total) for labels in exact) < 0.015


def test_partitions_are_scored_by_their_joint_probability():
    ours, exact = {}, {}
    for seats in sampled(POINTS, NONE, 0.7, 200, np.random.default_rng(1)):
        labels = canonical(seats.labels)
        ours[labels], exact[labels] = seats.log_posterior(0.7), log_joint(labels, POINTS, 0.7)
    first = next(iter(ours))
    assert len(ours) > 5
    for labels in ours:
        assert ours[labels] - ours[first] == pytest.approx(exact[labels] - exact[first], abs=1e-9)


def test_known_clusters_take_part_with_points_of_their_own():
    own = (np.array([[2.1, 0.4], [1.9, 0.2], [2.2, 0.6]]), np.array([[-5.0, -3.0]]))
    known = Known(np.stack([part.sum(axis=0) for part in own]), np.array([3, 1]))
    ours, exact = {}, {}
    for seats in sampled(POINTS, known, 0.7, 300, np.random.default_rng(2)):
        fresh = canonical([label for label in seats.labels if label >= 2])
        new = iter(fresh)
        labels = tuple(int(label) - 2 if label < 2 else next(new) for label in seats.labels)
        ours[labels], exact[labels] = seats.log_posterior(0.7), log_joint(labels, POINTS, 0.7, own)
    first = next(iter(ours))
    for labels in ours:
        assert ours[labels] - ours[first] == pytest.approx(exact[labels] - exact[first], abs=1e-9)


def planted(rng, clusters, size, width=8):
    spread = np.full(width, 9.0)
    truth = np.repeat(np.arange(clusters), size)
    means = rng.normal(0, 3, (clusters, width))
    return means[truth] + rng.normal(0, 1, (len(truth), width)), truth, spread


def test_planted_clusters_are_found_without_being_told_how_many():
    from sklearn.metrics import adjusted_rand_score

    points, truth, spread = planted(np.random.default_rng(3), 12, 15)
    found = cluster(points, spread, Known(np.zeros((0, 8)), np.zeros(0, np.int64)), seed=4)
    assert adjusted_rand_score(truth, found.labels) > 0.95
    assert set(found.labels) == set(range(found.labels.max() + 1))
    assert found.together.mean() > 0.9


def test_points_of_a_known_cluster_go_there():
    rng = np.random.default_rng(5)
    points, truth, spread = planted(rng, 4, 10)
    known = Known(points[:5].sum(axis=0)[None], np.array([5]))
    found = cluster(points[5:], spread, known, seed=0)
    assert set(found.labels[truth[5:] == 0]) == {0}
    assert 0 not in found.labels[truth[5:] > 0]


def test_the_same_seed_gives_the_same_clusters():
    points, _, spread = planted(np.random.default_rng(6), 3, 6)
    nothing = Known(np.zeros((0, 8)), np.zeros(0, np.int64))
    first, second = (cluster(points, spread, nothing, seed=1) for _ in range(2))
    assert np.array_equal(first.labels, second.labels)


def test_the_concentration_follows_the_number_of_clusters():
    rng = np.random.default_rng(7)

    def mean(clusters):
        alpha, draws = 1.0, []
        for _ in range(3000):
            alpha = sampled_concentration(alpha, 200, clusters, rng)
            draws.append(alpha)
        return np.mean(draws)

    # Against the posterior on a grid: p(alpha | k) ~ alpha^k Gamma(alpha) / Gamma(alpha + n) * exp(-alpha).
    from scipy.special import gammaln

    grid = np.linspace(1e-3, 60, 60_000)
    for clusters in (3, 30):
        log_p = clusters * np.log(grid) + gammaln(grid) - gammaln(grid + 200) - grid
        p = np.exp(log_p - log_p.max())
        assert mean(clusters) == pytest.approx((grid * p).sum() / p.sum(), rel=0.06)


def test_new_clusters_are_numbered_by_size_and_companions_counted():
    labels = renumbered(np.array([1, 7, 7, 7, 5, 0]), 2)
    assert labels.tolist() == [1, 2, 2, 2, 3, 0]
    together = companionship(np.array([0, 0, 1]), [np.array([0, 0, 0]), np.array([0, 1, 1])])
    assert together.tolist() == [0.5, 0.5, 1.0]


def test_halves_of_one_cluster_are_joined_and_different_ones_are_not():
    points, truth, spread = planted(np.random.default_rng(8), 3, 12)
    seats = Seats(points, spread, Known(np.zeros((0, 8)), np.zeros(0, np.int64)))
    for point in range(len(points)):
        seats.sit(point, 2 * int(truth[point]) + point % 2)
    before = seats.log_posterior(1.0)
    seats.merge(1.0)
    assert canonical(seats.labels) == canonical(truth)
    assert seats.log_posterior(1.0) > before


def test_what_merging_gains_is_what_the_posterior_gains():
    seats = Seats(POINTS, SPREAD, NONE)
    for point, label in enumerate((0, 1, 2, 2, 3)):
        seats.sit(point, label)
    start, known = seats.log_posterior(0.7), log_joint((0, 1, 2, 2, 3), POINTS, 0.7)
    seats.merge(0.7)
    assert seats.log_posterior(0.7) - start == pytest.approx(log_joint(canonical(seats.labels), POINTS, 0.7) - known)


def test_known_clusters_are_never_joined():
    known = Known(np.tile(POINTS[0], (2, 1)), np.array([1, 1]))
    seats = Seats(POINTS[:1], SPREAD, known)
    seats.sit(0, 2)
    seats.merge(0.7)
    assert set(seats.clusters()) >= {0, 1}
