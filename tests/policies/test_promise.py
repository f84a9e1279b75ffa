"""A promised error is kept on messages nobody has seen, and no threshold is taken that was not shown to keep it."""

import json

import numpy as np
import pytest
from scipy.stats import binom

from policies.chain import Chain
from policies.confidence import ConfidencePolicy
from policies.promise import GRID, NEVER, binomial_tail, enough, keeping, least
from policies.types import Doubt, HeldOut, Kind, Pass
from tests.policies.worlds import belief, said, state

HERE = state(said("book"))


def drawn(rng, size, sharpness=3.0):
    """Messages whose score says nothing true: right with a probability that only rises with it."""
    scores = rng.beta(3, 1, size)
    return HeldOut(tuple(scores), tuple(bool(one) for one in rng.random(size) < 1 - 0.5 * (1 - scores) ** 0.7 * 0.6))


@pytest.mark.parametrize(("successes", "trials", "probability"), [(0, 300, 0.02), (3, 10, 0.3), (40, 9000, 0.01)])
def test_the_tail_is_the_binomials(successes, trials, probability):
    assert binomial_tail(successes, trials, probability) == pytest.approx(binom.cdf(successes, trials, probability))


def test_all_or_nothing_is_certain():
    assert binomial_tail(0, 0, 0.1) == binomial_tail(7, 7, 0.1) == 1.0


def test_the_promise_is_kept_as_often_as_it_says():
    rng, error, confidence = np.random.default_rng(0), 0.1, 0.8
    future = drawn(rng, 200_000)
    scores, right = np.array(future.scores), np.array(future.right)
    chosen = [keeping(drawn(rng, 1500), error, confidence) for _ in range(200)]
    assert all(threshold in GRID for threshold in chosen)
    broken = [(~right[scores >= threshold]).mean() > error for threshold in chosen]
    assert np.mean(broken) <= 1 - confidence
    assert len(set(chosen)) > 1  # and it does not keep it by answering nothing


def any_that_passes(held_out, error, confidence):
    """The wrong procedure: every threshold tested at the full level, whatever became of the stricter ones."""
    scores, right = np.array(held_out.scores), np.array(held_out.right)
    for threshold in reversed(GRID):
        answered = right[scores >= threshold]
        if binomial_tail(int((~answered).sum()), len(answered), error) <= 1 - confidence:
            return threshold
    return NEVER


def flat(rng):
    """Every answer wrong with the same probability, a hair above a promise of a tenth."""
    return HeldOut(tuple(rng.beta(2, 1, 300)), tuple(rng.random(300) > 0.1001))


def upside_down(rng):
    """The surest answers are the most often wrong, and about as many as the start of the sequence asks for."""
    sure = rng.random(120) < 0.3
    wrong = rng.random(120) < np.where(sure, 0.2, 0.0573)
    return HeldOut(tuple(np.where(sure, 0.99, 0.6)), tuple(~wrong))


@pytest.mark.parametrize("world", [flat, upside_down])
def test_where_no_threshold_is_good_one_is_taken_no_oftener_than_it_says(world):
    rng, confidence, times = np.random.default_rng(0), 0.8, 1500
    taken = [keeping(world(rng), 0.1, confidence) < NEVER for _ in range(times)]
    chance = 2 * np.sqrt(confidence * (1 - confidence) / times)
    assert 0.05 < np.mean(taken) <= 1 - confidence + chance


def test_to_take_whatever_passes_breaks_the_promise():
    rng = np.random.default_rng(0)
    taken = [any_that_passes(flat(rng), 0.1, 0.8) < NEVER for _ in range(300)]
    assert np.mean(taken) > 0.3  # where a fifth is allowed


def test_the_lowest_threshold_that_keeps_it_is_taken():
    scores = tuple(np.linspace(0.301, 0.999, 4000))
    assert keeping(HeldOut(scores, (True,) * 4000), 0.02, 0.95) == GRID[-1]
    wrong_below = HeldOut(scores, tuple(score > 0.72 for score in scores))
    assert 0.7 <= keeping(wrong_below, 0.02, 0.95) <= 0.72


