"""Rules and stories together, as Rasa's example bots write them: each line is replayed through the whole chain."""

from __future__ import annotations

from pathlib import Path

import pytest

from dialogue.replay import replay
from dialogue.training.checkpoints import join_blocks
from dialogue.training.data import read_data
from dialogue.training.stories import read_stories
from dialogue.training.types import Draft
from dialogue.training.yaml import parse_yaml
from policies.catalog import build
from policies.chain import Chain

DOMAIN = """
intents: [greet, ask_form, explain, chitchat, stop, affirm, deny, faq, inform, bye]
slots:
  name: {type: text, mappings: [{type: from_text}]}
  detailed: {type: bool, mappings: [{type: custom}]}
  hidden: {type: text, influence_conversation: false, mappings: [{type: custom}]}
forms:
  q_form: {required_slots: [name]}
responses: {}
rules:
- rule: hello
  steps: [intent: greet, action: utter_greet]
- rule: welcome
  conversation_start: true
  steps: [intent: greet, action: utter_welcome, action: utter_help]
- rule: form
  steps: [intent: ask_form, action: q_form, active_loop: q_form]
- rule: submit
  condition: [active_loop: q_form]
  steps: [action: q_form, active_loop: null, slot_was_set: [requested_slot: null], action: utter_submit]
- rule: explain the name
  condition: [active_loop: q_form, slot_was_set: [requested_slot: name]]
  steps: [intent: explain, action: utter_explain_name, action: q_form, active_loop: q_form]
- rule: chat
  steps: [intent: chitchat, action: utter_chat]
- rule: short
  condition: [slot_was_set: [detailed: false]]
  steps: [intent: faq, action: utter_faq]
- rule: long
  condition: [slot_was_set: [detailed: true]]
  steps: [intent: faq, action: utter_faq]
  wait_for_user_input: false
- rule: helped
  condition: [slot_was_set: [detailed: true]]
  steps: [action: utter_faq, action: utter_did_help, intent: affirm, action: utter_fine]
- rule: did not help
  condition: [slot_was_set: [detailed: true]]
  steps: [action: utter_faq, action: utter_did_help, intent: deny, action: utter_detailed]
- rule: lost
  steps: [intent: nlu_fallback, action: utter_lost]
stories:
- story: stop, go on
  steps: [intent: ask_form, action: q_form, active_loop: q_form, intent: stop, action: utter_ask_continue,
          intent: affirm, action: q_form, active_loop: null, action: utter_submit]
- story: stop, leave
  steps: [intent: ask_form, action: q_form, active_loop: q_form, intent: stop, action: utter_ask_continue,
          intent: deny, action: action_deactivate_loop, active_loop: null, intent: bye, action: utter_bye]
- story: explained within a form, by a story
  steps: [intent: ask_form, action: q_form, active_loop: q_form, intent: bye, action: utter_stay,
          action: q_form, active_loop: null, action: utter_submit]
"""
CHAIN = ("forms", "rules", "memory", "confidence", "fallback")
BEGIN = "intent: ask_form, action: q_form, active_loop: q_form"
END = "active_loop: null, action: utter_submit"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder: Path = tmp_path_factory.mktemp("rules")
    (folder / "all.yml").write_text(DOMAIN)
    data = read_data([folder])
    return data.domain, Chain([build(name) for name in CHAIN]).fit(data.stories)


def wrong(world, steps: str) -> list[tuple[str, str]]:
    domain, policies = world
    draft = Draft()
    table = parse_yaml(f"stories:\n- story: s\n  steps: [{steps}]".encode(), "s.yml", draft.report)
    read_stories(table.entries["stories"].value, draft)
    (told,) = join_blocks(draft.blocks, draft.report)
    assert draft.report.problems == []
    return [(check.expected, check.predicted) for check in replay(told, domain, policies).checks if not check.right]


