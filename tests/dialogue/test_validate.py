"""Everything wrong with a project, all at once, each with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from dialogue.config import Config, PolicyPart
from dialogue.training.data import collect_data
from dialogue.training.validate import validate, validate_project

BOT = """\
intents:
- greet
- bye: {description: takes leave}
- faq
entities: [city]
slots:
  city:
    type: text
    mappings: [{type: from_entity, entity: city, conditions: [{active_loop: trip, requested_slot: city}]}]
responses:
  utter_greet:
  - text: "Hello from {city}"
    buttons: [{title: bye, payload: /bye}]
  utter_bye: [text: Bye]
  utter_ask_city: [text: Which city?]
  utter_faq/wifi: [text: Everywhere.]
forms:
  trip: {required_slots: [city]}
nlu:
- intent: greet
  examples: |
    - hi
    - from [Rome](city)
- intent: faq/wifi
  examples: |
    - wifi?
rules:
- rule: say hello
  steps: [intent: greet, action: utter_greet]
- rule: say bye
  steps: [intent: bye, action: utter_bye]
- rule: answer
  steps: [intent: faq, action: utter_faq]
stories:
- story: travel
  steps: [user: take me there, action: trip, active_loop: trip]
"""


def found(folder: Path, text: str, config: Config | None = None) -> list[str]:
    (folder / "it.yml").write_text(text, encoding="utf-8")
    data, problems = collect_data([folder])
    assert problems == []
    return [str(problem).replace(f"{folder}/", "") for problem in validate(config or Config(), data)]


def test_nothing_is_wrong_with_a_sound_bot(tmp_path: Path) -> None:
    assert found(tmp_path, BOT) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "steps: [intent: greet,",
            "steps: [intent: gret,",
            ["29:19: warning: intent 'gret' is not in the domain; did you mean 'greet'?"],
        ),
        (
            "action: utter_bye",
            "action: utter_by",
            ["action 'utter_by' is not in the domain; did you mean 'utter_bye'?"],
        ),
        ("[Rome](city)", "[Rome](town)", ["23:12: warning: entity 'town' is not in the domain; expected one of city"]),
        (
            "required_slots: [city]",
            "required_slots: [ctiy]",
            ["slot 'ctiy' is not in the domain; did you mean 'city'?"],
        ),
        (
            "{active_loop: trip",
            "{active_loop: tripp",
            ["warning: form 'tripp' is not in the domain; did you mean 'trip'?"],
        ),
        (
            "payload: /bye}",
            "payload: '/byee{}'}",
            ["warning: response 'utter_greet': a button means intent 'byee', unknown; did you mean 'bye'?"],
        ),
        ("- hi\n", "- hi\n    - hi\n", ["23:7: warning: 'hi' is already in 'greet', in it.yml:22:7"]),
        (
            "- wifi?",
            "- Hi",
            ["26:7: warning: 'Hi' is an example of 'faq/wifi' here and of 'greet' in it.yml:22:7; choose one"],
        ),
        (": {description: takes leave}", "", ["3:3: warning: intent 'bye' has neither examples nor a description"]),
        ("utter_faq/wifi", "utter_faq/wlan", ["no response 'utter_faq/wifi'", "'utter_faq/wlan' has no examples"]),
        (
            "- intent: greet\n",
            "- intent: faq\n",
            ["'faq' has examples of its own and is the retrieval intent of 'faq/wifi'"],
        ),
        (
            "utter_ask_city:",
            "utter_ask_citty:",
            ["form 'trip' cannot ask for 'city'; expected a response 'utter_ask_city'"],
        ),
        ("requested_slot: city", "requested_slot: requested_slot", ["form 'trip' never asks for 'requested_slot'"]),
        ("{city}", "{ctiy}", ["no slot fills {ctiy}; did you mean 'city'?"]),
        ("{city}", "{città}", ["no slot fills {città}"]),
        ("utter_bye: [", "utter_extra: [text: x]\n  utter_bye: [", ["response 'utter_extra' is never said"]),
        ("entities: [city]", "entities: [city, time]", ["entity 'time' is never marked or used"]),
        ("- greet\n", "- greet\n- lost: {description: x}\n", ["intent 'lost' is never answered"]),
        ("slots:\n", "slots:\n  lost: {type: any}\n", ["slot 'lost' is never read"]),
        ("forms:\n", "forms:\n  lost: {required_slots: []}\n", ["form 'lost' is never activated"]),
        (
            "entities:",
            "actions: [utter_lost, utter_greet, utter_faq]\nentities:",
            ["warning: 'utter_lost' says nothing: write it under responses", "action 'utter_lost' is never run"],
        ),
        ("entities:", "actions: [action_lost]\nentities:", ["is custom, but bot.yml says nothing", "is never run by"]),
        ("entities:", "actions: [action_restart]\nentities:", []),
        (
            "{type: from_entity, entity: city,",
            "{type: custom, action: action_gone}, {type: from_entity, entity: city,",
            ["warning: slot 'city': action 'action_gone' is not in the domain"],
        ),
        ("utter_bye", "say_bye", ["response 'say_bye': the names of responses begin with utter_"]),
        (
            "- rule: say bye\n",
            "- rule: again\n  steps: [intent: greet, action: utter_bye]\n- rule: say bye\n",
            ["'again' goes on with utter_bye after 'greet', but rule 'say hello' (", "with utter_greet, in the same"],
        ),
        (
            "stories:\n",
            "stories:\n- story: rude\n  steps: [intent: bye, action: utter_greet]\n",
            ["story 'rude' goes on with utter_greet after 'bye', but rule 'say bye' ("],
        ),
    ],
)
def test_each_mistake_is_found(tmp_path: Path, old: str, new: str, expected: list[str]) -> None:
    assert old in BOT
    lines = found(tmp_path, BOT.replace(old, new))
    assert all(any(part in line for line in lines) for part in expected), lines
    assert all(line.startswith("it.yml:") for line in lines)


def test_rules_with_different_conditions_do_not_contradict(tmp_path: Path) -> None:
    rule = "- rule: in form\n  condition: [active_loop: trip]\n  steps: [intent: greet, action: utter_bye]\nstories:\n"
    assert found(tmp_path, BOT.replace("stories:\n", rule)) == []


@pytest.mark.parametrize("written", ["utter_bye: []", "utter_bye: Bye", "utter_bye:"])
def test_a_response_with_a_mistake_is_told_of_once(tmp_path: Path, written: str) -> None:
    (tmp_path / "it.yml").write_text(BOT.replace("utter_bye: [text: Bye]", written), encoding="utf-8")
    data, problems = collect_data([tmp_path])
    assert [problem.is_error for problem in problems] == [True]
    assert list(validate(Config(), data)) == []


def test_an_unknown_name_is_told_once(tmp_path: Path) -> None:
    examples = "".join(f"    - in [Rome](town) {number}\n" for number in range(5))
    lines = found(tmp_path, BOT.replace("    - hi\n", examples))
    assert len([line for line in lines if "town" in line]) == 1
    assert "(and in 4 more places)" in lines[0]


def test_the_fallback_action_is_known(tmp_path: Path) -> None:
    config = Config(
        policies=[
            PolicyPart(type="rules"),
            PolicyPart.model_validate({"type": "fallback", "fall_back_action": "utter_by"}),
        ]
    )
    (line,) = found(tmp_path, BOT, config)
    assert line.endswith("action 'utter_by' is not in the domain; did you mean 'utter_bye'?")


def test_no_intents_at_all(tmp_path: Path) -> None:
    assert found(tmp_path, "slots: {}\n")[0].endswith("the training data declares no intents")


def test_too_few_examples_for_a_posterior_of_the_fusion(tmp_path: Path) -> None:
    (tmp_path / "data.yml").write_text(BOT, "utf-8")
    bot = "data: [data.yml]\nposterior: {type: ensemble, of: fusion}\n"
    (tmp_path / "bot.yml").write_text(bot, "utf-8")
    few = [str(p) for p in validate_project(tmp_path) if "posterior.of" in p.message]
    assert [line.partition(": posterior")[0] for line in few] == [f"{tmp_path}/bot.yml:2:29: warning"]
    assert "below 40 no fusion is trained" in few[0]
    many = "".join(f"    - hi number {number}\n" for number in range(40))
    (tmp_path / "data.yml").write_text(BOT.replace("    - hi\n", many, 1), "utf-8")
    assert not [p for p in validate_project(tmp_path) if "posterior.of" in p.message]


def test_a_whole_project(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "it.yml").write_text(BOT.replace("action: utter_bye", "action: utter_by"), encoding="utf-8")
    (tmp_path / "data" / "bad.yml").write_text("nlus: []\n", encoding="utf-8")
    (tmp_path / "bot.yml").write_text("policies: [rules, {type: memory, max_histori: 3}]\n", encoding="utf-8")
    lines = [str(problem).replace(f"{tmp_path}/", "") for problem in validate_project(tmp_path)]
    assert any(line.startswith("bot.yml:1:34: policy 'memory': unknown option 'max_histori'") for line in lines)
    assert any(line.startswith("data/bad.yml:1:1: warning: unknown section 'nlus'") for line in lines)
    assert any("action 'utter_by' is not in the domain" in line for line in lines)
    (tmp_path / "bot.yml").write_text("name: [\n", encoding="utf-8")
    assert "not valid YAML" in str(validate_project(tmp_path)[0])


def test_mistakes_of_every_kind_in_the_configuration_are_listed_at_once(tmp_path: Path) -> None:
    written = """\
server: {prot: 80}
duckling: {locale: en}
nmae: Nova
channels:
  telegrm: {token: t}
  slack: {token: t}
policies: [ruels, memory]
data: [nowhere]
"""
    (tmp_path / "bot.yml").write_text(written, encoding="utf-8")
    lines = [str(problem).replace(f"{tmp_path}/", "").partition(": ") for problem in validate_project(tmp_path)]
    found = {place: said for place, _, said in lines}
    assert "did you mean 'port'?" in found["bot.yml:1:10"]
    assert "expected a url" in found["bot.yml:2:11"]
    assert "did you mean 'name'?" in found["bot.yml:3:1"]
    assert "did you mean 'telegram'?" in found["bot.yml:5:3"]
    assert "signing_secret" in found["bot.yml:6:3"]
    assert "did you mean 'rules'?" in found["bot.yml:7:12"]
    assert "there is no file or folder" in found["bot.yml:8:8"]
    assert len(lines) == 7
