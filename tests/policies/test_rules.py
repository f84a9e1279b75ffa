"""When a rule applies, and which of several."""

import pytest

from policies.rules import RulePolicy
from policies.types import FILLED, Decision, Kind, Pass
from tests.policies.worlds import action, belief, form, rule, said, slot, state, user

SURE = belief(("greet", 0.9))


def decide(rules, where, seen=SURE):
    return RulePolicy().fit(rules).decide(seen, where)


def does(rules, where):
    verdict = decide(rules, where)
    return verdict.action if isinstance(verdict, Decision) else None


GREET = rule("greet", user("greet"), action("utter_greet"), action("utter_help"))


def test_a_rule_runs_its_actions_and_then_listens():
    assert does([GREET], state(said("greet"))) == "utter_greet"
    assert does([GREET], state(said("greet", "utter_greet"))) == "utter_help"
    verdict = decide([GREET], state(said("greet", "utter_greet", "utter_help")))
    assert (verdict.kind, verdict.action) == (Kind.LISTEN, "action_listen")


def test_the_answer_is_as_sure_as_the_intent_and_what_follows_is_certain():
    first, then, last = (
        decide([GREET], state(said("greet", *actions)))
        for actions in ((), ("utter_greet",), ("utter_greet", "utter_help"))
    )
    assert (first.confidence, first.reason) == (0.9, "rule 'greet' (rules.yml:1) answers greet")
    assert (then.confidence, then.reason) == (1.0, "follows from utter_greet: rule 'greet' (rules.yml:1) says so")
    assert (last.confidence, last.reason) == (1.0, "follows from utter_help: rule 'greet' (rules.yml:1) is done")


def test_a_shortcuts_own_confidence_counts():
    assert decide([GREET], state(said("greet")), belief(("greet", 0.6))).confidence == 0.6
    assert decide([], state(said("restart")), belief(("restart", 0.6))).confidence == 0.6


def test_what_came_before_does_not_matter():
    assert does([GREET], state(said("bye", "utter_bye"), said("greet"))) == "utter_greet"


@pytest.mark.parametrize("where", [state(), state(said("bye")), state(said(None)), state(said("greet", "utter_other"))])
def test_no_rule_no_decision(where):
    assert isinstance(decide([GREET], where), Pass)


def test_a_rule_for_a_retrieval_intent_takes_all_its_answers():
    rules = [rule("faq", user("faq"), action("utter_faq")), rule("wifi", user("chat/wifi"), action("utter_wifi"))]
    assert does(rules, state(said("faq"))) == "utter_faq"
    assert does(rules, state(said("faq/opening"))) == "utter_faq"
    assert does(rules, state(said("chat/wifi"))) == "utter_wifi"
    assert does(rules, state(said("chat/pets"))) is None


def test_entities_must_be_there_and_the_more_exact_rule_wins():
    rules = [
        rule("any", user("inform"), action("utter_any")),
        rule("city", user("inform", "city"), action("utter_city")),
    ]
    assert does(rules, state(said("inform"))) == "utter_any"
    assert does(rules, state(said("inform", entities=["date"]))) == "utter_any"
    assert does(rules, state(said("inform", entities=["date", "city"]))) == "utter_city"


def test_the_longest_rule_wins():
    rules = [
        rule("yes", user("affirm"), action("utter_fine")),
        rule("stop?", action("utter_ask_stop"), user("affirm"), action("utter_stop")),
    ]
    assert does(rules, state(said("bye", "utter_ask_stop"), said("affirm"))) == "utter_stop"
    assert does(rules, state(said("bye", "utter_other"), said("affirm"))) == "utter_fine"
    assert does(rules, state(said("affirm"))) == "utter_fine"


def test_slot_conditions():
    rules = [
        rule("short", user("faq"), action("utter_faq"), condition=[slot("detailed", False)]),
        rule("long", user("faq"), action("utter_long"), condition=[slot("detailed", True)]),
        rule("named", user("greet"), action("utter_name"), condition=[slot("name", FILLED)]),
        rule("nameless", user("greet"), action("utter_who"), condition=[slot("name", None)]),
    ]
    assert does(rules, state(said("faq"), slots={"detailed": False})) == "utter_faq"
    assert does(rules, state(said("faq"), slots={"detailed": True})) == "utter_long"
    assert does(rules, state(said("faq"), slots={"detailed": None})) is None
    assert does(rules, state(said("greet"), slots={"name": "Ada"})) == "utter_name"
    assert does(rules, state(said("greet"))) == "utter_who"


def test_only_at_the_start_of_a_conversation():
    rules = [rule("hello", user("greet"), action("utter_welcome"), conversation_start=True), GREET]
    assert does(rules[:1], state(said("greet"), started=False)) == "utter_welcome"
    assert does(rules[:1], state(said("greet"), started=True)) is None


def test_a_rule_that_does_not_wait_says_nothing_of_what_follows():
    rules = [
        rule("faq", user("faq"), action("utter_faq"), wait_for_user_input=False),
        rule("helped", action("utter_faq"), action("utter_ask_helped"), user("affirm"), action("utter_good")),
    ]
    assert does(rules[:1], state(said("faq", "utter_faq"))) is None
    assert does(rules, state(said("faq", "utter_faq"))) == "utter_ask_helped"
    assert does(rules, state(said("faq", "utter_faq", "utter_ask_helped"))) == "action_listen"