@pytest.mark.parametrize(
    "steps",
    [
        f"{BEGIN}, {END}",
        f"{BEGIN}, intent: inform, action: q_form, {END}",
        # A question within the form: a rule for it, a general rule, a story; the form goes on by itself.
        f"{BEGIN}, slot_was_set: [requested_slot: name], intent: explain, action: utter_explain_name, action: q_form",
        f"{BEGIN}, intent: chitchat, action: utter_chat, action: q_form, intent: inform, action: q_form, {END}",
        f"{BEGIN}, intent: chitchat, action: utter_chat, action: q_form, intent: chitchat, action: utter_chat, "
        f"action: q_form, {END}",
        f"{BEGIN}, intent: bye, action: utter_stay, action: q_form, intent: inform, action: q_form, {END}",
        # A story that leaves the form to ask something.
        f"{BEGIN}, intent: stop, action: utter_ask_continue, intent: affirm, action: q_form, {END}",
        f"{BEGIN}, intent: stop, action: utter_ask_continue, intent: deny, action: action_deactivate_loop, "
        "active_loop: null, intent: bye, action: utter_bye",
        f"{BEGIN}, intent: chitchat, action: utter_chat, action: q_form, intent: stop, action: utter_ask_continue",
        # The start of a conversation, and later.
        "intent: greet, action: utter_welcome, action: utter_help, intent: greet, action: utter_greet",
        "intent: chitchat, action: utter_chat, intent: greet, action: utter_greet",
        # Conditions and rules that do not wait.
        "slot_was_set: [detailed: false], intent: faq, action: utter_faq",
        "slot_was_set: [detailed: true], intent: faq, action: utter_faq, action: utter_did_help, intent: affirm, "
        "action: utter_fine",
        "slot_was_set: [detailed: true], intent: faq, action: utter_faq, action: utter_did_help, intent: deny, "
        "action: utter_detailed, slot_was_set: [detailed: false], intent: faq, action: utter_faq",
        "intent: nlu_fallback, action: utter_lost, intent: chitchat, action: utter_chat",
    ],
)
def test_the_bot_does_as_the_rules_say(world, steps):
    assert wrong(world, steps) == []


@pytest.mark.parametrize(
    ("steps", "instead"),
    [
        ("intent: explain, action: utter_explain_name", "action_default_fallback"),  # only within the form
        (f"{BEGIN}, intent: explain, action: utter_explain_name", "action_default_fallback"),  # another question
        ("intent: faq, action: utter_faq", "action_default_fallback"),  # neither true nor false
        ("intent: affirm, action: utter_fine", "action_default_fallback"),
        ("intent: stop, action: utter_ask_continue", "action_default_fallback"),
        ("intent: greet, action: utter_greet", "utter_welcome"),
    ],
)
def test_and_not_elsewhere(world, steps, instead):
    assert wrong(world, steps)[0][1] == instead


LEAVES = """
intents: [ask_form, chitchat, deny]
forms: {q_form: {required_slots: []}}
rules:
- rule: chat
  steps: [intent: chitchat, action: utter_chat]
stories:
- story: talk on
  steps: [intent: ask_form, action: q_form, active_loop: q_form, intent: chitchat, action: utter_chat,
          intent: deny, action: action_deactivate_loop, active_loop: null]
"""


def test_a_story_may_keep_a_general_rule_from_going_back_to_the_form(tmp_path):
    (tmp_path / "all.yml").write_text(LEAVES)
    data = read_data([tmp_path])
    policies = Chain([build(name) for name in CHAIN])
    told = "intent: ask_form, action: q_form, active_loop: q_form, intent: chitchat, action: utter_chat, intent: deny"
    assert wrong((data.domain, policies.fit(data.stories)), f"{told}, action: action_deactivate_loop") == []
    (tmp_path / "saved").mkdir()
    policies.save(tmp_path / "saved")
    again = Chain([build(name) for name in CHAIN]).load(tmp_path / "saved")
    assert wrong((data.domain, again), f"{told}, action: action_deactivate_loop") == []
    alone = policies.fit([rule for rule in data.stories if rule.is_rule])
    assert wrong((data.domain, alone), told)[-1][1] != "action_listen"


