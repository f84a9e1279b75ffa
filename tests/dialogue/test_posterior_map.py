"""`softmax_map` and `point` against finite differences and slow fits; what every posterior over weights promises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

import dialogue.posterior.softmax_map as map_module
from dialogue.posterior.ensemble import EnsemblePosterior
from dialogue.posterior.landmarks import choose_landmarks, training_features
from dialogue.posterior.laplace import LaplacePosterior
from dialogue.posterior.mc_dropout import DropoutPosterior
from dialogue.posterior.mcmc import McmcPosterior
from dialogue.posterior.point import DEFAULT_TEMPERATURE, PointPosterior, fit_temperature
from dialogue.posterior.softmax_map import Regression, alternate, cross_entropy, cross_fit, eigen, judged
from dialogue.posterior.variational import VariationalPosterior
from tests.dialogue.toys import fitted, labelled, rows_of, two_views

pytestmark = pytest.mark.usefixtures("short_runs")
FAMILY = (LaplacePosterior, VariationalPosterior, McmcPosterior, EnsemblePosterior, DropoutPosterior, PointPosterior)


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


def test_a_text_that_counts_twice_is_as_good_as_two_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(map_module, "TOLERANCE", 1e-9)
    features, labels = toy(3, 6)
    importance = np.where(np.arange(18) < 5, 2.0, 1.0).astype(np.float32)
    twice = np.concatenate([features, features[:5]]), np.concatenate([labels, labels[:5]])
    counted = Regression(features, labels, 3).fit(0.1, importance=importance)
    doubled = Regression(*twice, 3).fit(0.1)
    assert np.allclose(features @ counted, features @ doubled, atol=0.02)


def test_the_prior_pulls_towards_its_centre() -> None:
    features, labels = toy(3, 6)
    centre: Any = np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32)
    found = Regression(features, labels, 3).fit(0.1, centre=centre).astype(float)
    for place in np.ndindex(6, 3):
        step = np.zeros((6, 3))
        step[place] = 0.3
        least = objective(found, features, labels, 0) + 0.05 * ((found - centre) ** 2).sum()
        for other in (found + step, found - step):
            assert least < objective(other, features, labels, 0) + 0.05 * ((other - centre) ** 2).sum()


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


@pytest.mark.parametrize("posterior", FAMILY)
@pytest.mark.parametrize("labels", [[0], [0, 1], [0, 0, 0], [0, 1, 2, 3], [0, 0, 1], [0, 0, 1, 1]])
def test_the_smallest_bots_get_a_posterior_that_knows_their_texts(posterior: type[Any], labels: list[int]) -> None:
    fit = fitted(np.array(labels), spread=0.3)
    draws = posterior().fit(fit, samples=8, seed=0).draw(fit.process.latent(fit.process.rows(fit.process.views)))
    assert np.isfinite(draws).all()
    assert np.allclose(draws.sum(axis=2), 1, atol=1e-5)
    assert (draws.mean(axis=0).argmax(axis=1) == labels).all()


@pytest.mark.parametrize("posterior", FAMILY)
def test_what_is_saved_comes_back(posterior: type[Any], tmp_path: Path) -> None:
    fit = fitted(labelled(3, 4))
    trained = posterior().fit(fit, samples=6, seed=2)
    trained.save(tmp_path)
    rows = fit.process.rows(two_views(labelled(3, 2), seed=5))
    again = posterior.load(tmp_path)
    assert np.array_equal(again.draw(fit.process.latent(rows)), trained.draw(fit.process.latent(rows)))
    file = next(tmp_path.iterdir())
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(ValueError, match=file.name):
        posterior.load(tmp_path)


def test_point_is_one_draw_and_laplace_as_many_as_asked_for() -> None:
    fit = fitted(labelled(3, 4))
    rows = fit.process.rows(fit.process.views)
    assert PointPosterior().fit(fit, samples=9, seed=0).draw(fit.process.latent(rows)).shape == (1, 12, 3)
    assert LaplacePosterior().fit(fit, samples=9, seed=0).draw(fit.process.latent(rows)).shape == (9, 12, 3)
    one = LaplacePosterior().fit(fit, samples=1, seed=0).draw(fit.process.latent(rows))
    assert one.shape == (1, 12, 3)
    assert np.isfinite(one).all()
