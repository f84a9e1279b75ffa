"""Who is asked, who is followed, and what the gate keeps from everyone."""

import pytest

from policies.chain import Chain
from policies.confidence import ConfidencePolicy
from policies.fallback import FallbackPolicy
from policies.forms import FormPolicy
from policies.memory import MemoryPolicy
from policies.rules import RulePolicy
from policies.types import Kind
from tests.policies.worlds import action, belief, form, rule, said, state, story, user

STORIES = (
    rule("greet", user("greet"), action("utter_greet")),
    story("book", user("book"), action("utter_sure"), user("affirm"), action("action_book")),
    rule("chat", user("chat"), action("utter_chat")),
    story("stop", user("book"), action("booking"), form("booking"), user("stop"), action("utter_ask_continue")),
)


def chain(*more, order=("forms", "gate", "rules", "memory", "fallback")):
    made = {
        "forms": FormPolicy(),
        "gate": ConfidencePolicy(),
        "rules": RulePolicy(),
        "memory": MemoryPolicy(),
        "fallback": FallbackPolicy(),
    }
    return Chain([made[name] for name in order]).fit((*STORIES, *more))


def test_the_first_decision_is_followed_and_the_others_reasons_are_kept():
    decision = chain().decide(belief(("book", 0.9)), state(said("book")))
    assert (decision.action, decision.policy) == ("utter_sure", "memory")
    assert [name for name, _ in decision.passed] == ["forms", "confidence", "rules"]
    assert dict(decision.passed)["rules"] == "no rule applies"


@pytest.mark.parametrize(
    "order", [("gate", "rules", "memory", "fallback"), ("rules", "memory", "gate"), ("memory", "gate")]
)
@pytest.mark.parametrize("top", ["greet", "book", "affirm", "nonsense"])
def test_gibberish_never_triggers_an_action_wherever_the_gate_stands(order, top):
    decision = chain(order=order).decide(belief((top, 0.05)), state(said(top)))
    assert (decision.kind, decision.action) == (Kind.REPHRASE, "action_rephrase")


def test_gibberish_in_the_middle_of_a_story_neither():
    asked = said("book", "utter_sure")
    assert chain().decide(belief(("affirm", 0.05)), state(asked, said("affirm"))).kind is Kind.REPHRASE
    assert chain().decide(belief(("affirm", 0.95)), state(asked, said("affirm"))).action == "action_book"


def test_a_fallback_rule_of_the_project_answers_the_doubt():
    lost = rule("lost", user("nlu_fallback"), action("utter_lost"))
    decision = chain(lost).decide(belief(("greet", 0.05)), state(said("greet")))
    assert (decision.kind, decision.action, decision.policy) == (Kind.FALL_BACK, "utter_lost", "rules")


def test_a_form_may_take_any_message_as_an_answer():
    inside = state(said("greet"), active_form="booking", requested_slot="name")
    assert chain().decide(belief(("greet", 0.05)), inside).action == "booking"


def test_a_message_that_a_form_refuses_is_judged():
    refused = state(said("chat"), active_form="booking", rejected=frozenset({"booking"}))
    assert chain().decide(belief(("chat", 0.05)), refused).kind is Kind.REPHRASE
    assert chain().decide(belief(("chat", 0.95)), refused).action == "utter_chat"


def test_after_a_general_rule_the_form_asks_again():
    inside = state(said("chat", "utter_chat"), active_form="booking")
    assert chain().decide(belief(("chat", 0.95)), inside).action == "booking"
    asked = state(said("chat", "utter_chat", "booking"), active_form="booking")
    assert chain().decide(belief(("chat", 0.95)), asked).kind is Kind.LISTEN


def test_a_story_may_leave_a_form_for_a_question_of_its_own():
    left = (said("book", "booking"), said("stop", "utter_ask_continue"))
    decision = chain().decide(belief(("affirm", 0.95)), state(*left, said("affirm"), active_form="booking"))
    assert ("forms", "booking was left for utter_ask_continue") in decision.passed


def test_a_failed_turn_leaves_no_form():
    turns = (said("book", "booking"), said(None, "action_rephrase"), said("greet"))
    assert chain().decide(belief(("greet", 0.95)), state(*turns, active_form="booking")).action == "booking"


def test_a_chain_without_a_fallback_has_one_at_its_end():
    decision = Chain([]).decide(belief(("greet", 0.9)), state(said("greet")))
    assert decision.kind is Kind.FALL_BACK


@pytest.mark.parametrize("names", [("same", "same"), ("a/b", "c"), ("", "c")])
def test_names_are_told_apart_and_make_folders(names):
    with pytest.raises(ValueError, match="name"):
        Chain([RulePolicy(name=name) for name in names])


def test_save_and_load(tmp_path):
    first = chain()
    first.save(tmp_path)
    again = Chain([FormPolicy(), ConfidencePolicy(), RulePolicy(), MemoryPolicy(), FallbackPolicy()]).load(tmp_path)
    for intent in ("greet", "book", "chat"):
        seen, where = belief((intent, 0.95)), state(said(intent))
        assert again.decide(seen, where) == first.decide(seen, where)
    with pytest.raises(ValueError, match="others"):
        Chain([RulePolicy(name="others")]).load(tmp_path)
