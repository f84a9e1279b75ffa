"""The posteriors over weights without a closed form, against brute-force quadrature and textbook Gaussians."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

import dialogue.posterior.mcmc as mcmc_module
from dialogue.posterior.descent import descend
from dialogue.posterior.diagnostics import effective_sample_size, split_r_hat
from dialogue.posterior.ensemble import Draws, EnsemblePosterior
from dialogue.posterior.last_layer import Lesson
from dialogue.posterior.mc_dropout import DropoutPosterior, Masked, dropout_penalty
from dialogue.posterior.mcmc import McmcPosterior, Target, hamiltonian
from dialogue.posterior.softmax_map import Regression
from dialogue.posterior.variational import Family, VariationalPosterior
from tests.dialogue.toys import labelled, rows_of

Array = Any


def lesson(features: Array, labels: Array, classes: int, precision: float) -> Lesson:
    regression = Regression(features.astype(np.float32), labels, classes)
    factor = np.eye(features.shape[1], dtype=np.float32)
    return Lesson(regression, features.astype(np.float32), precision, regression.fit(precision), factor)


@cache
def two_weights() -> Lesson:
    """One feature, two intents that are often confused: a posterior of two weights, so that it can be integrated."""
    rng = np.random.default_rng(0)
    labels = labelled(2, 12)
    return lesson((np.where(labels, 0.5, -0.5) + rng.standard_normal(24))[:, None], labels, 2, 0.5)


@cache
def quadrature() -> tuple[Array, Array]:
    """Points of a fine grid over both weights [G, 2] and their posterior masses [G], float64."""
    taught = two_weights()
    axis = np.linspace(-7, 7, 401)
    points = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    log_p = -0.25 * (points**2).sum(axis=1)  # precision 0.5
    for x, label in zip(taught.features[:, 0].astype(float), taught.labels, strict=True):
        log_p += log_softmax(x * points, axis=1)[:, label]
    mass = np.exp(log_p - log_p.max())
    return points, mass / mass.sum()


def moments(function: Callable[[Array], Array]) -> tuple[Array, Array]:
    """Mean and deviation of a function of the weights under the posterior."""
    points, mass = quadrature()
    values = function(points)
    mean = (mass[:, None] * values).sum(axis=0)
    return mean, np.sqrt((mass[:, None] * (values - mean) ** 2).sum(axis=0))


NEW = np.array([[1.0], [-2.0], [0.3]], np.float32)


def exact() -> tuple[Array, Array]:
    """Mean and deviation of the difference of the two logits at `NEW`, and so of the log odds."""
    return moments(lambda w: (w[:, :1] - w[:, 1:]) * NEW[:, 0].astype(float))


def odds(found: tuple[Array, Array]) -> tuple[Array, Array]:
    draws = found[0][None] + found[1]
    difference = draws[:, :, 0] - draws[:, :, 1]
    return difference.mean(axis=0), difference.std(axis=0)


def test_hmc_has_the_moments_of_the_quadrature(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mcmc_module, "KEPT", 1000)
    monkeypatch.setattr(mcmc_module, "MOST_DRAWS", 4000)
    found = McmcPosterior().approximate(two_weights(), samples=4000, seed=0)
    mean, deviation = odds(found.logits(NEW))
    assert np.allclose(mean, exact()[0], atol=0.1 * exact()[1].max())
    assert np.allclose(deviation, exact()[1], rtol=0.08)
    notes = found.notes()
    assert notes["r_hat"] < 1.02
    assert notes["effective_sample_size"] > 400
    assert 0.6 < notes["accepted"] < 0.99


def test_sghmc_is_close_to_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mcmc_module, "KEPT", 250)
    monkeypatch.setattr(mcmc_module, "MOST_DRAWS", 1000)
    mean, deviation = odds(McmcPosterior("sghmc").approximate(two_weights(), samples=1000, seed=0).logits(NEW))
    assert np.allclose(mean, exact()[0], atol=0.3 * exact()[1].max())
    assert np.allclose(deviation, exact()[1], rtol=0.25)


def test_the_energy_has_its_gradient_and_a_batch_is_right_on_average() -> None:
    labels = labelled(3, 5)
    taught = lesson(rows_of(labels, 4, 1.0, 0), labels, 3, 0.2)
    outputs = np.linalg.qr(np.random.default_rng(1).standard_normal((3, 3)))[0].astype(np.float32)
    deviation = np.random.default_rng(2).uniform(0.5, 2, (4, 3)).astype(np.float32)
    target = Target(taught.regression.rotated, labels, outputs, deviation, 0.2)
    z = np.random.default_rng(3).standard_normal((4, 3)).astype(np.float32)
    gradient = target.energy(z)[1]
    for place in np.ndindex(4, 3):
        step = np.zeros((4, 3), np.float32)
        step[place] = 1e-2
        slope = (target.energy(z + step)[0] - target.energy(z - step)[0]) / 2e-2
        assert gradient[place] == pytest.approx(slope, abs=2e-2)
    batches = np.mean([target.batch_gradient(z, np.arange(15)[i::3]) for i in range(3)], axis=0)
    assert np.allclose(batches, gradient, atol=1e-3)


def test_hamiltonian_draws_a_gaussian_of_known_scales() -> None:
    scales = np.array([0.3, 1.0, 2.0], np.float32)

    def energy(z: Array) -> tuple[float, Array]:
        return 0.5 * float(((z / scales) ** 2).sum()), z / scales**2

    run = hamiltonian(energy, np.zeros(3, np.float32), 300, 4000, np.random.default_rng(0))
    draws = np.stack([z for z, _, _ in run])
    assert np.allclose(draws.std(axis=0), scales, rtol=0.12)
    assert np.abs(draws.mean(axis=0) / scales).max() < 0.15


def test_chains_that_never_met_have_a_large_r_hat() -> None:
    rng = np.random.default_rng(0)
    chains = rng.standard_normal((4, 200))
    assert split_r_hat(chains) == pytest.approx(1, abs=0.02)
    assert split_r_hat(chains + 3 * np.arange(4)[:, None]) > 2
    drifting = chains + np.linspace(0, 5, 200)
    assert split_r_hat(drifting) > 1.3
    assert split_r_hat(np.ones((2, 8))) == 1
    with pytest.raises(ValueError, match="chains of 3 draws"):
        split_r_hat(np.ones((2, 3)))


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_the_effective_size_of_an_autoregression_is_the_textbook_s(correlation: float) -> None:
    rng = np.random.default_rng(0)
    chains = rng.standard_normal((4, 5000))
    for t in range(1, 5000):
        chains[:, t] = correlation * chains[:, t - 1] + np.sqrt(1 - correlation**2) * chains[:, t]
    expected = 20_000 * (1 - correlation) / (1 + correlation)
    assert effective_sample_size(chains) == pytest.approx(expected, rel=0.15)


@pytest.mark.parametrize("rank", [0, 2])
def test_the_divergence_is_that_of_two_gaussians_written_out(rank: int) -> None:
    rng = np.random.default_rng(0)
    mean, log_sigma, factors = (rng.standard_normal(shape) for shape in ((3, 2), (3, 2), (rank, 3, 2)))
    prior = np.array([[0.5], [1.0], [3.0]])
    covariance = np.diag(np.exp(2 * log_sigma).ravel()) + sum(np.outer(f.ravel(), f.ravel()) for f in factors)
    wide = np.diag(np.repeat(prior, 2))
    ratio = np.linalg.inv(wide) @ covariance
    m = mean.ravel()
    expected = 0.5 * (np.trace(ratio) + m @ np.linalg.inv(wide) @ m - 6 - np.linalg.slogdet(ratio)[1])
    assert Family(mean, log_sigma, factors).divergence(prior)[0] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("rank", [0, 2])
def test_the_gradients_of_the_bound_agree_with_finite_differences(rank: int) -> None:
    rng = np.random.default_rng(1)
    parts = [rng.standard_normal(shape) for shape in ((3, 2), (3, 2), (rank, 3, 2))]
    x, labels, prior = rng.standard_normal((5, 3)), np.array([0, 1, 1, 0, 1]), np.array([[0.5], [1.0], [3.0]])
    x[4] = 0
    q = Family(*parts)

    def loss() -> float:
        return q.misfit(x, labels, np.random.default_rng(2))[0] + q.divergence(prior)[0]

    found = [
        a + b for a, b in zip(q.misfit(x, labels, np.random.default_rng(2))[1], q.divergence(prior)[1], strict=True)
    ]
    for part, gradient in zip(parts, found, strict=True):
        assert np.allclose(gradient, slopes(loss, part), atol=2e-5)


def slopes(loss: Callable[[], float], part: Array, step: float = 1e-5) -> Array:
    """The gradient of a loss by an array that it reads, by central differences."""
    found = np.zeros_like(part)
    for place in np.ndindex(part.shape):
        middle = part[place]
        part[place] = middle + step
        above = loss()
        part[place] = middle - step
        found[place] = (above - loss()) / (2 * step)
        part[place] = middle
    return found


@pytest.mark.parametrize("rank", [0, 1])
def test_variational_is_the_nearest_of_its_family(rank: int) -> None:
    """No text tells the sum of the logits, so both weights move together; mean field cannot, and errs by a third."""
    found = VariationalPosterior(rank).approximate(two_weights(), samples=4096, seed=0)
    mean, deviation = odds(found.logits(NEW))
    assert np.allclose(mean, exact()[0], atol=0.2 * exact()[1].max())
    share = deviation / exact()[1]
    assert np.abs(share - 1).max() < (0.15 if rank else 0.45)
    evidence = np.log(quadrature_evidence())
    assert found.notes()["bound"] * 24 < evidence + 0.5
    assert found.notes()["bound"] * 24 > evidence - 2.5


def quadrature_evidence() -> float:
    """p(labels), by the same grid."""
    taught = two_weights()
    axis = np.linspace(-7, 7, 401)
    points = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    log_p = np.log(0.5 / (2 * np.pi)) - 0.25 * (points**2).sum(axis=1)
    for x, label in zip(taught.features[:, 0].astype(float), taught.labels, strict=True):
        log_p += log_softmax(x * points, axis=1)[:, label]
    return float(np.exp(log_p).sum() * (axis[1] - axis[0]) ** 2)


def test_a_low_rank_is_nearer_than_mean_field() -> None:
    bounds = [VariationalPosterior(r).approximate(two_weights(), samples=2, seed=0).notes()["bound"] for r in (0, 1)]
    assert bounds[1] > bounds[0] - 0.01
    shares = []
    for rank in (0, 1):
        found = VariationalPosterior(rank).approximate(two_weights(), samples=4096, seed=0)
        shares.append(odds(found.logits(NEW))[1] / exact()[1])
    assert np.abs(shares[1] - 1).max() < np.abs(shares[0] - 1).max()


def test_an_ensemble_without_texts_that_speak_is_the_prior() -> None:
    """Where the features are zero, members keep their randomised priors: exact draws of N(0, 1 / precision)."""
    features = np.zeros((6, 2), np.float32)
    features[:, 0] = [1, 1, 1, -1, -1, -1]
    found = EnsemblePosterior(400).approximate(lesson(features, labelled(2, 3), 2, 0.25), samples=400, seed=0)
    _, spread = found.logits(np.array([[0, 1]], np.float32))
    assert np.allclose(spread[:, 0].std(axis=0), 2, rtol=0.12)


def test_an_ensemble_spreads_about_as_far_as_the_posterior() -> None:
    found = EnsemblePosterior(300).approximate(two_weights(), samples=300, seed=0)
    mean, deviation = odds(found.logits(NEW))
    assert np.allclose(mean, exact()[0], atol=0.5 * exact()[1].max())
    assert (deviation > 0.6 * exact()[1]).all()
    assert (deviation < 2 * exact()[1]).all()


def test_members_are_as_many_as_asked_for() -> None:
    assert EnsemblePosterior(3).approximate(two_weights(), samples=9, seed=0).weights.shape == (1, 3, 2)
    assert EnsemblePosterior(9).approximate(two_weights(), samples=2, seed=0).weights.shape == (1, 2, 2)


def test_draws_of_weights_give_the_logits_one_by_one() -> None:
    rng = np.random.default_rng(0)
    weights, features = rng.standard_normal((5, 3, 4)), rng.standard_normal((2, 5))
    centre, spread = Draws(weights).logits(features)
    for s in range(3):
        assert np.allclose(centre + spread[s], features @ weights[:, s])


def test_the_dropout_penalty_is_what_dropping_costs() -> None:
    """Against the mean loss over very many masks, at a rate so small that the second order is all there is."""
    rng = np.random.default_rng(0)
    hidden, weights = rng.standard_normal((3, 8)), rng.standard_normal((8, 4))
    labels, rate = np.array([0, 3, 1]), 0.02
    masks = (rng.random((400_000, 8)) >= rate) / (1 - rate)
    costs = []
    for h, label in zip(hidden, labels, strict=True):
        log_p = log_softmax((masks * h) @ weights, axis=1)[:, label]
        costs.append(-log_p.mean() + log_softmax(h @ weights)[label])
    assert dropout_penalty(hidden @ weights, hidden, weights, rate)[0] == pytest.approx(sum(costs), rel=0.15)


def test_the_gradients_of_the_dropout_penalty_agree_with_finite_differences() -> None:
    rng = np.random.default_rng(0)
    logits, hidden, weights = (rng.standard_normal(shape) for shape in ((3, 4), (3, 5), (5, 4)))

    def loss() -> float:
        return dropout_penalty(logits, hidden, weights, 0.3)[0]

    _, by_logits, by_weights = dropout_penalty(logits, hidden, weights, 0.3)
    assert np.allclose(by_logits, slopes(loss, logits), atol=1e-6)
    assert np.allclose(by_weights, slopes(loss, weights), atol=1e-6)


def test_masked_answers_are_those_of_the_units_that_speak() -> None:
    rng = np.random.default_rng(0)
    units, weights = rng.standard_normal((4, 4)), rng.standard_normal((4, 3))
    masks = np.array([[0, 2, 2, 0], [2, 2, 0, 2]], float)
    features = rng.standard_normal((2, 4))
    centre, spread = Masked(units, weights, masks).logits(features)
    for s in range(2):
        assert np.allclose(centre + spread[s], (features @ units * masks[s]) @ weights)


def test_dropout_regularises_and_drops_at_its_rate() -> None:
    labels = labelled(3, 6)
    taught = lesson(rows_of(labels, 6, 0.5, 0), labels, 3, 0.01)
    found = DropoutPosterior(0.3).approximate(taught, samples=2000, seed=0)
    assert (found.masks == 0).mean() == pytest.approx(0.3, abs=0.02)
    assert found.masks.mean() == pytest.approx(1, abs=0.02)
    masks = (np.random.default_rng(1).random((4000, 6)) >= 0.3) / 0.7

    def loss(weights: Array) -> float:
        log_p = log_softmax((masks[:, None] * taught.features) @ weights, axis=2)[:, np.arange(18), labels]
        return float(0.005 * (weights.astype(float) ** 2).sum() - log_p.mean(axis=0).sum())

    assert loss(found.weights) < loss(taught.weights)
    p = softmax(found.logits(taught.features)[0], axis=1)
    assert (p.argmax(axis=1) == labels).all()


@pytest.mark.parametrize("texts", [10, 3000])
def test_descent_finds_a_least_square_from_batches(texts: int) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((texts, 3)).astype(np.float32)
    y = x @ np.array([1, -2, 0.5], np.float32)
    w = np.zeros(3, np.float32)

    def slope(rows: Any, share: float, rng: np.random.Generator) -> list[Array]:
        return [np.float32(2 * share / texts) * (x[rows].T @ (x[rows] @ w - y[rows]))]

    descend([w], slope, texts, 400, 0.1, 0)
    assert np.allclose(w, [1, -2, 0.5], atol=0.02)


@pytest.mark.parametrize(
    "posterior",
    [VariationalPosterior(), VariationalPosterior(2), McmcPosterior(), McmcPosterior("sghmc"), EnsemblePosterior(4)],
)
@pytest.mark.usefixtures("short_runs")
def test_the_seed_decides(posterior: Any) -> None:
    first, again, other = (posterior.approximate(two_weights(), samples=4, seed=s).logits(NEW)[1] for s in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
