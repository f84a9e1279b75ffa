"""Test stories on disk: found, read, replayed without a model, and those that failed written down."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dialogue.cli import app
from dialogue.config_file import load_config
from dialogue.errors import ProjectError
from dialogue.story_tests import FAILED, read_test_stories, run_test_stories, story_files
from dialogue.training.written import annotate, scalar, story_lines
from policies.types import FILLED, Entity, Story, StoryStep
from tests.dialogue.small import write_small
from tests.policies.worlds import action, form, slot, story, user

PASSING = """
stories:
- story: hello
  steps:
  - user: hello there
    intent: greet
  - action: utter_greet
- story: anything
  steps:
  - or:
    - intent: greet
    - intent: goodbye
  - checkpoint: open
- story: end
  steps:
  - checkpoint: open
  - slot_was_set: [{name: Ada}]
"""
FAILING = """
stories:
- story: "wrong: [really]"
  steps:
  - user: |
      how is the weather
    intent: weather
  - action: utter_greet
  - intent: wait
    entities: [city, {day: monday, role: from}]
  - action: action_wait
  - intent: goodbye
  - action: utter_goodbye
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = write_small(tmp_path / "small")
    (folder / "tests").mkdir()
    return folder


def write(project: Path, name: str, text: str) -> Path:
    (project / name).write_text('version: "3.1"\n' + text, "utf-8")
    return project / name


def run(*arguments: object):
    return CliRunner().invoke(app, ["test", "stories", *map(str, arguments)])


def test_the_files_are_found_by_name_in_data_and_tests(project):
    for name in ("data/test_a.yml", "tests/test_b.yaml", "tests/other.yml", "tests/.test_c.yml", "tests/test_d.txt"):
        write(project, name, PASSING)
    config = load_config(project)
    assert [file.name for file in story_files(config)] == ["test_a.yml", "test_b.yaml"]
    assert [file.name for file in story_files(config, [project / "tests"])] == ["other.yml", "test_b.yaml"]
    assert [file.name for file in story_files(config, [project / "tests" / "test_d.txt"])] == ["test_d.txt"]


def test_files_lie_beside_single_files_of_data(project):
    (project / "below").mkdir()
    for name in ("test_a.yml", "test_b.txt", "below/test_c.yml"):
        write(project, name, PASSING)
    write(project, "more.yml", "nlu: []")
    (project / "bot.yml").write_text("data: [data, more.yml]\n")
    config = load_config(project)
    assert [file.name for file in story_files(config)] == ["test_a.yml"]


def test_a_project_without_test_stories_is_told_so(project):
    write(project, "tests/test_nlu.yml", "nlu: []")
    with pytest.raises(ProjectError, match=r"no test stories; looked for `stories:` in .*test_nlu\.yml"):
        run_test_stories(project)
    assert run("-p", project).exit_code == 3


def test_mistakes_have_their_place(project):
    file = write(project, "tests/test_x.yml", "stories:\n- story: s\n  steps:\n  - intetn: a\n")
    with pytest.raises(ProjectError, match=rf"{file}:5:5: .*did you mean 'intent'"):
        run_test_stories(project)


def test_passing_stories_need_no_model(project, tmp_path):
    write(project, "tests/test_x.yml", PASSING.partition("- story: anything")[0])
    result = run("-p", project, "--json", tmp_path / "out.json")
    assert (result.exit_code, result.stdout) == (0, "1 of 1 story passed, 2 of 2 actions right\n")
    numbers = json.loads((tmp_path / "out.json").read_text())
    assert numbers.pop("seconds") > 0
    assert numbers == {"stories": 1, "passed": 1, "failed": 0, "actions_right": 2, "actions": 2}
    assert not (project / ".starfold").exists()


def test_or_and_checkpoints_are_joined(project):
    write(project, "tests/test_x.yml", PASSING)
    stories = read_test_stories(story_files(load_config(project)), load_config(project))
    assert [told.name for told in stories] == ["hello", "anything + end", "anything + end"]
    assert [told.steps[0].where.rpartition("/")[2] for told in stories] == [
        "test_x.yml:6:5",
        "test_x.yml:12:7",
        "test_x.yml:13:7",
    ]


