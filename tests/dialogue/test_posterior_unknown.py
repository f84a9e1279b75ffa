"""The probability of none of the intents."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import spearmanr

from dialogue.posterior.kernel import View
from dialogue.posterior.process import Fit, LeftOut
from dialogue.posterior.unknown import DEFAULT_WEIGHTS, STRAY, TOGETHER, Unknown, fit_unknown
from tests.dialogue.toys import fitted, labelled, noise_rows, sparse, two_views


def far(count: int) -> dict[str, View]:
    """Texts of no intent."""
    return {"dense": noise_rows(count, 12, 90), "sparse": sparse(noise_rows(count, 30, 91))}


@pytest.mark.parametrize("labels", [[0], [0, 1], [0, 0, 1, 1, 2, 2], [0, 1, 2, 3, 4, 5]])
def test_a_bot_too_small_to_learn_it_takes_the_default(labels: list[int]) -> None:
    assert fit_unknown(fitted(np.array(labels))).weights == DEFAULT_WEIGHTS


@pytest.mark.parametrize("labels", [[0], [0, 1], [0, 1, 2, 3, 4], [0, 0, 1, 1], list(range(6)) * 4])
def test_a_far_text_is_more_unknown_than_any_training_text(labels: list[int]) -> None:
    fit = fitted(np.array(labels), spread=0.3)
    unknown = fit_unknown(fit)
    own = unknown(fit.process.latent(fit.process.rows(fit.process.views)), 0.1)
    strange = unknown(fit.process.latent(fit.process.rows(far(8))), 0.1)
    assert own.max() < strange.min()
    assert own.max() < 0.5


def test_whole_left_out_intents_are_told_from_left_out_texts() -> None:
    fit = fitted(labelled(10, 8), spread=0.6)
    unknown = fit_unknown(fit)
    known = unknown.at(fit.example_out.mean, fit.example_out.nearest, 0.5)
    strange = unknown.at(fit.intent_out.mean, fit.intent_out.nearest, 0.5)
    assert known.mean() < 0.2
    assert strange.mean() > 0.8


@settings(max_examples=50, deadline=None)
@given(st.floats(-0.2, 1.2), st.floats(0, 1), st.floats(0, 0.5), st.floats(0, 0.5), st.floats(0.01, 0.9))
def test_more_alike_is_never_less_known(mean: float, near: float, more: float, nearer: float, prior: float) -> None:
    unknown = learned()[1]
    nearest = np.array([near, near + nearer], np.float32)
    p = unknown.at(np.array([[mean, -1.0], [mean + more, -1.0]]), nearest, prior)
    assert p[1] <= p[0] + 1e-9


@cache
def learned() -> tuple[Fit, Unknown]:
    fit = fitted(labelled(6, 4))
    return fit, fit_unknown(fit)


def test_evidence_against_the_grain_gets_no_weight_rather_than_the_wrong_sign() -> None:
    """Left-out intents that are nearer than left-out examples must not make nearness suspicious."""
    process = learned()[0].process
    count = len(process.labels)
    mean = np.random.default_rng(0).standard_normal((count, 6)).astype(np.float32)
    example = LeftOut(mean, np.ones(count, np.float32), np.full(count, 0.1, np.float32))
    intent = LeftOut(mean + 0.5, np.ones(count, np.float32), np.full(count, 0.9, np.float32))
    _, of_mean, of_nearest = fit_unknown(Fit(process, example, intent)).weights
    assert of_mean <= 0
    assert of_nearest <= 0


def test_the_prior_is_added_to_the_log_odds() -> None:
    process, unknown = learned()[0].process, learned()[1]
    rows = process.rows(far(5))
    even, rare = (logit(unknown(process.latent(rows), prior).astype(float)) for prior in (0.5, 0.1))
    assert np.allclose(even - rare, -logit(0.1), atol=1e-3)


def known_draws(samples: int, texts: int) -> Any:
    """Draws [S, B, 6] over intents, of which the first is the best."""
    logits = np.random.default_rng(0).standard_normal((samples, texts, 6)) + 3 * (np.arange(6) == 0)
    return (np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)).astype(np.float32)


def test_the_mean_of_the_draws_is_the_probability_and_they_stray_with_the_highest_latent() -> None:
    process, unknown = learned()[0].process, Unknown(DEFAULT_WEIGHTS)
    rows = process.rows(two_views(labelled(6, 1), seed=4))
    known = known_draws(501, 6)
    draws = unknown.draw(process.latent(rows), 0.1, known)
    assert draws.shape == (501, 6)
    assert np.allclose(draws.mean(axis=0), unknown(process.latent(rows), 0.1), atol=1e-3)
    deviation = STRAY * np.maximum(process.mean(rows).max(axis=1), 0) * np.sqrt(process.variance(rows))
    assert np.allclose(logit(draws.astype(float)).std(axis=0), deviation, rtol=0.02, atol=1e-3)
    assert np.array_equal(draws, unknown.draw(process.latent(rows), 0.1, known))


def test_a_bot_that_is_surer_of_the_intent_is_mostly_surer_that_it_is_one() -> None:
    process, unknown = learned()[0].process, Unknown(DEFAULT_WEIGHTS)
    known = known_draws(1001, 6)
    draws = unknown.draw(process.latent(process.rows(two_views(labelled(6, 1), seed=4))), 0.1, known)
    for best, none in zip(known[:, :, 0].T, draws.T, strict=True):
        assert spearmanr(best, none).statistic == pytest.approx(-TOGETHER, abs=0.06)


def test_one_draw_is_the_probability_itself() -> None:
    process = learned()[0].process
    rows = process.rows(far(3))
    unknown = Unknown((1.0, -2.0, -3.0))
    expected: Any = expit(1 - 2 * process.mean(rows).max(axis=1) - 3 * rows.max(axis=1) + logit(0.2))
    assert np.allclose(unknown.draw(process.latent(rows), 0.2, known_draws(1, 3)), expected[None], atol=1e-6)
