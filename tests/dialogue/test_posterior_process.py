"""The Gaussian process against textbook formulas and brute-force refits, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dialogue.posterior.process as process_module
from dialogue.posterior.kernel import take
from dialogue.posterior.process import factorised, fit_process, inverted
from tests.dialogue.toys import KERNEL, fitted, labelled, noise_rows, two_views

LABELS = np.concatenate([labelled(4, 3), [1, 4, 4, 0]])  # uneven, and not sorted
NOISE = 0.1


def targets(labels: Any, classes: int) -> Any:
    y = np.zeros((len(labels), classes))
    y[np.arange(len(labels)), labels] = 1
    return y


def textbook(train: Any, labels: Any, noise: Any, test: Any, classes: int) -> tuple[Any, Any]:
    """Mean [B, K] and variance [B] by Rasmussen & Williams (2.25) and (2.26)."""
    k = KERNEL.gram(train).astype(float) + np.diag(noise.astype(float))
    across = KERNEL(test, train).astype(float)
    inverse = np.linalg.inv(k)
    return across @ inverse @ targets(labels, classes), 1 - np.einsum("bn,nm,bm->b", across, inverse, across)


def uneven_noise(count: int) -> Any:
    return np.where(np.arange(count) % 3 == 0, 0.3, NOISE).astype(np.float32)


def test_mean_and_variance_are_the_textbook_s() -> None:
    train, test, noise = two_views(LABELS), two_views(labelled(3, 4), seed=3), uneven_noise(len(LABELS))
    process = fit_process(KERNEL, train, LABELS, 5, noise).process
    mean, variance = textbook(train, LABELS, noise, test, 5)
    rows = process.rows(test)
    assert np.allclose(process.mean(rows), mean, atol=1e-5)
    assert np.allclose(process.variance(rows), variance, atol=1e-5)


def test_amplitude_is_the_scale_that_fits_the_labels_best() -> None:
    fit = fitted(LABELS)
    y = targets(LABELS, 5)
    k = KERNEL.gram(fit.process.views).astype(float) + NOISE * np.eye(len(y))
    assert fit.process.amplitude == pytest.approx(np.trace(y.T @ np.linalg.inv(k) @ y) / y.size, rel=1e-4)


def test_an_example_left_out_looks_as_if_it_had_never_been_there() -> None:
    views, noise = two_views(LABELS), uneven_noise(len(LABELS))
    left_out = fit_process(KERNEL, views, LABELS, 5, noise).example_out
    for i in range(len(LABELS)):
        rest = np.delete(np.arange(len(LABELS)), i)
        itself = take(views, np.array([i]))
        mean, variance = textbook(take(views, rest), LABELS[rest], noise[rest], itself, 5)
        assert np.allclose(left_out.mean[i], mean[0], atol=2e-5)
        assert left_out.variance[i] == pytest.approx(variance[0], abs=2e-5)
        assert left_out.nearest[i] == pytest.approx(KERNEL(itself, take(views, rest)).max(), abs=1e-6)


def test_an_intent_left_out_looks_as_if_it_had_never_been_there() -> None:
    views, noise = two_views(LABELS), uneven_noise(len(LABELS))
    left_out = fit_process(KERNEL, views, LABELS, 5, noise).intent_out
    for i, intent in enumerate(LABELS):
        rest = np.flatnonzero(intent != LABELS)
        itself, others = take(views, np.array([i])), np.delete(np.arange(5), intent)
        mean, variance = textbook(take(views, rest), LABELS[rest], noise[rest], itself, 5)
        assert np.allclose(left_out.mean[i, others], mean[0, others], atol=2e-5)
        assert left_out.mean[i, intent] == -np.inf
        assert left_out.variance[i] == pytest.approx(variance[0], abs=2e-5)
        assert left_out.nearest[i] == pytest.approx(KERNEL(itself, take(views, rest)).max(), abs=1e-6)


@pytest.mark.parametrize("size", [1, 7, 1100])
def test_a_factor_and_its_inverse_are_numpy_s(size: int) -> None:
    rows = np.random.default_rng(0).standard_normal((size, 40)) / 7
    matrix = (rows @ rows.T + 0.5 * np.eye(size)).astype(np.float32)
    root = factorised(matrix.copy())
    assert np.allclose(root, np.linalg.cholesky(matrix.astype(float)), atol=2e-5)
    half = inverted(root)
    assert np.allclose(half.T @ half, np.linalg.inv(matrix.astype(float)), atol=2e-5)
    assert np.array_equal(half, np.tril(half))


@pytest.mark.parametrize(("entry", "why"), [(2.0, "not positive definite"), (np.nan, "NaN")])
def test_what_has_no_factor_is_refused(entry: float, why: str) -> None:
    matrix = np.eye(5, dtype=np.float32)
    matrix[1, 2] = matrix[2, 1] = entry
    with pytest.raises(FloatingPointError, match=why):
        factorised(matrix)


def test_inducing_texts_that_are_all_distinct_texts_give_the_exact_variance(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every text is there twice, so that every other one as inducing text loses nothing."""
    views = take(two_views(labelled(6, 5)), np.repeat(np.arange(30), 2))
    labels = labelled(6, 10)
    exact = fit_process(KERNEL, views, labels, 6, np.full(60, NOISE, np.float32)).process
    monkeypatch.setattr(process_module, "FULL_VARIANCE", 10)
    monkeypatch.setattr(process_module, "INDUCING", 30)
    sparse = fit_process(KERNEL, views, labels, 6, np.full(60, NOISE, np.float32)).process
    assert (sparse.inducing // 2).tolist() == list(range(30))
    rows = exact.rows(two_views(labelled(6, 3), seed=0, spread=1.5))
    assert np.allclose(exact.variance(rows), sparse.variance(rows), atol=2e-3)


def test_the_factor_of_inducing_texts_is_what_titsias_takes_off_and_gives_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_module, "FULL_VARIANCE", 10)
    monkeypatch.setattr(process_module, "INDUCING", 20)
    process = fitted(LABELS).process
    some = take(process.views, process.inducing)
    within = KERNEL(some, some).astype(np.float64) + process_module.JITTER * np.eye(20)
    across = KERNEL(some, process.views).astype(np.float64)
    rows = process.rows(two_views(LABELS, seed=5))
    k = rows[:, process.inducing].T.astype(np.float64)
    taken = (k * np.linalg.solve(within, k)).sum(axis=0)
    given = (k * np.linalg.solve(within + across @ across.T / NOISE, k)).sum(axis=0)
    assert np.allclose(process.variance(rows), 1 - taken + given, atol=1e-5)


