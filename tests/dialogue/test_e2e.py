"""Test cases end to end: read, held with a real bot, and what came otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from dialogue.cli import app
from dialogue.e2e import TestCase, read_cases, run_cases, write_results
from dialogue.errors import ProjectError
from tests.dialogue.desk import DOMAIN, MemoryStore, make_bot
from tests.dialogue.small import write_small

CASES = """
fixtures:
- oslo:
  - city: Oslo
  - people: 2
test_cases:
- test_case: talk
  steps:
  - user: greet
  - bot: Hello!
  - user: weather
  - utter: utter_offer
  - user: bye
- test_case: book with a fixture
  fixtures: [oslo]
  steps:
  - slot_was_set: [city: oslo, people]
  - user: book
  - bot: Anything else?
  - slot_was_not_set: [note]
  - user: no smoking
  - utter: utter_booked
  - slot_was_set:
    - note: no smoking
"""


def cases(folder: Path, text: str = CASES) -> tuple[TestCase, ...]:
    (folder / "tests").mkdir(exist_ok=True)
    (folder / "tests" / "cases.yml").write_text(text)
    return read_cases(folder)


def differences(found: tuple[TestCase, ...], **options) -> list[list[str]]:
    store = MemoryStore()
    results = run_cases(found, make_bot(store=store), store, DOMAIN, **options)
    return [
        [line for line in result.difference if line[0] in "+-" and line[:2] not in ("++", "--")] for result in results
    ]


def test_conversations_are_held(tmp_path):
    assert differences(cases(tmp_path)) == [[], []]


def one(*steps: str) -> str:
    return "test_cases:\n- test_case: one\n  steps:\n" + "".join(f"  - {step}\n" for step in steps)


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        (["user: greet", "bot: Hullo!"], ["-bot: Hullo!", "+bot: Hello!"]),
        (["user: greet", "utter: utter_bye"], ["-utter: utter_bye", "+bot: Hello!"]),
        (["user: greet", "bot: Hello!", "bot: More."], ["-bot: More."]),
        (
            ["user: boom", "bot: Something else."],
            ["-bot: Something else.", "+bot: Sorry, something went wrong on my side. Please try again later."],
        ),
        (["user: book Rome", "slot_was_set: [city: Oslo]"], ["-slot_was_set: city='Oslo'", "+slots: city='Rome'"]),
        (["user: book Rome", "slot_was_not_set: [city]"], ["-slot_was_not_set: city", "+slots: city='Rome'"]),
        (["user: greet", "slot_was_set: [city]"], ["-slot_was_set: city", "+slots: city=None"]),
    ],
)
def test_what_comes_otherwise_is_told(tmp_path, steps, told):
    (found,) = differences(cases(tmp_path, one(*steps)))
    assert found == told


def test_replies_that_no_step_names_are_a_difference_only_beside_others(tmp_path):
    assert differences(cases(tmp_path, one("user: greet", "user: bye"))) == [[]]
    (found,) = differences(cases(tmp_path, one("user: weather", "bot: Sunny.")))
    assert found == ["-bot: Sunny.", "+bot: Shall I book?"]


def test_fail_fast_stops_at_the_first(tmp_path):
    found = cases(tmp_path, one("user: greet", "bot: No.") + "- test_case: two\n  steps: [user: greet]\n")
    assert len(differences(found)) == 2
    assert len(differences(found, fail_fast=True)) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("test_cases:\n- test_case: a\n", "expected the keys test_case and steps"),
        (one("says: hi"), "unknown key 'says'"),
        (one("user: a\n    bot: b"), "a step: expected one of user, bot, utter"),
        (
            "test_cases:\n- test_case: a\n  fixtures: [gold]\n  steps: [user: x]\nfixtures: [{golds: [a: 1]}]",
            "mean 'golds'",
        ),
        ("nlu: []", "no test cases; looked for `test_cases:`"),
    ],
)
def test_mistakes_have_their_place(tmp_path, text, message):
    with pytest.raises(ProjectError, match=message):
        cases(tmp_path, text)


def test_unknown_slots_and_responses_are_told_before_anything_runs(tmp_path):
    found = cases(tmp_path, one("user: greet", "utter: utter_greets", "slot_was_set: [citty: x]"))
    with pytest.raises(
        ProjectError, match=r"(?s)no response 'utter_greets'; did.*no slot 'citty'; did you mean 'city'"
    ):
        differences(found)


def test_one_case_of_a_file_can_be_chosen(tmp_path):
    cases(tmp_path)
    file = tmp_path / "tests" / "cases.yml"
    assert [case.name for case in read_cases(tmp_path, [f"{file}::talk"])] == ["talk"]
    with pytest.raises(ProjectError, match="no test case 'tolk'; did you mean 'talk'"):
        read_cases(tmp_path, [f"{file}::tolk"])


def test_results_are_written(tmp_path):
    found = cases(tmp_path, one("user: greet", "bot: No."))
    store = MemoryStore()
    write_results(list(run_cases(found, make_bot(store=store), store, DOMAIN)), tmp_path / "out" / "r.yml")
    (result,) = yaml.safe_load((tmp_path / "out" / "r.yml").read_text())
    assert result == {
        "name": "one",
        "pass_status": False,
        "expected_steps": ["user: greet", "bot: No."],
        "difference": ["--- expected", "+++ actual", "@@ -1,2 +1,2 @@", " user: greet", "-bot: No.", "+bot: Hello!"],
    }


def test_the_command(tmp_path):
    project = write_small(tmp_path / "small")
    (project / "tests").mkdir()
    (project / "tests" / "e2e.yml").write_text(one("user: hello there", "utter: utter_greet"))
    result = CliRunner().invoke(app, ["test", "e2e", "-p", str(project)])
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "1 of 1 test case passed"), result.output
    assert yaml.safe_load((project / "tests" / "e2e_results.yml").read_text())[0]["pass_status"] is True
    (project / "tests" / "e2e.yml").write_text(one("user: hello there", "bot: Nothing."))
    out = tmp_path / "r.yml"
    result = CliRunner().invoke(app, ["test", "e2e", "-p", str(project), "-o", str(out), "--fail-fast"])
    assert result.exit_code == 1
    assert "-bot: Nothing.\n+bot: Hello!" in result.stderr
    assert out.exists()
