"""The conjugate posterior: its draws around its mean, its link, its files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logit
from torch.quasirandom import SobolEngine

from dialogue.posterior.conjugate import SPREAD, ConjugatePosterior, gaussian_draws, levelled, spread, spread_one
from dialogue.posterior.kernel import take
from dialogue.posterior.link import DEFAULT_POWER, Link
from dialogue.posterior.process import fit_process
from tests.dialogue.toys import KERNEL, fitted, labelled, two_views


def toy_rows(samples: int) -> tuple[ConjugatePosterior, Any, Any]:
    fit = fitted(labelled(5, 3))
    posterior = ConjugatePosterior().fit(fit, samples=samples, seed=1)
    return posterior, fit.process, fit.process.rows(two_views(labelled(5, 2), seed=3))


@pytest.mark.parametrize("samples", [2, 33, 256])
def test_the_mean_of_the_draws_is_the_link_of_the_latent_mean_levelled(samples: int) -> None:
    posterior, process, rows = toy_rows(samples)
    found = posterior.draw(process.latent(rows))
    assert found.shape == (samples, 10, 5)
    assert np.allclose(found.sum(axis=2), 1, atol=1e-5)
    share = process.variance(rows) / (1 - process.kernel.floor)
    mean = levelled(posterior.link_(process.mean(rows)), share)
    assert np.allclose(found.mean(axis=0), mean, atol=0.02 if samples > 2 else 0.05)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 8), st.floats(0, 3.5), st.floats(0.01, 5), st.integers(0, 999))
def test_any_distribution_is_kept_as_the_mean(classes: int, deviation: float, sharp: float, seed: int) -> None:
    mean = np.random.default_rng(seed).dirichlet(np.full(classes, 1 / sharp), 3).astype(np.float32)
    draws = spread(mean, np.full(3, deviation, np.float32), gaussian_draws(128, classes, seed))
    assert np.isfinite(draws).all()
    assert np.abs(draws.mean(axis=0) - mean).max() < 0.06


@settings(max_examples=30, deadline=None)
@given(st.floats(0, 1, width=32), st.floats(0, 3, width=32))
def test_one_probability_is_spread_as_one_of_two_classes(p: float, deviation: float) -> None:
    z = gaussian_draws(128, 1, 0)[:, 0]
    p_, deviation_ = np.array([p, 0.5], np.float32), np.full(2, deviation, np.float32)
    both = spread(np.stack([1 - p_, p_], axis=1), deviation_, np.stack([np.zeros_like(z), z], axis=1))
    assert np.allclose(spread_one(p_, deviation_, z), both[:, :, 1], atol=1e-4)


def test_draws_differ_in_log_odds_by_the_deviation_whatever_the_mean_says() -> None:
    mean = np.array([[0.5, 0.5], [0.98, 0.02], [0.001, 0.999]], np.float32)
    draws = spread(mean, np.full(3, 0.7, np.float32), gaussian_draws(4096, 2, 0)).astype(float)
    assert np.allclose(logit(draws[:, :, 0]).std(axis=0), 0.7 * np.sqrt(2), rtol=0.02)


def test_a_link_that_is_sharper_than_that_of_left_out_texts_has_wider_draws() -> None:
    posterior = toy_rows(16)[0]
    sharper = posterior.link_.power / posterior.left_out_link_.power
    assert sharper > 1.05
    assert posterior.width_ == pytest.approx(SPREAD * sharper)


def test_what_the_examples_tell_well_has_draws_that_agree() -> None:
    posterior, process, rows = toy_rows(64)
    near, far = (posterior.draw(process.latent(k)) for k in (process.rows(process.views), rows))
    assert near.std(axis=0).mean() < far.std(axis=0).mean()


@pytest.mark.parametrize("samples", [1, 2, 7, 64, 255])
def test_draws_are_as_many_as_asked_for_with_mean_zero(samples: int) -> None:
    z = gaussian_draws(samples, 3, 0)
    assert z.shape == (samples, 3)
    assert z.dtype == np.float32
    assert np.abs(z.mean(axis=0)).max() < 1e-6


def test_draws_are_standard_normal_and_follow_the_seed() -> None:
    z = gaussian_draws(512, 4, 5)
    assert np.allclose(np.cov(z.T), np.eye(4), atol=0.1)
    assert np.array_equal(z, gaussian_draws(512, 4, 5))
    assert not np.array_equal(z, gaussian_draws(512, 4, 6))


def test_more_intents_than_sobol_has_dimensions_get_plain_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SobolEngine, "MAXDIM", 3)
    z = gaussian_draws(600, 7, 123)
    assert z.shape == (600, 7)
    assert np.abs(z.mean(axis=0)).max() < 1e-6
    assert np.allclose(z.std(axis=0), 1, atol=0.1)
    assert np.abs(np.corrcoef(z.T) - np.eye(7)).max() < 0.2


def test_one_draw_is_the_mean() -> None:
    fit = fitted(labelled(4, 3))
    posterior = ConjugatePosterior().fit(fit, samples=1, seed=0)
    rows = fit.process.rows(fit.process.views)
    expected = posterior.link_(fit.process.mean(rows))
    assert np.allclose(posterior.draw(fit.process.latent(rows)), expected[None], atol=1e-6)


@pytest.mark.parametrize("labels", [[0], [0, 1, 2], [0, 0, 0], [0, 0, 1]])
def test_the_link_of_the_smallest_bots_is_the_default(labels: list[int]) -> None:
    fit = fitted(np.array(labels))
    assert ConjugatePosterior().fit(fit, samples=8, seed=0).link_ == Link()


def test_new_messages_are_better_foretold_than_by_the_link_of_texts_left_out() -> None:
    """Forty intents of two texts: what one text tells of the other is less than both tell of a third."""
    gained = []
    for seed in range(5):
        labels = np.repeat(np.arange(40), 8)
        views, taught = two_views(labels, spread=1.2, seed=seed), np.arange(320) % 8 < 2
        noise = np.full(80, 0.1, np.float32)
        fit = fit_process(KERNEL, take(views, np.flatnonzero(taught)), labels[taught], 40, noise)
        posterior = ConjugatePosterior().fit(fit, samples=1, seed=0)
        latent = fit.process.mean(fit.process.rows(take(views, np.flatnonzero(~taught))))
        truth = np.arange(240), labels[~taught]
        left_out, new = (np.log(link(latent)[truth]).mean() for link in (posterior.left_out_link_, posterior.link_))
        gained.append(new - left_out)
    assert np.mean(gained) > 0.02
    assert min(gained) > -0.01


def test_a_few_texts_hardly_move_the_link() -> None:
    link = ConjugatePosterior().fit(fitted(labelled(2, 2), spread=0.1), samples=8, seed=0).link_
    assert DEFAULT_POWER / 2.5 < link.power < DEFAULT_POWER * 2.5


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    fit = fitted(labelled(3, 4))
    trained = ConjugatePosterior().fit(fit, samples=6, seed=2)
    trained.save(tmp_path)
    rows = fit.process.rows(two_views(labelled(3, 2), seed=5))
    again = ConjugatePosterior.load(tmp_path)
    assert np.array_equal(again.draw(fit.process.latent(rows)), trained.draw(fit.process.latent(rows)))


@pytest.mark.parametrize("content", [None, "", "{}"])
def test_a_damaged_file_is_named(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "conjugate.safetensors").write_text(content)
    with pytest.raises(ValueError, match=r"conjugate\.safetensors is missing or damaged"):
        ConjugatePosterior.load(tmp_path)


def test_where_the_examples_say_nothing_no_intent_is_preferred() -> None:
    mean = np.array([[0.7, 0.2, 0.1]] * 3, np.float32)
    found = levelled(mean, np.array([0.5, 0.95, 1.0], np.float32))
    assert np.allclose(found[0], mean[0])
    assert np.allclose(found[2], 1 / 3)
    assert np.allclose(found[1], (mean[0] + 1 / 3) / 2, atol=1e-6)
    assert np.allclose(found.sum(axis=1), 1)
