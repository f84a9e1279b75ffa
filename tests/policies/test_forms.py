"""When a form has the word."""

from dataclasses import replace

import pytest

from policies.chain import Chain
from policies.forms import FormPolicy
from policies.rules import RulePolicy
from policies.types import Kind, Pass
from tests.policies.worlds import belief, said, state

LOST = belief(("greet", 0.05))


def decide(*turns, **options):
    return FormPolicy().decide(LOST, state(*turns, active_form="booking", **options))


def test_an_active_form_takes_any_message_for_certain():
    verdict = decide(said("greet"))
    assert (verdict.kind, verdict.action, verdict.confidence) == (Kind.ACT, "booking", 1.0)
    assert "whatever its intent" in verdict.reason


def test_after_its_question_it_waits():
    verdict = decide(said("book", "booking"))
    assert (verdict.kind, verdict.confidence) == (Kind.LISTEN, 1.0)
    assert verdict.reason == "follows from booking: it waits for an answer"


def test_it_passes_when_there_is_nothing_for_it_to_do():
    assert isinstance(FormPolicy().decide(LOST, state(said("greet"))), Pass)
    assert isinstance(decide(), Pass)
    assert "refused" in decide(said("greet"), rejected=frozenset({"booking"})).reason
    assert decide(said("greet", "utter_greet")).reason == "booking was left for utter_greet"
    assert decide(said("stop", "utter_sure"), said("affirm")).reason == "booking was left for utter_sure"


def test_a_turn_that_was_not_understood_does_not_count_as_leaving():
    verdict = decide(said("book", "booking"), said(None, "action_rephrase"), said("greet"))
    assert verdict.action == "booking"


@pytest.mark.parametrize("intent", ["restart", "back", "session_start"])
def test_a_default_intent_goes_past_the_form_to_its_rule(intent):
    chain = Chain([FormPolicy(), RulePolicy()]).fit([])
    here = state(said("book", "booking"), said(intent), active_form="booking", requested_slot="city")
    decision = chain.decide(belief((intent, 1.0)), here)
    assert (decision.action, decision.policy) == (f"action_{intent}", "rules")
    assert decision.passed == (("forms", f"/{intent} is not for booking"),)
    refused = replace(here, rejected=frozenset({f"action_{intent}"}))
    assert chain.decide(belief((intent, 1.0)), refused).action == "booking"
