"""Measures and their intervals: against closed forms, other people's code, and what they promise."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest, norm
from sklearn.metrics import roc_auc_score

from dialogue.errors import ProjectError
from dialogue.report.intervals import bootstrap, calibrated_ece, wilson
from dialogue.report.measures import MEASURES, differences, estimate
from dialogue.report.outcomes import as_rows, from_rows, read_result
from dialogue.training import metrics
from tests.dialogue.reports import made

ROUNDS, RESAMPLES = 300, 200


@pytest.mark.parametrize(("hits", "of"), [(0, 1), (1, 1), (8, 10), (293, 303), (0, 5000)])
def test_shares_have_wilsons_interval(hits, of):
    oracle = binomtest(hits, of).proportion_ci(method="wilson")
    assert wilson(hits, of) == pytest.approx((oracle.low, oracle.high), abs=1e-9)


def test_wilson_takes_many_at_once():
    low, high = wilson(np.array([1, 5]), np.array([10, 10]))
    assert low == pytest.approx([wilson(1, 10)[0], wilson(5, 10)[0]])
    assert (low < high).all()


def test_the_bootstrap_covers_a_mean_as_often_as_it_says():
    rng = np.random.default_rng(1)
    known = np.ones(100, bool)
    held = 0
    for _ in range(ROUNDS):
        values = rng.exponential(1.0, 100)
        low, high = bootstrap(lambda rows, v=values: float(v[rows].mean()), known, RESAMPLES)
        held += low <= 1.0 <= high
    assert 0.90 <= held / ROUNDS <= 0.98


def test_the_paired_bootstrap_covers_a_difference_and_is_narrower_than_two_apart():
    # Both models find the same messages hard, so their errors go together; the second is .05 better on the average.
    rng = np.random.default_rng(2)
    known = np.ones(200, bool)
    held, paired, apart = 0, [], []
    for _ in range(ROUNDS):
        hard = rng.random(200)
        first, second = (hard < 0.80).astype(float), (hard + rng.normal(0, 0.05, 200) < 0.85).astype(float)
        low, high = bootstrap(lambda rows, a=first, b=second: float(b[rows].mean() - a[rows].mean()), known, RESAMPLES)
        truth = 0.05 - 0.0  # P(hard + noise < .85) is .85 but for the ends, where the noise is far from any border
        held += low <= truth <= high
        paired.append(high - low)
        ends = [bootstrap(lambda rows, x=x: float(x[rows].mean()), known, RESAMPLES) for x in (first, second)]
        apart.append(sum((high - low) ** 2 for low, high in ends) ** 0.5)
    assert 0.90 <= held / ROUNDS <= 0.99
    assert np.mean(paired) < 0.7 * np.mean(apart)


def test_the_bootstrap_covers_the_auroc_of_two_gaussians():
    rng = np.random.default_rng(3)
    outcomes, truth, held = made(120, 60), norm.cdf(1.5 / 2**0.5), 0
    for _ in range(ROUNDS // 2):
        drawn = replace(outcomes, none=rng.normal(1.5 * ~outcomes.known))
        low, high = bootstrap(lambda rows, x=drawn: MEASURES["oos_auroc"].of(x, rows), outcomes.known, RESAMPLES)
        held += low <= truth <= high
    assert 0.89 <= held / (ROUNDS // 2) <= 0.99


def test_in_and_out_of_scope_are_drawn_apart():
    known = np.arange(50) < 47
    counts = set()
    bootstrap(lambda rows: counts.add(int(known[rows].sum())) or 0.0, known, 50)
    assert counts == {47}


def test_true_probabilities_show_the_calibration_error_they_are_said_to():
    inside = 0
    for seed in range(60):
        outcomes = made(200, seed=seed)
        low, high = calibrated_ece(outcomes.sure, 200)
        inside += low <= metrics.ece(outcomes.sure, outcomes.right) <= high
    assert 52 <= inside <= 60
    low, high = calibrated_ece(outcomes.sure)
    assert 0 < low < high


def test_overconfidence_is_more_than_chance_explains():
    outcomes = made(400, seed=3)
    boast = outcomes.sure**0.2
    assert metrics.ece(boast, outcomes.right) > calibrated_ece(boast)[1]


def test_measures_are_what_they_are_called():
    outcomes = made(300, 80)
    everything = np.arange(380)
    value = {name: measure.of(outcomes, everything) for name, measure in MEASURES.items()}
    assert value["accuracy"] == outcomes.right[:300].mean()
    assert value["nll"] == pytest.approx(-np.log(outcomes.likely[:300]).mean())
    assert value["ece"] == metrics.ece(outcomes.sure[:300], outcomes.right[:300])
    assert value["aurc"] == metrics.aurc(outcomes.confidence, outcomes.right)
    assert value["oos_auroc"] == pytest.approx(roc_auc_score(~outcomes.known, outcomes.none))
    tied = replace(outcomes, none=np.round(outcomes.none, 1))
    assert MEASURES["oos_auroc"].of(tied, everything) == pytest.approx(roc_auc_score(~tied.known, tied.none))


def test_an_estimate_lies_in_its_interval_and_is_missing_where_there_is_none():
    outcomes = made(300)
    found = estimate(outcomes, MEASURES["accuracy"])
    assert found.lower < found.value < found.upper
    assert (found.lower, found.upper) == pytest.approx(wilson(int(outcomes.right.sum()), 300), abs=0.012)
    assert np.isnan(estimate(outcomes, MEASURES["oos_auroc"]).value)


def test_a_model_does_not_differ_from_itself_and_a_better_one_does():
    first, second = made(400, 50, seed=5), made(400, 50, seed=5, skill=2.5)
    same = differences(first, first)
    assert set(same) == set(MEASURES)
    assert all((one.difference.lower, one.difference.value, one.difference.upper) == (0, 0, 0) for one in same.values())
    found = differences(first, second)
    assert found["accuracy"].difference.lower > 0
    assert found["nll"].difference.upper < 0
    assert found["accuracy"].second - found["accuracy"].first == found["accuracy"].difference.value
    assert "oos_auroc" not in differences(made(50), made(50, skill=2.0))


def test_outcomes_survive_json():
    outcomes = made(20, 5)
    again = from_rows(json.loads(json.dumps(as_rows(outcomes), allow_nan=False)))
    assert (again.texts, again.truth, again.guess) == (outcomes.texts, outcomes.truth, outcomes.guess)
    assert (again.right == outcomes.right).all()
    for name in ("confidence", "lower", "upper", "none", "sure", "likely"):
        assert np.array_equal(getattr(again, name), getattr(outcomes, name), equal_nan=True)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("{", "expected a result of `starfold test nlu --json`"),
        ("{}", "'messages'"),
        ('{"messages": [{"text": "hi"}]}', "expected a result"),
        ('{"messages": []}', "no message is in scope"),
        (json.dumps({"messages": [{**as_rows(made(1))[0], "likely": None}]}), "likely: a number is missing"),
        (json.dumps({"messages": [{**as_rows(made(1))[0], "none": None}]}), "none: a number is missing"),
    ],
)
def test_a_file_that_is_no_result_is_refused(tmp_path, written, told):
    (tmp_path / "a.json").write_text(written)
    with pytest.raises(ProjectError, match=r"a\.json:1:1") as refused:
        read_result(tmp_path / "a.json")
    assert told in str(refused.value)