LONG = """
intents: [help, bye, yes, no, sure]
responses: {utter_menu: [text: m], utter_yes: [text: y], utter_no: [text: n], utter_bye: [text: b]}
rules:
- rule: menu
  steps: [intent: help, action: utter_menu]
- rule: menu, yes
  steps: [intent: help, action: utter_menu, or: [intent: yes, intent: sure], action: utter_yes, intent: no,
          action: utter_no]
- rule: no
  steps: [intent: no, action: utter_bye]
- rule: bye
  steps: [intent: bye, action: utter_bye]
"""


@pytest.mark.parametrize(
    ("steps", "instead"),
    [
        ("intent: help, action: utter_menu, intent: yes, action: utter_yes, intent: no, action: utter_no", None),
        ("intent: help, action: utter_menu, intent: sure, action: utter_yes", None),
        ("intent: bye, action: utter_bye, intent: help, action: utter_menu, intent: yes, action: utter_yes", None),
        ("intent: help, action: utter_menu, intent: no, action: utter_no", "utter_bye"),
        ("intent: help, action: utter_menu, intent: bye, action: utter_bye, intent: yes", "action_default_fallback"),
        ("intent: yes, action: utter_yes", "action_default_fallback"),
    ],
)
def test_a_rule_of_several_user_turns(tmp_path, steps, instead):
    (tmp_path / "all.yml").write_text(LONG)
    data = read_data([tmp_path])
    found = wrong((data.domain, Chain([build(name) for name in CHAIN]).fit(data.stories)), steps)
    assert [predicted for _, predicted in found[:1]] == ([] if instead is None else [instead])


SILENT = """
intents: [cough, sneeze, more, greet]
forms: {q_form: {required_slots: []}}
rules:
- rule: to a cough nothing is said
  steps: [intent: cough]
- rule: greet
  steps: [intent: greet, action: utter_greet]
stories:
- story: nothing before it goes on
  steps: [intent: sneeze, intent: more, action: utter_more]
"""


@pytest.mark.parametrize(
    ("steps", "instead"),
    [
        ("intent: cough", None),
        ("intent: cough, intent: greet, action: utter_greet", None),
        ("intent: cough, action: utter_greet", "action_listen"),
        ("intent: sneeze, intent: more, action: utter_more", None),
        ("active_loop: q_form, intent: cough, action: utter_greet", "action_listen"),
    ],
)
def test_a_message_may_get_no_answer(tmp_path, steps, instead):
    (tmp_path / "all.yml").write_text(SILENT)
    data = read_data([tmp_path])
    world = data.domain, Chain([build("rules"), build("memory")]).fit(data.stories)
    assert [predicted for _, predicted in wrong(world, steps)[:1]] == ([] if instead is None else [instead])


@pytest.mark.skipif("not __import__('os').environ.get('STARFOLD_RASA_BOTS')", reason="STARFOLD_RASA_BOTS is not set")
def test_the_rules_of_rasas_own_rule_bot():
    import os

    bot = Path(os.environ["STARFOLD_RASA_BOTS"]) / "rules"
    data = read_data([bot / "domain.yml", bot / "data" / "rules.yml"])
    world = data.domain, Chain([build(name) for name in CHAIN]).fit(data.stories)
    begin = "intent: activate_q_form, action: loop_q_form, active_loop: loop_q_form"
    asks = "slot_was_set: [requested_slot: some_slot]"
    for steps in (
        f"intent: greet, action: utter_greet, {begin}, active_loop: null, action: utter_stop",
        f"{begin}, {asks}, intent: explain, action: utter_explain_some_slot, action: loop_q_form, intent: inform, "
        "action: loop_q_form, active_loop: null, slot_was_set: [requested_slot: null], action: utter_stop",
        "slot_was_set: [detailed_faq: true], intent: faq, action: utter_faq, action: utter_ask_did_help, "
        "intent: deny, action: utter_detailed_faq, action: utter_ask_did_help, intent: deny, action: utter_ask_stop, "
        "intent: affirm, action: utter_stop",
        "slot_was_set: [detailed_faq: true], intent: faq, action: utter_faq, action: utter_ask_did_help, "
        "intent: affirm, action: utter_continue",
    ):
        assert wrong(world, steps) == [], steps
