"""What the gate lets through, and what it thinks would help."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.confidence import COSTS, ConfidencePolicy
from policies.types import Belief, Candidate, Doubt, Kind, Pass
from tests.policies.worlds import belief, said, state

HERE = state(said("book"))
FLAT = [(f"intent_{index}", 0.025) for index in range(36)]


def judge(*means, where=HERE, **options):
    verdict = ConfidencePolicy(**options).judge(belief(*means), where)
    return verdict.kind if isinstance(verdict, Doubt) else Kind.ACT


@pytest.mark.parametrize("options", [{}, {"threshold": 0.7}])
@pytest.mark.parametrize(
    ("means", "kind"),
    [
        ([("book", 0.97), ("cancel", 0.01)], Kind.ACT),
        ([("book", 0.85), ("cancel", 0.05)], Kind.ACT),
        ([("book", 0.48), ("cancel", 0.46), ("faq", 0.01)], Kind.CLARIFY),
        ([("book", 0.3), ("cancel", 0.3), ("faq", 0.3)], Kind.CLARIFY),
        (FLAT, Kind.REPHRASE),
        ([("book", 0.04), ("cancel", 0.01)], Kind.REPHRASE),
        ([], Kind.REPHRASE),
    ],
)
def test_sure_torn_flat_and_unknown(means, kind, options):
    assert judge(*means, **options) is kind


@given(st.lists(st.integers(0, 9), min_size=1, max_size=8), st.data())
def test_the_best_answers_are_those_of_all_in_order(weights, data):
    total = sum(weights) + 1
    intents = [point(f"i{n}", w / total) for n, w in enumerate(sorted(weights, reverse=True))]
    asked = data.draw(st.sets(st.sampled_from([intent.name for intent in intents])))
    shares = (0.6, 0.3, 0.1)
    responses = {name: tuple(point(f"{name}/{n}", share) for n, share in enumerate(shares)) for name in asked}
    found = Belief(tuple(intents), 1 / total, 0.0, 0.0, responses)
    every = [
        (f"{one.name}/{n}", one.mean * share)
        for one in intents
        for n, share in (enumerate(shares) if one.name in asked else [("", 1.0)])
    ]
    every = [(name.removesuffix("/"), mean) for name, mean in sorted(every, key=lambda pair: -pair[1])]
    for most in (1, 3, len(every)):
        assert [(answer.name, answer.mean) for answer in found.best(most)] == every[:most]


def point(name, mean):
    return Candidate(name, mean, mean, mean)


def test_a_doubt_names_numbers_and_candidates():
    doubt = ConfidencePolicy().judge(belief(("book", 0.48), ("cancel", 0.46), ("faq", 0.01)), HERE)
    assert [candidate.name for candidate in doubt.candidates] == ["book", "cancel"]
    assert doubt.confidence == 0.48
    assert "book 0.48 (between 0.38 and 0.58)" in doubt.reason
    assert "cost 0.52" in doubt.reason


def test_a_turn_is_judged_once():
    assert judge(("book", 0.1), where=state(said("book", "utter_x"))) is Kind.ACT
    assert judge(("book", 0.1), where=state()) is Kind.ACT


def test_the_policy_itself_never_decides():
    assert isinstance(ConfidencePolicy().decide(belief(("book", 0.1)), HERE), Pass)


def test_costs_decide():
    torn = [("book", 0.5), ("cancel", 0.45)]
    assert judge(*torn, costs={"wrong": 0.1}) is Kind.ACT
    assert judge(*torn, costs={"hand_over": 0.1}) is Kind.HAND_OVER
    assert judge(*torn, costs={"fall_back": 0.05}) is Kind.FALL_BACK
    assert judge(*torn, costs={"clarify": 0.9}) is Kind.REPHRASE


def test_the_threshold_is_reached_not_passed():
    assert judge(("book", 0.7), threshold=0.7) is Kind.ACT
    assert judge(("book", 0.699), threshold=0.7) is Kind.REPHRASE


def test_none_of_the_intents_has_a_bound_of_its_own():
    assert judge(("book", 0.4), threshold=0.3) is Kind.REPHRASE
    assert judge(("book", 0.4), threshold=0.3, unknown=0.7) is Kind.ACT


def test_a_tie_above_the_threshold_is_asked():
    assert judge(("book", 0.45), ("cancel", 0.42), threshold=0.3) is Kind.CLARIFY
    assert judge(("book", 0.45), ("cancel", 0.42), threshold=0.3, margin=0.01) is Kind.ACT


@pytest.mark.parametrize(
    "options",
    [
        {"threshold": 1.5},
        {"threshold": float("nan")},
        {"unknown": -0.1},
        {"candidates": 1},
        {"costs": {"wrogn": 1.0}},
        {"costs": {"wrong": -1.0}},
        {"costs": {"wrong": float("nan")}},
        {"costs": {}, "threshold": 0.5},
    ],
)
def test_bad_options_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        ConfidencePolicy(**options)


@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=30), st.floats(0, 1))
def test_any_belief_gets_the_cheapest_way(weights, unknown):
    total = sum(weights) / (1 - unknown) if unknown < 1 else None
    means = sorted((weight / total if total else 0.0 for weight in weights), reverse=True)
    intents = tuple(Candidate(f"i{index}", mean, mean, mean) for index, mean in enumerate(means))
    verdict = ConfidencePolicy().judge(Belief(intents, max(0.0, 1 - sum(means)), 0.0, 0.0), HERE)
    risk = 1 - means[0]
    if isinstance(verdict, Pass):
        assert risk <= COSTS["rephrase"] + 1e-9
    else:
        assert risk > COSTS["clarify"]
        assert verdict.kind in (Kind.CLARIFY, Kind.REPHRASE)