def test_a_rule_that_listens_and_then_acts_does_so_whatever_is_said():
    rules = [
        GREET,
        rule("ask", user("ask"), action("utter_ask")),
        rule("noted", action("utter_ask"), action("action_listen"), action("utter_noted"), action("utter_more")),
    ]
    asked = said("ask", "utter_ask")
    assert does(rules, state(asked)) == "action_listen"
    for intent in ("bye", "greet", None):
        verdict = decide(rules, state(asked, said(intent)))
        assert (verdict.kind, verdict.action, verdict.confidence) == (Kind.ACT, "utter_noted", 1.0)
        assert verdict.reason == "rule 'noted' (rules.yml:1) answers whatever is said"
    assert does(rules, state(asked, said("bye", "utter_noted"))) == "utter_more"
    assert does(rules, state(asked, said("bye", "utter_noted", "utter_more"))) == "action_listen"
    assert does(rules, state(said("bye"), said("greet"))) == "utter_greet"
    assert does(rules, state(asked, said("bye", "utter_noted", "utter_more"), said("bye"))) is None


def test_what_is_open_in_a_rule_may_lie_between_what_is_not():
    rules = [
        rule(
            "two",
            user("ask"),
            action("utter_ask"),
            action("action_listen"),
            action("utter_noted"),
            user("bye"),
            action("utter_bye"),
        )
    ]
    asked = said("ask", "utter_ask")
    assert does(rules, state(asked, said(None, "utter_noted"), said("bye"))) == "utter_bye"
    assert does(rules, state(said("greet", "utter_ask"), said(None))) is None


FORM_RULES = [
    rule("book", user("book"), action("booking"), form("booking")),
    rule(
        "submit",
        action("booking"),
        form(None),
        slot("requested_slot", None),
        action("utter_booked"),
        condition=[form("booking")],
    ),
    rule("explain", user("why"), action("utter_why_city"), condition=[form("booking"), slot("requested_slot", "city")]),
    rule("chat", user("chat"), action("utter_chat")),
]


def test_a_form_is_begun_and_submitted_by_rules():
    assert does(FORM_RULES, state(said("book"))) == "booking"
    assert does(FORM_RULES, state(said("book", "booking"), active_form="booking")) == "action_listen"
    assert does(FORM_RULES, state(said("book", "booking"))) == "utter_booked"


def test_a_rule_may_be_for_one_question_of_a_form():
    asked = {"requested_slot": "city"}
    assert does(FORM_RULES, state(said("why"), slots=asked, active_form="booking")) == "utter_why_city"
    assert does(FORM_RULES, state(said("why"), slots={"requested_slot": "day"}, active_form="booking")) is None
    assert does(FORM_RULES, state(said("why"), slots=asked)) is None


def test_after_a_general_rule_the_form_goes_on():
    inside = state(said("chat", "utter_chat"), active_form="booking")
    verdict = decide(FORM_RULES, inside)
    assert (verdict.kind, verdict.action, verdict.confidence) == (Kind.ACT, "booking", 1.0)
    assert verdict.reason == "follows from utter_chat: rule 'chat' (rules.yml:1) is done, so booking goes on"
    assert does(FORM_RULES, state(said("chat", "utter_chat"))) == "action_listen"


def test_what_was_not_understood_is_for_the_fallback_rule():
    verdict = decide([rule("lost", user("nlu_fallback"), action("utter_lost"))], state(said(None)))
    assert (verdict.kind, verdict.action, verdict.confidence) == (Kind.FALL_BACK, "utter_lost", 0.9)
    assert verdict.reason == "rule 'lost' (rules.yml:1) answers what was not understood"


def test_a_refused_action_is_not_decided_again():
    assert does([GREET], state(said("greet"), rejected=frozenset({"utter_greet"}))) is None


@pytest.mark.parametrize(
    ("intent", "name"),
    [("restart", "action_restart"), ("back", "action_back"), ("session_start", "action_session_start")],
)
def test_default_intents_need_no_rule(intent, name):
    assert does([], state(said(intent))) == name
    assert does([], state(said(intent, name))) is None


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "rules.json").write_text('{"version": 1, "stories": [{}]}')
    with pytest.raises(ValueError, match=r"rules\.json"):
        RulePolicy().load(tmp_path)
    with pytest.raises(ValueError, match=r"rules\.json"):
        RulePolicy().load(tmp_path / "nowhere")


def test_the_start_of_a_conversation_asks_for_more_than_any_time():
    rules = [GREET, rule("hello", user("greet"), action("utter_welcome"), conversation_start=True)]
    assert does(rules, state(said("greet"), started=False)) == "utter_welcome"
    assert does(rules, state(said("greet"))) == "utter_greet"


def test_a_rule_may_begin_with_what_the_bot_says_first():
    offered = rule("offer", action("utter_offer"), user("affirm"), action("action_book"))
    policy = RulePolicy().fit([offered, rule("yes", user("affirm"), action("utter_fine"))])
    assert policy.decide(SURE, state(said("affirm"), opening=("utter_offer",))).action == "action_book"
    assert policy.decide(SURE, state(said("affirm"), opening=("utter_greet",))).action == "utter_fine"
    assert policy.decide(SURE, state(said("affirm"))).action == "utter_fine"
