"""Rasa's own example projects, unchanged: they validate, train and answer."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dialogue.config_file import load_config
from dialogue.message import Message
from dialogue.project import open_bot, teach
from dialogue.training.data import read_data
from dialogue.training.validate import validate_project
from policies.catalog import build
from policies.chain import Chain
from tests.dialogue.desk import Talk, make_bot
from tests.dialogue.rasa_project import cheapen

BOTS = os.environ.get("STARFOLD_RASA_BOTS")
NAMES = (
    *("concertbot", "e2ebot", "formbot", "init", "knowledgebasebot", "moodbot", "reminderbot"),
    *("responseselectorbot", "rules"),
)
pytestmark = pytest.mark.skipif(not BOTS, reason="STARFOLD_RASA_BOTS does not name a folder of Rasa projects")


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file() and ".starfold" not in file.parts
    }


@pytest.fixture(params=NAMES)
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A copy of a project. Nothing may change it, but for what starfold keeps in a folder of its own."""
    copy = Path(shutil.copytree(Path(BOTS or "") / request.param, tmp_path / request.param))
    before = files(copy)
    yield copy
    assert files(copy) == before


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the action server, which does not run here, and trained in no time."""
    cheapen(monkeypatch)


def test_there_is_nothing_wrong_with_it(project: Path) -> None:
    problems = validate_project(project)
    assert [str(problem) for problem in problems if problem.is_error] == []
    config = load_config(project)
    assert config.rows
    assert all(Path(row.where.file).is_file() for row in config.rows)
    assert (config.actions is not None) == ("url: " in text(project / "endpoints.yml"))


def text(file: Path) -> str:
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return "\n".join(line for line in lines if not line.startswith("#"))


@pytest.mark.usefixtures("cheap")
def test_it_trains_and_answers(project: Path) -> None:
    with closing(open_bot(project)) as bot:
        turn = bot.handle(Message("hello"))
        nonsense = bot.handle(Message("qzx vrr 8 blorp", sender="bob"))
    domain = read_data(load_config(project).data_paths).domain
    assert turn.belief.top is not None
    assert turn.belief.top.name == "greet"
    assert {reply.metadata["utter_action"] for reply in turn.replies} <= domain.responses.keys()
    assert turn.replies
    assert nonsense.decision.kind != "act"


@pytest.mark.usefixtures("cheap")
def test_what_is_taught_becomes_rasa_training_data(tmp_path: Path) -> None:
    copy = Path(shutil.copytree(Path(BOTS or "") / "init", tmp_path / "init"))
    open_bot(copy).close()
    teach(copy, "ahoy there", "greet")
    (taught,) = read_data([copy / "data" / "taught.yml"]).examples
    assert (taught.text, taught.intent) == ("ahoy there", "greet")


def shape(value: Any) -> Any:
    """Keys and types at every level; of a list every shape that occurs in it, once."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        shapes: list[Any] = []
        for inner in map(shape, value):
            shapes += [] if inner in shapes else [inner]
        return shapes
    return type(value).__name__


@pytest.mark.usefixtures("cheap")
def test_a_parse_has_the_shape_of_rasas_own(tmp_path: Path) -> None:
    copy = Path(shutil.copytree(Path(BOTS or "") / "init", tmp_path / "init"))
    golden = json.loads((Path(BOTS or "") / "golden" / "parse.json").read_text(encoding="utf-8"))
    with closing(open_bot(copy)) as bot:
        ours = json.loads(json.dumps(bot.parse(golden["text"])))
    del ours["belief"]
    assert shape(ours) == shape(golden)
    assert list(ours) == list(golden)
    assert {one["name"] for one in ours["intent_ranking"]} == {one["name"] for one in golden["intent_ranking"]}
    assert ours["text_tokens"] == golden["text_tokens"]
    assert ours["intent"]["name"] == golden["intent"]["name"]


def test_an_interrupted_form_takes_a_yes_to_another_question_as_none_to_its_own() -> None:
    folder = Path(BOTS or "") / "formbot"
    data = read_data([folder / "data", folder / "domain.yml"])
    policies = Chain([build(name) for name in ("forms", "rules", "memory", "fallback")]).fit(data.stories)
    talk = Talk(make_bot(domain=data.domain, policies=policies))
    said = [talk.say(line) for line in ("/request_restaurant", '/inform{"cuisine": "greek", "number": 3}')]
    assert said[-1] == ["Do you want to sit outside?"]
    assert talk.say("/stop") == ["Do you want to continue?"]
    assert talk.say("/affirm") == ["Do you want to sit outside?"]
    assert talk.tracker.slots["outdoor_seating"] is None
    assert talk.say("/affirm") == ["Please provide additional preferences"]
    assert talk.tracker.slots["outdoor_seating"] is True
