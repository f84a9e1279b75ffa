"""The conjugate posterior: its draws against a long Monte Carlo run, its scale, its files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax
from torch.quasirandom import SobolEngine

from dialogue.posterior.conjugate import DEFAULT_SCALE, ConjugatePosterior, calibrate, gaussian_draws, softmax_draws
from dialogue.posterior.process import LeftOut
from tests.dialogue.toys import fitted, labelled, two_views


@pytest.mark.parametrize(("samples", "tolerance"), [(256, 0.03), (4096, 0.005)])
def test_the_mean_over_the_draws_is_the_integral(samples: int, tolerance: float) -> None:
    fit = fitted(labelled(5, 3))
    posterior = ConjugatePosterior().fit(fit, samples=samples, seed=1)
    process = fit.process
    rows = process.rows(two_views(labelled(5, 2), seed=3))
    found = posterior.draw(process, rows).mean(axis=0)
    rng = np.random.default_rng(0)
    deviation = np.sqrt(process.amplitude * process.variance(rows)).astype(float)
    total = np.zeros(found.shape)
    for _ in range(20):
        z = rng.standard_normal((5000, 10, 5))
        total += softmax(posterior.scale_ * (process.mean(rows) + deviation[:, None] * z), axis=2).mean(axis=0)
    assert np.allclose(found, total / 20, atol=tolerance)


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


def test_one_draw_is_the_softmax_at_the_mean() -> None:
    fit = fitted(labelled(4, 3))
    posterior = ConjugatePosterior().fit(fit, samples=1, seed=0)
    rows = fit.process.rows(fit.process.views)
    expected = softmax(posterior.scale_ * fit.process.mean(rows), axis=1)
    assert np.allclose(posterior.draw(fit.process, rows), expected[None], atol=1e-6)


def test_softmax_draws_follow_the_formula() -> None:
    mean, deviation = np.array([[0.1, 0.5]], np.float32), np.array([0.3], np.float32)
    z = np.array([[1.0, -1.0], [0.0, 2.0]], np.float32)
    expected = softmax(4.0 * np.array([[0.4, 0.2], [0.1, 1.1]]), axis=1)
    assert np.allclose(softmax_draws(mean, deviation, z, 4.0)[:, 0], expected, atol=1e-6)


def test_the_scale_that_made_the_labels_is_found() -> None:
    rng = np.random.default_rng(0)
    mean = rng.uniform(0, 0.6, (1500, 4)).astype(np.float32)
    labels = np.array([rng.choice(4, p=p) for p in softmax(8.0 * mean.astype(float), axis=1)])
    nothing = np.zeros(1500, np.float32)
    assert calibrate(LeftOut(mean, nothing, nothing), labels, 1.0, 0) == pytest.approx(8.0, rel=0.15)


@pytest.mark.parametrize("labels", [[0], [0, 1, 2], [0, 0, 0], [0, 0, 1]])
def test_the_scale_of_the_smallest_bots_is_the_default(labels: list[int]) -> None:
    fit = fitted(np.array(labels))
    assert ConjugatePosterior().fit(fit, samples=8, seed=0).scale_ == DEFAULT_SCALE


def test_a_few_texts_hardly_move_the_scale() -> None:
    scale = ConjugatePosterior().fit(fitted(labelled(2, 2), spread=0.1), samples=8, seed=0).scale_
    assert DEFAULT_SCALE / 2.5 < scale < DEFAULT_SCALE * 2.5


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    fit = fitted(labelled(3, 4))
    trained = ConjugatePosterior().fit(fit, samples=6, seed=2)
    trained.save(tmp_path)
    rows = fit.process.rows(two_views(labelled(3, 2), seed=5))
    again = ConjugatePosterior.load(tmp_path)
    assert np.array_equal(again.draw(fit.process, rows), trained.draw(fit.process, rows))


@pytest.mark.parametrize("content", [None, "", "{}"])
def test_a_damaged_file_is_named(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "conjugate.safetensors").write_text(content)
    with pytest.raises(ValueError, match=r"conjugate\.safetensors is missing or damaged"):
        ConjugatePosterior.load(tmp_path)
