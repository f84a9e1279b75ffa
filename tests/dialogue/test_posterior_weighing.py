"""How the views are weighed: noise loses, the evidence grows, and the smallest bots fall back on the prior."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dialogue.posterior.weighing as weighing_module
from dialogue.posterior.evidence import leave_one_out_loss
from dialogue.posterior.kernel import ViewKernel, cosines
from dialogue.posterior.link import DEFAULT_POWER
from dialogue.posterior.process import fit_process
from dialogue.posterior.sample import balanced_sample
from dialogue.posterior.weighing import DEFAULT_NOISE, PRIOR_STRENGTH, normalised, weigh
from tests.dialogue.toys import good_and_noise, labelled, noise_rows, rows_of, sparse

EVEN = {"good": ViewKernel(0.5, 3.0), "noise": ViewKernel(0.5, 3.0)}


def test_a_view_of_pure_noise_has_nothing_to_say_of_new_texts() -> None:
    """It loses weight, and what is left is so steep that it only adds to the noise of the labels."""
    labels = labelled(20, 10)
    both = {"good": rows_of(labels, 40, 2.0, 0), "noise": noise_rows(200, 40, 1)}
    weighed = weigh(both, labels, EVEN, seed=0)
    alone = weigh({"good": both["good"]}, labels, {"good": ViewKernel(1.0, 3.0)}, seed=0)
    assert weighed.kernel.parts["noise"].weight < 0.4
    assert weighed.evidence > alone.evidence - 0.02
    fit = fit_process(weighed.kernel, both, labels, 20, np.full(200, weighed.noise, np.float32))
    new = {"good": rows_of(labels, 40, 2.0, 0)[::7], "noise": noise_rows(29, 40, 2)}
    said = {name: np.abs(k @ fit.process.alpha).sum() for name, k in weighed.kernel.by_view(new, both).items()}
    assert said["noise"] < 0.02 * said["good"]


def test_a_sparse_view_is_weighed_like_its_dense_twin() -> None:
    labels = labelled(5, 5)
    csr = sparse(rows_of(labels, 20, 0.6, 0))
    start = {"one": ViewKernel(0.5, 3.0), "noise": ViewKernel(0.5, 3.0)}
    found = [
        weigh({"one": view, "noise": noise_rows(25, 10, 1)}, labels, start, seed=0) for view in (csr, csr.toarray())
    ]
    assert found[0].evidence == pytest.approx(found[1].evidence, abs=1e-4)


def test_the_evidence_is_better_than_at_the_start() -> None:
    labels = labelled(8, 8)
    views = good_and_noise(labels)
    cosine = np.stack([cosines(view, view) for view in views.values()])  # [V, N, N]
    before = -leave_one_out_loss(np.log([0.5, 0.5, 3.0, 3.0, DEFAULT_NOISE, DEFAULT_POWER]), cosine, labels)[0]
    assert weigh(views, labels, EVEN, seed=0).evidence > before + 0.1


def test_where_there_are_few_texts_the_prior_holds_the_weights() -> None:
    labels = labelled(2, 2)
    weighed = weigh(good_and_noise(labels), labels, EVEN, seed=0)
    strayed = np.log(weighed.kernel.parts["good"].weight / 0.5)
    assert abs(strayed) < 0.7
    assert PRIOR_STRENGTH >= 1


@pytest.mark.parametrize("labels", [[0], [0, 1, 2, 3, 4], [0] * 6, [0, 0, 1], [0, 0, 0, 0, 1]])
def test_without_two_intents_of_two_texts_the_start_is_kept(labels: list[int]) -> None:
    numbers = np.array(labels)
    weighed = weigh(good_and_noise(numbers), numbers, EVEN, seed=0)
    assert weighed.kernel.parts == EVEN
    assert weighed.noise == DEFAULT_NOISE
    assert np.isnan(weighed.evidence)


def test_two_intents_of_two_texts_are_enough_to_weigh() -> None:
    labels = np.array([0, 0, 1, 1])
    assert np.isfinite(weigh(good_and_noise(labels), labels, EVEN, seed=0).evidence)


@pytest.mark.parametrize(("most", "asked"), [(1000, "leave_one_out_loss"), (100, "neighbours_loss")])
def test_a_sample_is_left_out_and_in_a_large_bot_the_nearest_of_all_answer_for_it(
    monkeypatch: pytest.MonkeyPatch, most: int, asked: str
) -> None:
    monkeypatch.setattr(weighing_module, "FEW_TEXTS", most)
    monkeypatch.setattr(weighing_module, "FEWEST", 24)
    left_out: list[int] = []
    real = getattr(weighing_module, asked)

    def spy(*given: Any) -> Any:
        left_out.append(len(given[-1] if asked == "leave_one_out_loss" else given[-1].y))
        return real(*given)

    monkeypatch.setattr(weighing_module, asked, spy)
    labels = labelled(6, 20)
    weighed = weigh(good_and_noise(labels), labels, EVEN, seed=0)
    assert set(left_out) == {24}
    assert weighed.kernel.parts["noise"].weight < weighed.kernel.parts["good"].weight
    assert weighed.evidence > -np.log(6) + 0.1  # a guess at one of six intents


@pytest.mark.parametrize("views", ["all alike", "alike in an intent", "nothing"])
def test_a_large_bot_of_repeated_or_empty_views_is_weighed(monkeypatch: pytest.MonkeyPatch, views: str) -> None:
    monkeypatch.setattr(weighing_module, "FEW_TEXTS", 10)
    labels = np.arange(200) % 4
    rows = {"all alike": rows_of(np.zeros(200, np.int64), 8, 0, 0), "alike in an intent": rows_of(labels, 8, 0, 0)}
    view = rows.get(views, np.zeros((200, 8), np.float32))
    weighed = weigh({"good": view, "noise": view}, labels, EVEN, seed=0)
    assert np.isfinite([weighed.evidence, weighed.noise]).all()
    assert (weighed.evidence > -0.01) == (views == "alike in an intent")


@pytest.mark.parametrize("most", [1000, 10])
def test_a_view_that_holds_a_nan_is_refused(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(weighing_module, "FEW_TEXTS", most)
    labels = labelled(4, 5)
    views = good_and_noise(labels)
    views["noise"][3, 3] = np.nan
    with pytest.raises(FloatingPointError, match="not finite"):
        weigh(views, labels, EVEN, seed=0)


def test_the_seed_decides() -> None:
    labels = labelled(4, 4)
    first, second = (weigh(good_and_noise(labels), labels, EVEN, seed=3) for _ in range(2))
    assert first == second


def test_weights_sum_to_one_and_a_negligible_one_is_zero() -> None:
    kernel = normalised({"a": ViewKernel(3.0, 1.0), "b": ViewKernel(1.0, 2.0), "c": ViewKernel(1e-4, 2.0)})
    assert kernel.parts == {"a": ViewKernel(0.75, 1.0), "b": ViewKernel(0.25, 2.0), "c": ViewKernel(0.0, 2.0)}


def test_a_balanced_sample_takes_the_same_number_of_every_intent() -> None:
    labels = np.concatenate([np.zeros(100, np.int64), np.ones(10, np.int64), np.full(3, 2)])
    sample = balanced_sample(labels, np.arange(113), 15, 0)
    assert np.bincount(labels[sample]).tolist() == [5, 5, 3]
    assert (np.diff(sample) > 0).all()
    assert balanced_sample(labels, np.arange(113), 113, 0).tolist() == list(range(113))


def test_a_balanced_sample_keeps_two_of_each_even_when_that_is_more_than_asked_for() -> None:
    labels = labelled(50, 4)
    assert np.bincount(labels[balanced_sample(labels, np.arange(200), 60, 0)]).tolist() == [2] * 50