def test_the_sequence_ends_at_the_first_that_fails():
    surest_wrong = HeldOut((0.999,) * 500 + (0.5,) * 4000, (False,) * 30 + (True,) * 4470)
    assert any_that_passes(surest_wrong, 0.02, 0.95) == GRID[-1]  # of all 4,500 few enough are wrong
    assert keeping(surest_wrong, 0.02, 0.95) == NEVER


def test_the_sequence_starts_where_enough_are_answered():
    few = least(0.02, 0.95)
    seldom_sure = HeldOut((0.999,) * (few - 1) + (0.701,), (True,) * few)
    assert keeping(seldom_sure, 0.02, 0.95) == GRID[-1]  # at .995 there is one too few, which is no failure
    one_wrong = HeldOut((0.999,) * few + (0.701,) * 3 * few, (False, *(True,) * (4 * few - 1)))
    assert few < enough(len(one_wrong.scores), 0.02, 0.95) < 3 * few
    assert keeping(one_wrong, 0.02, 0.95) == GRID[-1]  # nor is it one where a single wrong answer would fail


def test_too_few_messages_show_nothing():
    few = least(0.02, 0.95)
    enough, one_less = (HeldOut((0.99,) * n, (True,) * n) for n in (few, few - 1))
    assert keeping(enough, 0.02, 0.95) < NEVER == keeping(one_less, 0.02, 0.95)
    assert keeping(HeldOut((), ()), 0.02, 0.95) == NEVER


def gate(scores=4000):
    held_out = HeldOut(tuple(np.linspace(0.301, 0.999, scores)), (True,) * scores)
    policy = ConfidencePolicy(target_error=0.02)
    Chain([policy]).calibrate(lambda file: held_out)
    return policy


def test_the_gate_answers_from_its_threshold_on():
    assert isinstance(gate().judge(belief(("book", 0.31)), HERE), Pass)
    below = gate().judge(belief(("book", 0.2), ("cancel", 0.19)), HERE)
    assert isinstance(below, Doubt)
    assert below.kind is Kind.CLARIFY
    assert gate().judge(belief(("book", 0.05), ("cancel", 0.01)), HERE).kind is Kind.REPHRASE


def test_a_gate_that_can_promise_nothing_answers_nothing_and_says_why():
    doubt = gate(scores=20).judge(belief(("book", 0.99)), HERE)
    assert doubt.kind is Kind.REPHRASE
    assert f"that takes {least(0.02, 0.95)} messages or more" in doubt.reason


def test_a_gate_that_was_not_calibrated_does_not_guess():
    with pytest.raises(RuntimeError, match="not calibrated"):
        ConfidencePolicy(target_error=0.02).judge(belief(("book", 0.99)), HERE)


def test_the_threshold_is_saved(tmp_path):
    gate().save(tmp_path)
    assert ConfidencePolicy(target_error=0.02).load(tmp_path).threshold_ == GRID[-1]
    (tmp_path / "gate.json").write_text(json.dumps({"threshold": "high"}))
    with pytest.raises(ValueError, match=r"gate\.json"):
        ConfidencePolicy(target_error=0.02).load(tmp_path)


@pytest.mark.parametrize("options", [{"threshold": 0.7, "target_error": 0.1}, {"costs": {}, "target_error": 0.1}])
def test_one_rule_at_a_time(options):
    with pytest.raises(ValueError, match="expected one of costs, threshold and target_error"):
        ConfidencePolicy(**options)


@pytest.mark.parametrize("options", [{"target_error": 0.0}, {"target_error": 1.0}, {"confidence": 1.5}])
def test_promises_are_probabilities(options):
    with pytest.raises(ValueError, match="between 0 and 1"):
        ConfidencePolicy(**options)
