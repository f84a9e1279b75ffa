"""Rules and stories that cannot be followed as they are written, each with both places."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from dialogue.config import Config
from dialogue.training.conflicts import check_stories
from dialogue.training.data import collect_data

DOMAIN = """
slots:
  open: {type: bool, initial_value: false, mappings: [{type: custom}]}
  name: {type: text, mappings: [{type: custom}]}
forms: {trip: {required_slots: []}}
"""
HELLO = "- rule: hello\n  steps: [intent: greet, action: utter_greet]\n"
TRIP = "intent: go, action: trip, active_loop: trip"


def found(folder: Path, rules: str = "", stories: str = "", **options) -> list[str]:
    """What is wrong, as `line: message`; the rules begin in line 1, the stories in line 101."""
    (folder / "domain.yml").write_text(DOMAIN)
    (folder / "rules.yml").write_text(f"rules:\n{rules}" if rules else "")
    (folder / "stories.yml").write_text("\n" * 99 + f"stories:\n{stories}" if stories else "")
    data, problems = collect_data([folder])
    rest = {key: options.pop(key) for key in ("restrict", "check") if key in options}
    config = Config.model_validate({"policies": [{"type": "rules", **rest}, {"type": "memory", **options}]})
    lines = [str(problem) for problem in [*problems, *check_stories(config, data)]]
    return [line.replace(f"{folder}/", "") for line in lines]


def rule(name: str, steps: str, **more: object) -> str:
    extra = "".join(f"  {key}: {value}\n" for key, value in more.items())
    return f"- rule: {name}\n  steps: [{steps}]\n{extra}"


def story(*steps: str) -> str:
    return "".join(f"- story: s{number}\n  steps: [{line}]\n" for number, line in enumerate(steps))


@pytest.mark.parametrize(
    ("rules", "stories", "expected"),
    [
        (
            HELLO + rule("rude", "intent: greet, action: utter_bye"),
            "",
            "rules.yml:5:26: rule 'rude' goes on with utter_bye after 'greet', but rule 'hello' (rules.yml:3:26) "
            "with utter_greet, in the same situation",
        ),
        (
            rule("open", "action: utter_a, intent: yes, action: utter_b")
            + rule("too", "action: utter_a, intent: yes, action: utter_c"),
            "",
            "rule 'too' goes on with utter_c after 'yes', but rule 'open'",
        ),
        (
            HELLO + rule("more", "intent: greet, action: utter_greet, action: utter_help"),
            "",
            "rule 'more' goes on with utter_help after 'utter_greet', but rule 'hello' (rules.yml:3:26)",
        ),
        (
            HELLO,
            story("intent: greet, action: utter_bye"),
            "stories.yml:102:26: story 's0' goes on with utter_bye after 'greet', but rule 'hello' (rules.yml:3:26) "
            "with utter_greet",
        ),
        (
            HELLO,
            story("intent: greet, action: utter_greet, action: utter_more"),
            "with utter_more after 'utter_greet', but rule 'hello' (rules.yml:3:26) with action_listen",
        ),
        (
            rule("help", "action: utter_a, action: utter_b"),
            story("intent: greet, action: utter_a"),
            "story 's0' goes on with action_listen after 'utter_a', but rule 'help'",
        ),
        (
            rule("start", "intent: greet, action: utter_welcome", conversation_start="true"),
            story("intent: greet, action: utter_greet"),
            "with utter_greet after 'greet', but rule 'start'",
        ),
        (
            rule("closed", "intent: greet, action: utter_closed", condition="[slot_was_set: [open: false]]"),
            story("intent: greet, action: utter_greet"),
            "with utter_greet after 'greet', but rule 'closed'",
        ),
        (
            HELLO,
            story(f"{TRIP}, intent: greet, action: utter_bye"),
            "with utter_bye after 'greet', but rule 'hello'",
        ),
        (
            rule("open", "action: utter_bye, action: action_listen, action: utter_again"),
            story("intent: bye, action: utter_bye, intent: greet, action: utter_greet"),
            "with utter_greet after 'greet', but rule 'open' (rules.yml:3:53)",
        ),
        (
            rule("in", "intent: why, action: utter_why", condition="[active_loop: trip]"),
            story(f"{TRIP}, intent: why, action: utter_other"),
            "with utter_other after 'why', but rule 'in'",
        ),
        (
            "",
            story("intent: a, action: utter_a", "intent: a, action: utter_b"),
            "stories.yml:104:22: warning: story 's1' goes on with utter_b after 'a', but story 's0' "
            "(stories.yml:102:22) with utter_a; their last 5 user turns are the same",
        ),
        (
            "",
            story("intent: a, action: utter_a", "intent: a, action: utter_a, action: utter_b"),
            "warning: story 's1' goes on with utter_b after 'utter_a', but story 's0' (stories.yml:102:22)",
        ),
        (
            "",
            story("intent: a, bot: well, intent: b, action: utter_b"),
            "stories.yml:102:22: warning: story 's0' ends here, for words of the bot's own are not learned",
        ),
        (
            "",
            story(f"{TRIP}, action: utter_a"),
            "warning: story 's0' cannot be followed to utter_a: trip is active and waits for an answer",
        ),
        (
            "",
            story(
                "intent: a, action: utter_a, checkpoint: x",
                "checkpoint: y, intent: b, checkpoint: z",
                "checkpoint: z, intent: c, checkpoint: y",
                "checkpoint: x, intent: d, action: utter_d",
            ),
            "stories.yml:103:3: warning: no conversation reaches the part of 's1' after checkpoint 'y'",
        ),
        (
            rule("sure", "or: [intent: a, intent: b], action: utter_sure, intent: yes, action: utter_done"),
            "",
            "rules.yml:2:3: rule 'sure' has more than one user turn; write a story, or allow it: `restrict: false`",
        ),
        (
            rule("odd", "action: action_unlikely_intent, action: utter_odd"),
            "",
            "rules.yml:3:11: warning: rule 'odd' cannot be followed to here: nothing predicts action_unlikely_intent",
        ),
        (
            "",
            story("intent: a, action: action_unlikely_intent, action: utter_odd"),
            "warning: story 's0' cannot be followed to here: nothing predicts action_unlikely_intent",
        ),
        (
            "",
            story("slot_was_set: [open: false], intent: a, action: utter_a, checkpoint: x", "checkpoint: x, intent: b")
            + "- story: never\n  steps:\n  - checkpoint: x\n    slot_was_set: [open: true]\n  - intent: c\n",
            "warning: no conversation reaches the part of 'never' after checkpoint 'x'",
        ),
    ],
)
def test_each_is_found_with_both_places(tmp_path, rules, stories, expected):
    lines = found(tmp_path, rules, stories)
    assert any(expected in line for line in lines), lines


@pytest.mark.parametrize(
    ("rules", "stories"),
    [
        (HELLO + rule("start", "intent: greet, action: utter_hi", conversation_start="true"), ""),
        (HELLO + rule("start", "intent: greet, action: utter_hi", condition="[slot_was_set: [open: true]]"), ""),
        (HELLO + rule("start", "intent: greet, action: utter_hi", condition="[active_loop: trip]"), ""),
        (HELLO + rule("after", "action: utter_bye, intent: greet, action: utter_again"), ""),
        (HELLO + rule("open", "action: utter_bye, action: action_listen, action: utter_again"), ""),
        (HELLO + HELLO.replace("hello", "twin"), ""),
        (HELLO, story("intent: greet, action: utter_greet, intent: bye, action: utter_bye")),
        (HELLO, story(f"{TRIP}, intent: greet, action: trip, active_loop: null, action: utter_done")),
        (HELLO, story(f"{TRIP}, intent: greet, action: utter_greet, action: trip")),
        (HELLO, story(f"{TRIP}, intent: greet, action: utter_greet, intent: no, action: utter_no")),
        (HELLO, story("user: hello, action: utter_bye")),
        (rule("lost", "intent: nlu_fallback, action: utter_lost"), story("user: hello, action: utter_bye")),
        (
            rule("once", "intent: greet, action: utter_greet", wait_for_user_input="false"),
            story("intent: greet, action: utter_greet, action: utter_more"),
        ),
        (
            rule("start", "intent: greet, action: utter_welcome", conversation_start="true"),
            story("intent: bye, action: utter_bye, intent: greet, action: utter_greet"),
        ),
        ("", story("intent: a, action: utter_a", "{intent: a, entities: [city]}, action: utter_b")),
        ("", story("slot_was_set: [open: true], intent: a, action: utter_a", "intent: a, action: utter_b")),
        ("", story("intent: a, action: utter_a", "intent: b, action: utter_b, intent: a, action: utter_c")),
    ],
)
def test_what_is_no_contradiction_is_not_told(tmp_path, rules, stories):
    assert found(tmp_path, rules, stories) == []


def test_the_bots_memory_says_how_far_back_two_stories_are_compared(tmp_path):
    stories = story(
        "intent: x, action: utter_x, intent: a, action: utter_a",
        "intent: y, action: utter_y, intent: a, action: utter_b",
    )
    assert found(tmp_path, "", stories) == []
    assert "last 1 user turns" in found(tmp_path, "", stories, max_history=1)[0]


def test_rules_may_be_allowed_more_than_one_user_turn(tmp_path):
    long = rule("sure", "or: [intent: a, intent: b], action: utter_sure, intent: yes, action: utter_done")
    assert len(found(tmp_path, long)) == 1
    assert found(tmp_path, long, restrict=False) == []


def test_contradictions_may_be_warnings(tmp_path):
    rules, stories = HELLO + rule("rude", "intent: greet, action: utter_bye"), story("intent: greet, action: utter_hi")
    refused = found(tmp_path, rules, stories)
    assert len(refused) == 2
    assert not any("warning" in line for line in refused)
    warned = found(tmp_path, rules, stories, check=False)
    assert [line.replace("warning: ", "") for line in warned] == refused
    assert all("warning" in line for line in warned)


def test_a_contradiction_of_joined_stories_is_told_once(tmp_path):
    stories = story("intent: a, action: utter_a, checkpoint: x", "intent: b, action: utter_b, checkpoint: x")
    stories += "- story: end\n  steps: [checkpoint: x, intent: greet, action: utter_bye]\n"
    lines = found(tmp_path, HELLO, stories)
    assert len({line.partition(" story")[0] for line in lines}) == 1


def test_a_thousand_stories_and_rules_take_a_moment(tmp_path):
    rules = "".join(rule(f"r{n}", f"action: utter_{n}, intent: yes, action: utter_y{n}") for n in range(1000))
    stories = story(*(f"intent: i{n}, action: utter_{n}, intent: yes, action: utter_y{n}" for n in range(1000)))
    (tmp_path / "rules.yml").write_text(f"rules:\n{rules}stories:\n{stories}")
    data, _ = collect_data([tmp_path])
    start = time.process_time()
    assert list(check_stories(Config(), data)) == []
    assert time.process_time() - start < 2


RASA_BOTS = os.environ.get("STARFOLD_RASA_BOTS")


@pytest.mark.skipif(not RASA_BOTS, reason="STARFOLD_RASA_BOTS does not name a folder of Rasa projects")
def test_rasas_example_projects_raise_no_false_alarm():
    bots = sorted(path.parent for path in Path(RASA_BOTS or "").glob("*/domain.yml"))
    assert len(bots) == 9
    for bot in bots:
        data, problems = collect_data([bot / "domain.yml", bot / "data"])
        assert [*problems, *check_stories(Config(), data)] == []