def test_too_few_inducing_texts_never_claim_more_certainty_than_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = labelled(8, 10)
    exact = fitted(labels).process
    monkeypatch.setattr(process_module, "FULL_VARIANCE", 10)
    monkeypatch.setattr(process_module, "INDUCING", 20)
    few = fitted(labels).process
    rows = exact.rows(two_views(labels, seed=5))
    assert (few.variance(rows) >= exact.variance(rows) - 1e-3).all()
    assert np.allclose(few.mean(rows), exact.mean(rows))


def test_many_copies_of_one_text_can_still_be_factorised() -> None:
    labels = np.arange(400) % 2
    one = {name: take({name: view}, np.zeros(400, np.int64))[name] for name, view in two_views(labels[:2]).items()}
    fit = fit_process(KERNEL, one, labels, 2, np.full(400, 0.02, np.float32))
    mean = fit.process.mean(fit.process.rows(take(one, np.array([0]))))
    assert np.allclose(mean, 0.5, atol=0.02)
    assert np.isfinite(fit.example_out.mean).all()


def test_a_nan_in_a_view_raises() -> None:
    views = two_views(LABELS)
    views["dense"][3, 2] = np.nan
    with pytest.raises(FloatingPointError):
        fit_process(KERNEL, views, LABELS, 5, np.full(len(LABELS), NOISE, np.float32))


def test_certainty_shrinks_away_from_the_training_texts() -> None:
    process = fitted(LABELS).process
    near = process.variance(process.rows(process.views))
    far = process.variance(process.rows({"dense": noise_rows(9, 12, 4), "sparse": two_views(labelled(9, 1))["sparse"]}))
    assert near.mean() < far.mean()