def test_failed_stories_are_written_with_what_came_instead(project, tmp_path):
    file = write(
        project,
        "tests/test_x.yml",
        PASSING.partition("- story: anything")[0] + FAILING.partition("\n- ")[2].join(["- ", ""]),
    )
    result = run("-p", project, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert f"{file}:9:3: failed: wrong: [really]" in result.stderr
    written = (tmp_path / "out" / FAILED).read_text("utf-8")
    assert written == (
        'version: "3.1"\nstories:\n\n- story: "wrong: [really]"\n  steps:\n'
        "  - user: how is the weather\n    intent: weather\n"
        "  - action: utter_greet  # predicted: utter_weather (rules 1.00)\n"
        "  - intent: wait\n    entities:\n    - city\n    - day: monday\n      role: from\n"
        "  - action: action_wait  # then predicted: utter_greet (rules 1.00)\n"
        "  - intent: goodbye\n  - action: utter_goodbye\n"
    )
    again = run("-p", project, "--stories", tmp_path / "out" / FAILED, "--out", tmp_path / "out")
    assert again.exit_code == 1
    assert (tmp_path / "out" / FAILED).read_text("utf-8") == written


def test_a_pass_removes_what_an_earlier_failure_wrote(project):
    write(project, "tests/test_x.yml", FAILING)
    assert run("-p", project).exit_code == 1
    assert (project / ".starfold" / FAILED).exists()
    write(project, "tests/test_x.yml", PASSING.partition("- story: anything")[0])
    assert run("-p", project).exit_code == 0
    assert not (project / ".starfold" / FAILED).exists()


def test_end_to_end_the_model_reads_the_texts(project):
    right = "stories:\n- story: hello\n  steps:\n  - user: hello there\n    intent: greet\n  - action: utter_greet\n"
    write(project, "tests/test_x.yml", right)
    result = run("-p", project, "--e2e")
    assert result.exit_code == 0, result.output
    write(project, "tests/test_x.yml", right.replace("hello there", "see you later"))
    results = run_test_stories(project, e2e=True)
    assert {key: results.numbers()[key] for key in ("failed", "intents_right", "intents", "entities_right")} == {
        "failed": 1,
        "intents_right": 0,
        "intents": 1,
        "entities_right": 1,
    }
    assert run("-p", project).exit_code == 0  # by the annotated intent, with the policies of the fresh model


RASA_BOTS = os.environ.get("STARFOLD_RASA_BOTS")


@pytest.mark.skipif(not RASA_BOTS, reason="STARFOLD_RASA_BOTS does not name a folder of Rasa projects")
@pytest.mark.parametrize(("name", "stories"), [("init", 7), ("formbot", 3), ("e2ebot", 4)])
def test_the_test_stories_of_rasa_projects_pass(name, stories, tmp_path):
    bot = Path(RASA_BOTS or "") / name
    config = f'version: "1"\ndata: ["{bot / "domain.yml"}", "{bot / "data"}"]\nencoders: {{words: onehot}}\n'
    (tmp_path / "bot.yml").write_text(config)
    results = run_test_stories(tmp_path, files=[bot / "tests"])
    assert (len(results.replayed), results.failed) == (stories, ())


EVERYTHING = story(
    "all: of it",
    action("action_session_start"),
    StoryStep(intent="book", text='say "yes" [to]\n  Oslo', entities=(Entity("city", 17, 21, "Oslo", "annotation"),)),
    slot("city", FILLED),
    StoryStep(slots={"people": 2, "note": None, "likes": False, "tags": ["a", "b"], "city": "no"}),
    action("booking"),
    form("booking"),
    user("faq/wifi"),
    StoryStep(bot_text="# not a comment"),
    form(None),
    StoryStep(intent="inform", entities=(Entity("number", 0, 0, 3, "story", role="of", group="1"),)),
    action("utter_ok"),
)


def read_back(told: Story, folder: Path) -> Story:
    (folder / "test_it.yml").write_text("stories:\n" + "\n".join(story_lines(told, {2: ["odd: # note"]})), "utf-8")
    (folder / "data").mkdir()
    (folder / "bot.yml").write_text('version: "1"\n')
    (found,) = read_test_stories([folder / "test_it.yml"], load_config(folder))
    return found


def test_a_written_story_reads_back_the_same(tmp_path):
    found = read_back(EVERYTHING, tmp_path)
    assert (found.name, found.steps) == (EVERYTHING.name, EVERYTHING.steps)


@pytest.mark.parametrize(
    "text", ["yes", "null", "1.5", "a: b", "- x", "#", "", " a", "é", "a\x85b", "a\u2028b", "true"]
)
def test_a_scalar_reads_back_the_same(text, tmp_path):
    told = story("s", StoryStep(text=f"x{text}x" if text.strip() != text or not text else text), action("a"))
    assert read_back(told, tmp_path).steps == told.steps
    assert "\n" not in scalar(text)


def test_entities_are_marked_in_the_sentence():
    def at(start: int, end: int, name: str, value: str, **more) -> Entity:
        return Entity(name, start, end, value, "x", **more)

    text = "from Oslo to Rome"
    assert annotate(text, [at(13, 17, "city", "Rome"), at(5, 9, "city", "Oslo")]) == "from [Oslo](city) to [Rome](city)"
    assert annotate(text, [at(5, 9, "city", "oslo", role="from")]) == (
        'from [Oslo]{"entity": "city", "role": "from", "value": "oslo"} to Rome'
    )
    assert annotate(text, [at(5, 9, "city", "Oslo"), at(5, 9, "home", "Oslo")]) == (
        'from [Oslo][{"entity": "city"}, {"entity": "home"}] to Rome'
    )
    assert annotate(text, [at(5, 9, "city", "Oslo"), at(7, 12, "odd", "lo to")]) == "from [Oslo](city) to Rome"
