"""Everything above the views together: invariants of the predictive, teaching, files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from dialogue.posterior.base import Predictive
from dialogue.posterior.family import Choice, PosteriorName
from dialogue.posterior.head import Head, HeadConfig, fit_head
from dialogue.posterior.kernel import ViewKernel, take
from dialogue.posterior.predictive import bounds, entropy, predictive, quantile
from tests.dialogue.toys import labelled, two_views

pytestmark = pytest.mark.usefixtures("short_runs")
NAMES: tuple[PosteriorName, ...] = get_args(PosteriorName)
FEWER = {"point": 1, "ensemble": 16}  # draws that are given at most
START = {"dense": ViewKernel(0.7, 3.0), "sparse": ViewKernel(0.3, 1.0)}


def made(labels: Any, name: PosteriorName = "conjugate", samples: int = 32, **options: Any) -> Head:
    config = HeadConfig(posterior=Choice(name), samples=samples)
    return fit_head(config, two_views(labels), labels, int(labels.max()) + 1, START, seed=0, **options)


def check(found: Predictive) -> None:
    """What must hold of every predictive."""
    assert np.allclose(found.mean.sum(axis=1) + found.unknown, 1, atol=1e-5)
    assert np.allclose(found.known.sum(axis=1), 1, atol=1e-5)
    assert (found.lower <= found.mean).all()
    assert (found.mean <= found.upper).all()
    assert (found.lower >= 0).all()
    assert (found.upper <= 1 + 1e-6).all()
    assert (found.mutual_information >= 0).all()
    assert (found.mutual_information <= found.entropy + 1e-5).all()
    assert (found.entropy <= np.log(found.mean.shape[1] + 1) + 1e-5).all()
    assert np.allclose(found.draws.mean(axis=0), found.mean, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("samples", [1, 2, 33])
def test_every_predictive_keeps_its_promises(name: PosteriorName, samples: int) -> None:
    head = made(labelled(5, 4), name, samples)
    found = head.predict(two_views(labelled(5, 3), seed=8))
    check(found)
    assert len(found.draws) == min(samples, FEWER.get(name, samples))
    if len(found.draws) == 1:
        assert np.array_equal(found.lower, found.mean)
        assert np.array_equal(found.upper, found.mean)
        assert (found.mutual_information < 1e-6).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(1, 4), st.integers(1, 6), st.integers(0, 9999), st.floats(0.05, 0.99))
def test_predictive_of_any_draws(samples: int, batch: int, classes: int, seed: int, interval: float) -> None:
    rng = np.random.default_rng(seed)
    known = rng.dirichlet(np.full(classes, 0.3), (samples, batch)).astype(np.float32)
    unknown = rng.beta(0.3, 0.3, (samples, batch)).astype(np.float32)
    check(predictive(known, unknown, interval))


def test_quantiles_are_numpy_s() -> None:
    draws = np.random.default_rng(0).random((37, 3, 2)).astype(np.float32)
    for share in (0, 0.1, 0.5, 0.9, 1):
        assert np.allclose(quantile(np.sort(draws, axis=0), share), np.quantile(draws, share, axis=0), atol=1e-6)


def test_the_interval_is_as_wide_as_the_draws_in_log_odds_times_the_root_of_two_around_the_mean() -> None:
    rng = np.random.default_rng(0)
    draws = expit(2 + 0.5 * rng.standard_normal((20_001, 1))).astype(np.float32)
    lower, upper = bounds(draws, 0.9)
    centre, reach = logit(draws.mean(axis=0, dtype=np.float64)), 1.645 * 0.5 * np.sqrt(2)
    assert logit(lower.astype(float)) == pytest.approx(centre - reach, abs=0.03)
    assert logit(upper.astype(float)) == pytest.approx(centre + reach, abs=0.03)


@pytest.mark.parametrize("p", [0.0, 1e-30, 0.3, 1.0])
def test_draws_that_agree_leave_no_interval(p: float) -> None:
    lower, upper = bounds(np.full((5, 2), p, np.float32), 0.9)
    assert np.allclose(lower, p, atol=1e-6)
    assert np.allclose(upper, p, atol=1e-6)


def test_entropy_and_mutual_information_have_their_textbook_values() -> None:
    assert entropy(np.full((1, 4), 0.25, np.float32))[0] == pytest.approx(np.log(4))
    assert entropy(np.array([[1.0, 0.0]], np.float32))[0] == pytest.approx(0, abs=1e-6)
    torn = np.array([[[1.0, 0.0]], [[0.0, 1.0]]], np.float32)
    sure = np.zeros((2, 1), np.float32)
    assert predictive(torn, sure, 0.9).mutual_information[0] == pytest.approx(np.log(2), abs=1e-5)
    even = np.full((2, 1, 2), 0.5, np.float32)
    assert predictive(even, sure, 0.9).mutual_information[0] == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("labels", [[0], [0, 1], [0, 0, 0], [0, 1, 2, 3, 4], [0, 0, 1, 1], [0, 0, 1]])
def test_the_smallest_bots_recognise_their_own_texts(name: PosteriorName, labels: list[int]) -> None:
    numbers = np.array(labels)
    found = made(numbers, name).predict(two_views(numbers))
    check(found)
    assert (found.mean.argmax(axis=1) == numbers).all()
    assert (found.unknown < 0.5).all()


def test_texts_are_predicted_the_same_alone_and_in_many_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dialogue.posterior.predictive.BLOCK", 4)
    head, views = made(labelled(4, 4)), two_views(labelled(3, 3), seed=2)
    whole = head.predict(views)
    for i in range(9):
        alone = head.predict(take(views, np.array([i])))
        for name in ("mean", "lower", "upper", "unknown", "entropy", "mutual_information"):
            assert np.allclose(getattr(alone, name)[0], getattr(whole, name)[i], atol=1e-5)
        assert np.allclose(alone.draws[:, 0], whole.draws[:, i], atol=1e-5)


def test_no_texts_give_an_empty_predictive() -> None:
    found = made(labelled(3, 3)).predict(take(two_views(labelled(3, 1)), slice(0, 0)))
    assert found.mean.shape == (0, 3)
    assert found.draws.shape == (32, 0, 3)


@pytest.mark.parametrize("name", NAMES)
def test_a_number_that_is_not_finite_raises(name: PosteriorName) -> None:
    head = made(labelled(3, 3), name)
    views: dict[str, Any] = dict(two_views(labelled(3, 1)))
    views["dense"][1, 1] = np.nan
    with pytest.raises(FloatingPointError, match="not finite"):
        head.predict(views)


def test_a_nan_in_training_raises() -> None:
    views: dict[str, Any] = dict(two_views(labelled(3, 3)))
    views["dense"][1, 1] = np.nan
    with pytest.raises(FloatingPointError):
        fit_head(HeadConfig(), views, labelled(3, 3), 3, START, seed=0)


def test_a_hint_counts_for_less_than_an_example() -> None:
    labels = labelled(4, 1)
    looser = np.array([4, 1, 1, 1], np.float32)
    views = take(two_views(labels), np.array([0]))
    assert made(labels, looseness=looser).predict(views).mean[0, 0] < made(labels).predict(views).mean[0, 0]


@pytest.mark.parametrize("name", ["conjugate", "point"])
def test_teaching_is_fitting_again_with_the_same_kernel(name: PosteriorName) -> None:
    labels = labelled(4, 3)
    head = made(labels, name)
    new = take(two_views(labels, seed=30), np.array([4]))
    before = head.predict(new)
    taught = head.teach(new, 3)
    after = taught.predict(new)
    assert after.mean[0, 3] > before.mean[0, 3]
    assert after.mean[0].argmax() == 3
    assert taught.process.kernel is head.process.kernel
    assert len(taught.process.labels) == 13
    assert len(head.process.labels) == 12
    assert np.array_equal(head.predict(new).mean, before.mean)


def test_more_examples_take_away_what_they_can_tell_and_not_what_they_cannot() -> None:
    """Texts of two kinds, each of two intents nobody can tell apart: mutual information falls, the rest does not."""
    kinds = labelled(2, 130)
    views = two_views(kinds, spread=0.4)
    labels = 2 * kinds + np.random.default_rng(0).integers(0, 2, 260)
    new = np.concatenate([np.arange(100, 130), np.arange(230, 260)])
    epistemic, aleatoric = [], []
    for each in (20, 100):
        rows = np.concatenate([np.arange(each), 130 + np.arange(each)])
        head = fit_head(HeadConfig(samples=128), take(views, rows), labels[rows], 4, START, seed=0)
        found = head.predict(take(views, new))
        epistemic.append(found.mutual_information.mean())
        aleatoric.append((found.entropy - found.mutual_information).mean())
    assert epistemic[1] < 0.8 * epistemic[0]
    assert aleatoric[1] > 0.9 * aleatoric[0]


def test_contributions_are_shares_of_the_latent_mean() -> None:
    head = made(labelled(4, 4))
    views = take(two_views(labelled(4, 1), seed=0), np.array([1]))
    parts = head.process.kernel.by_view(views, head.process.views)
    shares = head.contributions(parts, 1)
    assert sum(shares.values()) == pytest.approx(1)
    means = {name: float((k @ head.process.alpha)[0, 1]) for name, k in parts.items()}
    assert all(mean > 0 for mean in means.values())
    assert shares == pytest.approx({name: mean / sum(means.values()) for name, mean in means.items()}, abs=1e-4)


def test_left_out_scores_are_probabilities_and_known_texts_score_higher() -> None:
    scores = made(labelled(8, 6)).left_out
    for part in (scores.known, scores.unknown):
        assert part.shape == (48,)
        assert (part >= 0).all()
        assert (part <= 1).all()
    assert scores.known[scores.right].mean() > scores.unknown.mean() + 0.2


@pytest.mark.parametrize("name", NAMES)
def test_a_head_comes_back_from_disk(name: PosteriorName, tmp_path: Path) -> None:
    head = made(labelled(4, 3), name)
    head.save(tmp_path)
    views = two_views(labelled(3, 3), seed=2)
    again, found = Head.load(tmp_path).predict(views), head.predict(views)
    for attribute in Predictive.__slots__:
        assert np.allclose(getattr(again, attribute), getattr(found, attribute), atol=1e-6)
    assert Head.load(tmp_path).evidence == pytest.approx(head.evidence)
    assert np.array_equal(Head.load(tmp_path).left_out.known, head.left_out.known)


def test_evidence_that_is_not_known_comes_back_as_such(tmp_path: Path) -> None:
    made(labelled(3, 1)).save(tmp_path)
    assert json.loads((tmp_path / "head.json").read_text())["evidence"] is None
    assert np.isnan(Head.load(tmp_path).evidence)


@pytest.mark.parametrize("file", ["head.json", "process.safetensors", "views.safetensors", "conjugate.safetensors"])
@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_a_damaged_head_is_named(file: str, damage: str, tmp_path: Path) -> None:
    made(labelled(3, 2)).save(tmp_path)
    if damage == "gone":
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_bytes((tmp_path / file).read_bytes()[:10])
    with pytest.raises(ValueError, match=file):
        Head.load(tmp_path)
