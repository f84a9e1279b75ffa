"""Stories and examples put into files: nothing else of a file changes."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest

from dialogue.errors import TrainingError
from dialogue.training.data import read_data
from dialogue.training.insertion import insert_example, insert_story
from policies.types import Entity
from tests.policies.worlds import action, story, user

NEW = story("new: one", user("greet"), action("utter_greet"))
FILE = """\
# What this bot knows.
version: "3.1"

stories:
  # The first one.
  - story: old   # it is old
    steps:
      - intent: bye
      - action: utter_bye

# Examples, for a start.
nlu:
- intent: bye
  examples: |
    - bye
    - see [you](person)   soon

- intent: greet
  examples: |
      - hi
      - hello

- intent: other
  examples: [a, b]
intents: [bye, greet, other]
entities: [person, city]
responses: {utter_bye: [text: Bye], utter_greet: [text: Hi]}
"""


def added(file: Path, before: str) -> list[str]:
    lines = list(difflib.ndiff(before.splitlines(), file.read_text("utf-8").splitlines()))
    assert not [line for line in lines if line[0] == "-"]
    return [line[2:] for line in lines if line[0] == "+"]


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_story_goes_after_the_last_one_in_its_indentation(tmp_path, ending):
    file = tmp_path / "all.yml"
    file.write_bytes(FILE.replace("\n", ending).encode())
    assert insert_story([tmp_path], NEW) == file
    assert added(file, FILE) == [
        '  - story: "new: one"',
        "    steps:",
        "    - intent: greet",
        "    - action: utter_greet",
    ]
    assert file.read_bytes().count(b"\r\n") == (len(FILE.splitlines()) + 4 if ending == "\r\n" else 0)
    assert [(told.name, told.steps) for told in read_data([tmp_path]).stories][1] == (NEW.name, NEW.steps)
    lines = file.read_text("utf-8").splitlines()
    assert lines.index("    - action: utter_greet") == lines.index("      - action: utter_bye") + 4


@pytest.mark.parametrize(("intent", "line"), [("bye", "    - so long"), ("greet", "      - so long")])
def test_an_example_goes_below_the_others_of_its_intent(tmp_path, intent, line):
    file = tmp_path / "all.yml"
    file.write_text(FILE)
    assert insert_example([tmp_path], "so long", intent) == file
    assert added(file, FILE) == [line]
    assert [one.intent for one in read_data([tmp_path]).examples if one.text == "so long"] == [intent]


def test_entities_are_marked(tmp_path):
    (tmp_path / "all.yml").write_text(FILE)
    insert_example([tmp_path], "to Rome", "greet", [Entity("city", 3, 7, "Rome", "x")])
    (found,) = [one for one in read_data([tmp_path]).examples if one.text == "to Rome"]
    assert [(one.entity, one.value) for one in found.entities] == [("city", "Rome")]


def test_what_has_no_place_goes_to_a_file_of_its_own(tmp_path):
    (tmp_path / "all.yml").write_text(
        FILE.replace("stories:", "stories: []\n_: ").partition("stories")[0]
        + FILE.partition("# Ex")[2].replace("amples, for a start.", "", 1)
    )
    own = tmp_path / "interactive.yml"
    assert insert_example([tmp_path], "c: d", "other") == own
    assert insert_story([tmp_path], NEW) == own
    assert insert_example([tmp_path], "- e", "other") == own
    assert insert_story([tmp_path], story("second", user("bye"), action("utter_bye"))) == own
    data = read_data([tmp_path])
    assert [told.name for told in data.stories] == ["new: one", "second"]
    assert [one.text for one in data.examples if one.intent == "other"] == ["a", "b", "c: d", "- e"]


@pytest.mark.parametrize("stories", ["stories: [{story: a, steps: [intent: bye]}]\n", "stories:\n", ""])
def test_stories_in_flow_style_are_left_alone(tmp_path, stories):
    (tmp_path / "all.yml").write_text(stories)
    assert insert_story([tmp_path], NEW).name == "interactive.yml"
    assert (tmp_path / "all.yml").read_text() == stories


def test_a_file_without_a_last_line_end_keeps_its_lines(tmp_path):
    (tmp_path / "all.yml").write_text("stories:\n- story: old\n  steps:\n  - intent: bye\n  - action: utter_bye")
    insert_story([tmp_path], NEW)
    assert [told.name for told in read_data([tmp_path]).stories] == ["old", "new: one"]


def test_what_cannot_be_written_is_told(tmp_path):
    file = tmp_path / "all.yml"
    file.write_text("nlu: []\n")
    with pytest.raises(TrainingError, match="name a folder"):
        insert_story([file], NEW)
    with pytest.raises(TrainingError, match="more than one line"):
        insert_example([tmp_path], "a\nb", "greet")
