"""The ladder, and the last resort."""

import pytest

from policies.fallback import FallbackPolicy
from policies.types import Candidate, Doubt, Kind
from tests.policies.worlds import belief, said, state

TORN = belief(("book", 0.45), ("cancel", 0.4), ("faq", 0.001))
LOST = belief(("book", 0.01))
PAIR = (Candidate("book", 0.45, 0.4, 0.5), Candidate("cancel", 0.4, 0.3, 0.5))


def decide(kind, failures, seen=TORN, candidates=(), **options):
    doubt = Doubt(kind, "not sure", 0.45, candidates)
    return FallbackPolicy(**options).decide(seen, state(said(None), doubt=doubt, failures=failures))


def test_each_failure_goes_a_step_up():
    kinds = [decide(Kind.REPHRASE, failures).kind for failures in range(5)]
    assert kinds == [Kind.REPHRASE, Kind.CLARIFY, Kind.HAND_OVER, Kind.HAND_OVER, Kind.HAND_OVER]


def test_a_doubt_that_knows_better_skips_a_step():
    assert [decide(Kind.CLARIFY, failures).kind for failures in range(3)] == [
        Kind.CLARIFY,
        Kind.CLARIFY,
        Kind.HAND_OVER,
    ]
    assert decide(Kind.HAND_OVER, 0).kind is Kind.HAND_OVER


def test_what_is_not_on_the_ladder_stays_until_its_end():
    kinds = [decide(Kind.FALL_BACK, failures).kind for failures in range(3)]
    assert kinds == [Kind.FALL_BACK, Kind.FALL_BACK, Kind.HAND_OVER]


def test_a_question_offers_the_doubts_candidates_or_the_best():
    assert decide(Kind.CLARIFY, 0, candidates=PAIR).candidates == PAIR
    assert [candidate.name for candidate in decide(Kind.REPHRASE, 1).candidates] == ["book", "cancel"]
    assert decide(Kind.REPHRASE, 0, candidates=PAIR).candidates == ()


def test_the_reason_counts_the_failures():
    assert decide(Kind.REPHRASE, 0).reason == "not sure"
    assert decide(Kind.REPHRASE, 2).reason == "not sure; number 3 in a row"


def test_what_rather_means_none_of_the_intents_is_no_question():
    few = [("book", 0.2), ("cancel", 0.15), ("faq", 0.1)]
    more = [(f"other_{index}", 0.04) for index in range(8)]
    assert decide(Kind.REPHRASE, 1, belief(*few, *more)).kind is Kind.CLARIFY
    assert decide(Kind.REPHRASE, 1, belief(*few)).kind is Kind.REPHRASE


def test_nothing_to_offer_is_no_question():
    assert decide(Kind.REPHRASE, 1, LOST).kind is Kind.REPHRASE


def test_an_intent_without_rule_or_story_falls_back():
    verdict = FallbackPolicy().decide(belief(("book", 0.99)), state(said("book")))
    assert (verdict.kind, verdict.action, verdict.confidence) == (Kind.FALL_BACK, "action_default_fallback", 0.99)
    assert "after book" in verdict.reason


def test_within_a_turn_there_is_nothing_left_but_to_listen():
    assert FallbackPolicy().decide(TORN, state(said("book", "utter_book"))).kind is Kind.LISTEN
    assert FallbackPolicy().decide(TORN, state()).kind is Kind.LISTEN


@pytest.mark.parametrize("steps", [[], ["rephrase", "rephrase"], ["shout"], ["listen"]])
def test_a_ladder_of_other_steps_is_refused(steps):
    with pytest.raises(ValueError, match="steps"):
        FallbackPolicy(steps=steps)


def test_own_ladder():
    assert decide(Kind.REPHRASE, 1, steps=["rephrase", "fall_back"]).kind is Kind.FALL_BACK


def test_what_is_done_where_no_policy_knows_anything_can_be_chosen():
    policy = FallbackPolicy(fall_back_action="utter_no_idea")
    decision = policy.decide(belief(("greet", 0.9)), state(said("greet")))
    assert (decision.kind, decision.action) == (Kind.FALL_BACK, "utter_no_idea")
    refused = state(said("greet"), rejected=frozenset({"utter_no_idea"}))
    assert policy.decide(belief(("greet", 0.9)), refused).kind is Kind.LISTEN
