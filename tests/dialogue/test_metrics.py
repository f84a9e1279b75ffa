"""The numbers of `test nlu`, by hand and against scikit-learn."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score, roc_curve

from dialogue.training import metrics

RNG = np.random.default_rng(7)
LABELS = st.lists(st.integers(0, 4), min_size=1, max_size=30)
SCORES = st.lists(st.integers(0, 8).map(lambda eighths: eighths / 8), min_size=1, max_size=25)


@given(LABELS, st.data())
def test_macro_f1_is_scikit_learns(truth, data):
    guess = data.draw(st.lists(st.integers(0, 4), min_size=len(truth), max_size=len(truth)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of classes that were never guessed
        expected = f1_score(truth, guess, average="macro")
    assert metrics.macro_f1(np.array(truth), np.array(guess)) == pytest.approx(expected)


def test_calibration_by_hand():
    confidence = np.array([0.95, 0.95, 0.95, 0.95, 0.5, 0.5])
    right = np.array([True, True, True, False, True, False])
    assert metrics.ece(confidence, right) == pytest.approx(4 / 6 * abs(0.95 - 0.75))
    assert metrics.ece(np.array([1.0, 0.0]), np.array([True, False])) == 0.0
    assert metrics.ece(np.array([1.0, 1.0]), np.array([False, False])) == 1.0


def test_calibrated_scores_have_a_small_error_and_overconfident_ones_a_large_one():
    p = RNG.random(20_000)
    right = RNG.random(20_000) < p
    assert metrics.ece(p, right) < 0.02
    assert metrics.ece(np.sqrt(p), right) > 0.1


def test_ranking_is_scikit_learns():
    inside, outside = RNG.beta(1, 4, 300).round(2), RNG.beta(4, 1, 200).round(2)
    truth, score = np.repeat([0, 1], [300, 200]), np.concatenate([inside, outside])
    found = metrics.ranking(inside, outside)
    assert found["oos_auroc"] == pytest.approx(roc_auc_score(truth, score))
    assert found["oos_aupr"] == pytest.approx(average_precision_score(truth, score))
    fpr, tpr, _ = roc_curve(truth, score, drop_intermediate=False)
    assert found["oos_fpr95"] == pytest.approx(fpr[np.argmax(tpr >= 0.95)])


@pytest.mark.parametrize(("inside", "outside"), [([], [0.5]), ([0.5], [])])
def test_without_both_sides_there_is_no_ranking(inside, outside):
    found = metrics.ranking(np.array(inside), np.array(outside))
    assert found == {"oos_auroc": None, "oos_aupr": None, "oos_fpr95": None}


def quality(threshold, known, right, unknown):
    """In-scope accuracy and out-of-scope recall, each message at a time."""
    hits = sum(r and k >= threshold for k, r in zip(known, right, strict=True)) / len(known)
    return hits + sum(u < threshold for u in unknown) / max(1, len(unknown))


@given(SCORES, st.data())
def test_no_threshold_is_better_than_the_best(known, data):
    right = data.draw(st.lists(st.booleans(), min_size=len(known), max_size=len(known)))
    unknown = data.draw(st.lists(st.integers(0, 8).map(lambda eighths: eighths / 8), max_size=25))
    best = metrics.best_threshold(np.array(known), np.array(right), np.array(unknown))
    reached = quality(best, known, right, unknown)
    assert all(quality(other, known, right, unknown) <= reached + 1e-9 for other in [0.0, *known, *unknown])


def test_without_unknown_messages_the_threshold_is_the_lowest_right_score():
    known, right = np.array([0.1, 0.3, 0.6, 0.9]), np.array([False, True, False, True])
    assert metrics.best_threshold(known, right, np.array([])) == 0.3


@given(SCORES, st.data(), st.floats(0, 1))
def test_the_threshold_for_an_error_keeps_it(score, data, most):
    right = data.draw(st.lists(st.booleans(), min_size=len(score), max_size=len(score)))
    scores, rights = np.array(score), np.array(right)
    threshold = metrics.threshold_for_error(scores, rights, most)
    kept = scores >= threshold
    assert not kept.any() or (~rights[kept]).mean() <= most + 1e-9
    lower = scores[scores < threshold]
    assert all((~rights[scores >= other]).mean() > most for other in lower)


def test_area_under_the_risk_coverage_curve_by_hand():
    score, right = np.array([0.2, 0.9, 0.5]), np.array([True, True, False])
    assert metrics.aurc(score, right) == pytest.approx((0 + 1 / 2 + 1 / 3) / 3)
    assert metrics.aurc(score, np.array([True] * 3)) == 0.0
    assert metrics.aurc(score, np.array([False] * 3)) == 1.0


def test_percentiles():
    assert metrics.percentiles(list(range(101))) == (50.0, 95.0)


def test_spans_are_right_when_kind_and_both_ends_are():
    truth = [frozenset({("city", 0, 4), ("day", 5, 9)}), frozenset()]
    assert metrics.span_f1(truth, truth) == 1.0
    assert metrics.span_f1([frozenset({("city", 0, 3), ("day", 5, 9)}), frozenset()], truth) == 0.5
    assert metrics.span_f1([frozenset({("date", 5, 9)}), frozenset({("city", 0, 4)})], truth) == 0.0
    assert metrics.span_f1([frozenset()], [frozenset()]) is None
