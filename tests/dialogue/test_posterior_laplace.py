"""`laplace` against the brute-force Hessian of all weights in double precision, and its tempering."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
from scipy.special import softmax

import dialogue.posterior.laplace as laplace_module
from dialogue.posterior.laplace import Curvature, Hessian, LaplacePosterior
from dialogue.posterior.last_layer import DEFAULT_TEMPERATURE, DEFAULT_WIDTH, Lesson, best_temper, tempered
from dialogue.posterior.process import Fit
from dialogue.posterior.softmax_map import Regression
from tests.dialogue.toys import fitted, labelled, rows_of

PRECISION = 0.1
DRAWS = 20_000


def lesson(intents: int = 4, each: int = 6) -> Lesson:
    labels = labelled(intents, each)
    features = rows_of(labels, 6, 1.0, 0)
    regression = Regression(features, labels, intents)
    return Lesson(regression, features, PRECISION, regression.fit(PRECISION), np.eye(6, dtype=np.float32))


def brute_force(taught: Lesson, hessian: Hessian) -> Any:
    """Covariance [M K, M K] of the weights in row-major order, by second derivatives written out text by text."""
    x, k = taught.features.astype(float), taught.classes
    p = softmax(x @ taught.weights.astype(float), axis=1)
    each = [np.diag(q) - np.outer(q, q) for q in p]
    if hessian == "kronecker":
        whole = np.kron(x.T @ x, np.mean(each, axis=0))
    else:
        whole = sum(np.kron(np.outer(phi, phi), g) for phi, g in zip(x, each, strict=True))
    if hessian == "diagonal":  # in the eigenvectors of X^T X
        turn = np.kron(taught.regression.vectors.astype(float), np.eye(k))
        whole = turn @ np.diag(np.diag(turn.T @ whole @ turn)) @ turn.T
    return np.linalg.inv(whole + PRECISION * np.eye(6 * k))


@pytest.mark.parametrize("hessian", get_args(Hessian))
def test_the_logits_vary_as_under_the_inverted_hessian(hessian: Hessian) -> None:
    taught = lesson()
    found = LaplacePosterior(hessian).approximate(taught, samples=DRAWS, seed=0)
    new = rows_of(np.arange(5) % 4, 6, 2.0, 9)
    centre, spread = found.logits(new)
    covariance = brute_force(taught, hessian)
    assert np.allclose(centre, new @ taught.weights, atol=1e-4)
    for b, phi in enumerate(new):
        jacobian = np.kron(phi[None], np.eye(4))  # [K, M K]
        expected = jacobian @ covariance @ jacobian.T
        assert np.allclose(np.cov(spread[:, b].T), expected, atol=0.04 * expected.max())


def test_where_not_all_fits_the_whole_hessian_is_that_of_the_leading_directions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taught = lesson()
    monkeypatch.setattr(laplace_module, "MOST_WEIGHTS", 8)  # two directions of four intents
    found = LaplacePosterior("full").approximate(taught, samples=DRAWS, seed=0)
    assert found.lead.shape == (DRAWS, 2, 4)
    assert (found.variances[:2] == 0).all()
    rest = LaplacePosterior("kronecker").approximate(taught, samples=2, seed=0)
    order = np.argsort(-taught.regression.values)
    assert np.allclose(found.variances[2:], rest.variances[order[2:]])
    x = found.inputs[:, :2].astype(float)
    turn = np.kron(np.concatenate([x, np.zeros((6, 4))], axis=1), np.eye(4))[:, :8]
    whole = np.linalg.inv(turn.T @ np.linalg.inv(brute_force(taught, "full")) @ turn)
    assert np.allclose(np.cov(found.lead.reshape(DRAWS, 8).T), whole, atol=0.04 * whole.max())


def sharp(each: int = 8, intents: int = 20, spread: float = 0.5) -> Fit:
    return fitted(labelled(intents, each), spread=spread)


@pytest.mark.parametrize("hessian", get_args(Hessian))
def test_the_posterior_of_many_intents_does_not_drown_the_answer(hessian: Hessian) -> None:
    """Untempered, the mean over the draws is nearly flat although the weights are right."""
    fit = sharp()
    posterior = LaplacePosterior(hessian).fit(fit, samples=64, seed=0)
    labels = labelled(20, 3)
    rng = np.random.default_rng(1)
    views: dict[str, Any] = {name: view[np.repeat(np.arange(20) * 8, 3)] for name, view in fit.process.views.items()}
    views["dense"] = views["dense"] + 0.1 * rng.standard_normal(views["dense"].shape).astype(np.float32)
    views["dense"] /= np.linalg.norm(views["dense"], axis=1, keepdims=True)
    rows = fit.process.rows(views)
    mean = posterior.draw(fit.process.latent(rows)).mean(axis=0)
    accuracy, confidence = (mean.argmax(axis=1) == labels).mean(), mean.max(axis=1).mean()
    assert accuracy > 0.9
    assert abs(confidence - accuracy) < 0.1
    posterior.temperature_, posterior.width_ = 1.0, 1.0
    assert posterior.draw(fit.process.latent(rows)).mean(axis=0).max(axis=1).mean() < confidence - 0.2


def test_the_temper_is_that_of_least_loss() -> None:
    rng = np.random.default_rng(0)
    labels = labelled(6, 20)
    centre = (3 * np.eye(6)[labels] + 1.5 * rng.standard_normal((120, 6))).astype(np.float32)
    spread = rng.standard_normal((64, 120, 6)).astype(np.float32)
    temperature, width = best_temper(centre, spread, labels)

    def loss(temperature: float, width: float) -> float:
        p = tempered(centre, spread, temperature, width).mean(axis=0)[np.arange(120), labels]
        prior = 2 * (np.log(temperature / DEFAULT_TEMPERATURE) ** 2 + np.log(width / DEFAULT_WIDTH) ** 2)
        return float(-np.log(p).sum() + prior)

    least = loss(temperature, width)
    for t, w in [(1.5, 1), (0.67, 1), (1, 2.5), (1, 0.4), (1.5, 2.5), (0.67, 0.4)]:
        assert least < loss(t * temperature, w * width) + 0.3


def test_the_precision_bounds_the_variance() -> None:
    ones, eye = np.ones((2, 3), np.float32), np.eye(3, dtype=np.float32)
    nothing = np.zeros((2, 0, 3), np.float32)
    z = np.array([[1, 1, 1], [-1, -1, -1]], np.float32)
    flat = Curvature(0 * ones, eye[:2, :2], eye, ones / np.float32(0.5), nothing, z)
    assert np.allclose(np.abs(flat.logits(np.array([[3.0, 4.0]], np.float32))[1]), np.sqrt(50))


def test_an_unseen_direction_keeps_the_prior() -> None:
    """Texts that all lie along one axis say nothing of the other."""
    labels = np.array([0, 1] * 8)
    features = np.zeros((16, 2), np.float32)
    features[:, 0] = np.where(labels, 1, -1)
    regression = Regression(features, labels, 2)
    taught = Lesson(regression, features, PRECISION, regression.fit(PRECISION), np.eye(2, dtype=np.float32))
    aside = np.array([[0, 1]], np.float32)
    for hessian in get_args(Hessian):
        _, spread = LaplacePosterior(hessian).approximate(taught, samples=4096, seed=0).logits(aside)
        assert np.allclose(spread[:, 0].var(axis=0), 1 / PRECISION, rtol=0.06)
