"""`softmax_map`, `point` and `laplace` against finite differences, slow fits and a brute-force Hessian."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

import dialogue.posterior.softmax_map as map_module
from dialogue.posterior.landmarks import choose_landmarks, training_features
from dialogue.posterior.laplace import (
    DEFAULT_WIDTH,
    Curvature,
    LaplacePosterior,
    curvature,
    temper,
    tempered,
)
from dialogue.posterior.point import DEFAULT_TEMPERATURE, PointPosterior, fit_temperature
from dialogue.posterior.process import Fit
from dialogue.posterior.softmax_map import Regression, alternate, cross_entropy, cross_fit, eigen, judged
from tests.dialogue.toys import fitted, labelled, rows_of, two_views


def toy(intents: int = 4, each: int = 12, spread: float = 1.0) -> tuple[Any, Any]:
    labels = labelled(intents, each)
    return rows_of(labels, 6, spread, 0), labels


def objective(weights: Any, features: Any, labels: Any, precision: float) -> float:
    log_p = log_softmax(features.astype(float) @ weights, axis=1)
    return float(-log_p[np.arange(len(labels)), labels].sum() + precision / 2 * (weights.astype(float) ** 2).sum())


def test_cross_entropy_and_its_gradient_agree_with_finite_differences() -> None:
    rng = np.random.default_rng(0)
    logits: Any = 3 * rng.standard_normal((5, 4))
    labels = np.array([0, 3, 1, 1, 2])
    value, gradient = cross_entropy(logits.copy(), labels)
    assert value == pytest.approx(-log_softmax(logits, axis=1)[np.arange(5), labels].sum())
    for place in np.ndindex(5, 4):
        step = np.zeros((5, 4))
        step[place] = 1e-5
        slope = (cross_entropy(logits + step, labels)[0] - cross_entropy(logits - step, labels)[0]) / 2e-5
        assert gradient[place] == pytest.approx(slope, abs=1e-6)


def test_the_gradient_of_the_posterior_vanishes_at_the_maximum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(map_module, "TOLERANCE", 1e-9)
    features, labels = toy()
    weights = Regression(features, labels, 4).fit(0.1).astype(float)
    best = objective(weights, features, labels, 0.1)
    for place in np.ndindex(*weights.shape):
        step = np.zeros(weights.shape)
        step[place] = 1e-3
        slope = (
            objective(weights + step, features, labels, 0.1) - objective(weights - step, features, labels, 0.1)
        ) / 2e-3
        assert abs(slope) < 0.02
    assert best < objective(np.zeros(weights.shape), features, labels, 0.1)


@pytest.mark.parametrize("precision", [0.01, 0.3])
def test_the_quick_fit_is_as_good_as_a_slow_one_in_double_precision(precision: float) -> None:
    from scipy.optimize import minimize

    features, labels = toy(6, 8)
    found = minimize(
        lambda flat: objective(flat.reshape(6, 6), features, labels, precision),
        np.zeros(36),
        method="L-BFGS-B",
        options={"maxiter": 2000, "maxfun": 200_000},
    )
    quick = Regression(features, labels, 6).fit(precision)
    assert objective(quick, features, labels, precision) < found.fun * 1.01


def test_eigen_takes_a_matrix_apart() -> None:
    rows = np.random.default_rng(0).standard_normal((4, 9)).astype(np.float32)
    values, vectors = eigen(rows.T @ rows)
    assert (values >= 0).all()
    assert np.allclose((vectors * values) @ vectors.T, rows.T @ rows, atol=1e-4)


def test_folds_are_even_within_every_intent() -> None:
    labels = np.random.default_rng(1).permutation(np.concatenate([labelled(5, 7), [0, 1, 1]]))
    fold = alternate(labels, 3, 0)
    for intent in range(5):
        counts = np.bincount(fold[labels == intent], minlength=3)
        assert counts.max() - counts.min() <= 1
    assert np.array_equal(fold, alternate(labels, 3, 0))


def test_cross_fitted_logits_come_from_the_regression_without_the_text() -> None:
    features, labels = toy(3, 6)
    crossed = cross_fit(features, labels, 3, seed=0)
    for m in (0, 1):
        inside, outside = crossed.fold != m, crossed.fold == m
        assert np.array_equal(crossed.regressions[m].labels, labels[inside])
        weights = Regression(features[inside], labels[inside], 3).fit(crossed.precision)
        assert np.allclose(crossed.logits[outside], features[outside] @ weights, atol=1e-4)


def test_the_precision_is_the_best_of_those_on_offer() -> None:
    features, labels = toy(4, 20, spread=1.5)
    crossed = cross_fit(features, labels, 4, seed=0)
    losses = {}
    for precision in map_module.PRECISIONS:
        logits = np.empty((len(labels), 4), np.float32)
        for m in (0, 1):
            inside, outside = crossed.fold != m, crossed.fold == m
            logits[outside] = features[outside] @ Regression(features[inside], labels[inside], 4).fit(precision)
        losses[precision] = cross_entropy(logits, labels)[0]
    assert losses[crossed.precision] == min(losses.values())


@pytest.mark.parametrize(
    ("labels", "rows"),
    [([0], []), ([0, 1, 2], []), ([0, 0, 0], []), ([0, 0, 1], []), ([0, 0, 1, 1, 2], [0, 1, 2, 3])],
)
def test_only_texts_with_company_are_judged(labels: list[int], rows: list[int]) -> None:
    assert judged(np.array(labels)).tolist() == rows


def test_the_temperature_undoes_overconfidence() -> None:
    rng = np.random.default_rng(0)
    logits: Any = 2 * rng.standard_normal((4000, 5))
    labels = np.array([rng.choice(5, p=p) for p in softmax(logits, axis=1)])
    assert fit_temperature(3 * logits, labels) == pytest.approx(3, rel=0.1)
    assert fit_temperature(0.5 * logits, labels) == pytest.approx(0.5, rel=0.1)


def test_the_temperature_of_a_few_texts_stays_near_its_prior() -> None:
    certain = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]] * 5
    assert 0.1 < fit_temperature(certain, np.array([0, 1, 2, 0])) < 2
    assert fit_temperature(certain[:0], np.zeros(0, np.int64)) == pytest.approx(DEFAULT_TEMPERATURE, rel=0.05)


def test_landmark_features_have_the_kernel_s_inner_products() -> None:
    fit = fitted(labelled(4, 5))
    landmarks = choose_landmarks(fit.process, 100)
    features = training_features(fit.process, landmarks)
    assert np.allclose(features @ features.T, fit.process.kernel.gram(fit.process.views), atol=2e-3)
    rows = fit.process.rows(two_views(labelled(4, 2), seed=3))
    assert np.allclose(landmarks(rows) @ features.T, rows, atol=5e-3)


def test_fewer_landmarks_are_spread_over_the_intents() -> None:
    fit = fitted(np.tile(np.arange(8), 5))
    landmarks = choose_landmarks(fit.process, 8)
    assert len(landmarks.rows) == 8
    assert len(set(fit.process.labels[landmarks.rows])) >= 7


def hessian(features: Any, p: Any, precision: float) -> Any:
    """The full Kronecker Hessian [M K, M K] over weights in row-major order."""
    a = features.astype(float).T @ features
    g = np.diag(p.mean(axis=0)) - p.T @ p / len(p)
    return np.kron(a, g) + precision * np.eye(a.shape[0] * g.shape[0])


def test_laplace_variances_are_those_of_the_inverted_full_hessian() -> None:
    features, labels = toy(4, 6)
    regression = Regression(features, labels, 4)
    logits = features @ regression.fit(0.1)
    found = curvature(regression, logits, 0.1)
    covariance = np.linalg.inv(hessian(features, softmax(logits.astype(float), axis=1), 0.1))
    some = rows_of(np.arange(5) % 4, 6, 2.0, 9)
    for phi, variances in zip(some, found.variances(some), strict=True):
        jacobian = np.kron(phi[None], np.eye(4))  # [K, M K]
        of_logits = jacobian @ covariance @ jacobian.T  # [K, K]
        rebuilt = found.outputs.astype(float) @ np.diag(variances.astype(float)) @ found.outputs.T
        assert np.allclose(rebuilt, of_logits, rtol=2e-3, atol=2e-3)


def test_the_spread_of_many_draws_has_those_variances() -> None:
    features, labels = toy(3, 6)
    regression = Regression(features, labels, 3)
    found = curvature(regression, features @ regression.fit(0.1), 0.1)
    spread = found.spread(features[:2], np.random.default_rng(0).standard_normal((40_000, 3)).astype(np.float32))
    for b in range(2):
        expected = (found.outputs * found.variances(features[:2])[b]) @ found.outputs.T
        assert np.allclose(np.cov(spread[:, b].T), expected, atol=0.05 * expected.max())


def sharp(each: int = 8, intents: int = 20, spread: float = 0.5) -> Fit:
    return fitted(labelled(intents, each), spread=spread)


def test_the_posterior_of_many_intents_does_not_drown_the_answer() -> None:
    """Untempered, the mean over the draws is nearly flat although the weights are right."""
    fit = sharp()
    posterior = LaplacePosterior().fit(fit, samples=64, seed=0)
    labels = labelled(20, 3)
    rng = np.random.default_rng(1)
    views = {name: view[np.repeat(np.arange(20) * 8, 3)] for name, view in fit.process.views.items()}
    views["dense"] = views["dense"] + 0.1 * rng.standard_normal(views["dense"].shape).astype(np.float32)
    views["dense"] /= np.linalg.norm(views["dense"], axis=1, keepdims=True)
    rows = fit.process.rows(views)
    mean = posterior.draw(fit.process, rows).mean(axis=0)
    accuracy, confidence = (mean.argmax(axis=1) == labels).mean(), mean.max(axis=1).mean()
    assert accuracy > 0.9
    assert abs(confidence - accuracy) < 0.1
    posterior.temperature_, posterior.width_ = 1.0, 1.0
    assert posterior.draw(fit.process, rows).mean(axis=0).max(axis=1).mean() < confidence - 0.2


def test_temper_finds_the_width_and_the_temperature_of_least_loss_out_of_fold() -> None:
    fit = sharp(6, 6, 1.0)
    features = training_features(fit.process, choose_landmarks(fit.process, 1024))
    labels = fit.process.labels
    crossed = cross_fit(features, labels, 6, 0)
    temperature, width = temper(crossed, features, labels, 0)
    z = np.random.default_rng(5).standard_normal((400, 6)).astype(np.float32)
    spread = np.empty((400, len(labels), 6), np.float32)
    for m in (0, 1):
        inside, outside = crossed.fold != m, crossed.fold == m
        found = curvature(crossed.regressions[m], features[inside] @ crossed.weights[m], crossed.precision)
        spread[:, outside] = found.spread(features[outside], z)

    def loss(temperature: float, width: float) -> float:
        p = tempered(crossed.logits, spread, temperature, width).mean(axis=0)[np.arange(len(labels)), labels]
        prior = 2 * (np.log(temperature / DEFAULT_TEMPERATURE) ** 2 + np.log(width / DEFAULT_WIDTH) ** 2)
        return float(-np.log(p).sum() + prior)

    least = loss(temperature, width)
    for t, w in [(1.5, 1), (0.67, 1), (1, 2.5), (1, 0.4), (1.5, 2.5), (0.67, 0.4)]:
        assert least < loss(t * temperature, w * width) + 0.3


@pytest.mark.parametrize("posterior", [LaplacePosterior, PointPosterior])
@pytest.mark.parametrize("labels", [[0], [0, 1], [0, 0, 0], [0, 1, 2, 3], [0, 0, 1], [0, 0, 1, 1]])
def test_the_smallest_bots_get_a_posterior_that_knows_their_texts(posterior: type[Any], labels: list[int]) -> None:
    fit = fitted(np.array(labels), spread=0.3)
    draws = posterior().fit(fit, samples=8, seed=0).draw(fit.process, fit.process.rows(fit.process.views))
    assert np.isfinite(draws).all()
    assert np.allclose(draws.sum(axis=2), 1, atol=1e-5)
    assert (draws.mean(axis=0).argmax(axis=1) == labels).all()


@pytest.mark.parametrize("posterior", [LaplacePosterior, PointPosterior])
def test_what_is_saved_comes_back(posterior: type[Any], tmp_path: Path) -> None:
    fit = fitted(labelled(3, 4))
    trained = posterior().fit(fit, samples=6, seed=2)
    trained.save(tmp_path)
    rows = fit.process.rows(two_views(labelled(3, 2), seed=5))
    again = posterior.load(tmp_path)
    assert np.array_equal(again.draw(fit.process, rows), trained.draw(fit.process, rows))
    file = next(tmp_path.iterdir())
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(ValueError, match=file.name):
        posterior.load(tmp_path)


def test_point_is_one_draw_and_laplace_as_many_as_asked_for() -> None:
    fit = fitted(labelled(3, 4))
    rows = fit.process.rows(fit.process.views)
    assert PointPosterior().fit(fit, samples=9, seed=0).draw(fit.process, rows).shape == (1, 12, 3)
    assert LaplacePosterior().fit(fit, samples=9, seed=0).draw(fit.process, rows).shape == (9, 12, 3)
    one = LaplacePosterior().fit(fit, samples=1, seed=0).draw(fit.process, rows)
    assert one.shape == (1, 12, 3)
    assert np.isfinite(one).all()


def test_precision_of_the_curvature_bounds_the_variance() -> None:
    ones, eye = np.ones(3, np.float32), np.eye(3, dtype=np.float32)
    flat = Curvature(eye[:2, :2], np.zeros(2, np.float32), eye, ones, 0.5)
    assert np.allclose(flat.variances(np.array([[3.0, 4.0]], np.float32)), 50)
