"""Rasa projects whose training data and domain are not at Rasa's default places."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dialogue.cli import app
from dialogue.config_file import load_config
from dialogue.project import teach, train
from dialogue.rasa.files import data_places
from dialogue.training.validate import validate_project
from tests.dialogue.rasa_project import CONFIG, DOMAIN, cheapen, warnings
from tests.dialogue.rasa_project import DATA as TRAINING

NLU, _, RULES = TRAINING.partition("rules:")
SPLIT = {
    "config.yml": CONFIG,
    "nlu.yml": "\ufeff" + NLU,
    "rules.yaml": 'version: "3.1"\r\n\r\nrules:' + RULES.replace("\n", "\r\n"),
    "chitchat/stories.yml": "# all of them\nstories:\n",
    "domain.yml": DOMAIN,
}


def put(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8", newline="")
    return folder


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_data_are_found_by_their_keys(tmp_path: Path) -> None:
    others = (
        *("test_stories.yml", "tests/stories.yml", ".github/nlu.yml", "venv/lib/nlu.yml", "models/nlu.yml"),
        *("results/failed_stories.yml", "node_modules/x/nlu.yml", "actions/credentials.yml", "endpoints.yml"),
    )
    put(tmp_path, SPLIT | dict.fromkeys(others, TRAINING) | {"venv/pyvenv.cfg": ""})
    put(tmp_path, {"lint.yml": "rules:\n- id: eval\n", "compose.yml": "services:\n  bot:\n    rules: [rule: x]\n"})
    assert load_config(tmp_path).data == ["chitchat/stories.yml", "nlu.yml", "rules.yaml", "domain.yml"]
    assert not any(problem.is_error for problem in validate_project(tmp_path)), warnings(tmp_path)


def test_the_folder_data_goes_first(tmp_path: Path) -> None:
    put(tmp_path, SPLIT | {"data/README.yml": "about: nothing\n"})
    assert "nlu.yml" in data_places(tmp_path)
    put(tmp_path, {"data/deep/all.yml": TRAINING})
    assert data_places(tmp_path) == ["data", "domain.yml"]


@pytest.mark.parametrize(
    ("domain", "places"),
    [
        ({"bot/domain_en.yml": DOMAIN}, ["data", "bot/domain_en.yml"]),
        (
            {
                "my/intents.yml": "intents: [greet, bye]\n",
                "my/say.yml": "responses:\n  # greetings\n  utter_greet:\n  - text: Hello\n",
                "my/slots.yml": "slots:\n  a:\n    type: any\n    mappings: []\n",
                "my/actions.yml": "actions:\n- action_give_up\n",
                "openapi.yml": "swagger: '2.0'\nresponses:\n  404:\n    description: gone\n",
            },
            ["data", "my/actions.yml", "my/intents.yml", "my/say.yml", "my/slots.yml"],
        ),
        ({"data/domain/all.yml": DOMAIN, "old/domain.yml": DOMAIN}, ["data"]),
        (
            {"data/say.yml": "responses: {utter_faq/a: [{text: b}]}\n", "bot/domain.yml": DOMAIN},
            ["data", "bot/domain.yml"],
        ),
    ],
)
def test_a_domain_is_found_by_its_keys(tmp_path: Path, domain: dict[str, str], places: list[str]) -> None:
    put(tmp_path, {"config.yml": CONFIG, "data/all.yml": TRAINING} | domain)
    assert data_places(tmp_path) == places


def test_a_file_of_both_is_named_once(tmp_path: Path) -> None:
    put(tmp_path, {"config.yml": CONFIG, "all.yml": TRAINING + DOMAIN.partition("\n")[2]})
    assert data_places(tmp_path) == ["all.yml"]


def test_a_broken_file_is_found_and_told(tmp_path: Path) -> None:
    put(tmp_path, SPLIT | {"nlu.yml": "nlu:\n- intent: greet\n  examples: [\n"})
    assert any(line.startswith("nlu.yml:4:1: not valid YAML") for line in warnings(tmp_path)), warnings(tmp_path)


def test_validate_names_the_files(tmp_path: Path) -> None:
    result = run("validate", "-p", put(tmp_path, SPLIT))
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["nlu.yml", "data", "found", "by", "its", "keys"] in lines
    assert not any(line[:1] == ["domain.yml"] for line in lines)


def test_init_from_rasa_names_the_files_too(tmp_path: Path) -> None:
    put(tmp_path / "rasa", SPLIT)
    found = load_config(tmp_path / "rasa").data
    assert run("init", "--from-rasa", tmp_path / "rasa", tmp_path / "new").exit_code == 0
    assert load_config(tmp_path / "new").data == [f"../rasa/{name}" for name in found]


def test_init_from_rasa_takes_other_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "rasa", {"config.yml": CONFIG, "data/old.yml": TRAINING, "domains/de/all.yml": DOMAIN})
    put(tmp_path, {"shared/nlu.yml": TRAINING})
    monkeypatch.chdir(tmp_path / "rasa")
    result = run("init", "--from-rasa", ".", "--data", "../shared", "--domain", "domains/de/all.yml")
    assert result.exit_code == 0, result.output
    config = load_config(Path())
    assert config.data == ["../shared", "domains/de/all.yml"]
    assert "found by its keys" not in Path("bot.yml").read_text(encoding="utf-8")


def test_only_the_domain_may_be_named(tmp_path: Path) -> None:
    put(tmp_path, SPLIT | {"domains/de/all.yml": DOMAIN})
    result = run("init", "--from-rasa", tmp_path, "--domain", tmp_path / "domains" / "de")
    assert result.exit_code == 0, result.output
    assert load_config(tmp_path).data == ["chitchat/stories.yml", "nlu.yml", "rules.yaml", "domains/de"]
    assert "found by its keys" in (tmp_path / "bot.yml").read_text(encoding="utf-8")


def test_other_commands_say_where_the_data_are_named(tmp_path: Path) -> None:
    for command in (["train"], ["validate"], ["chat"], ["run"], ["test", "stories"]):
        result = run(*command, "--data", tmp_path)
        assert result.exit_code == 2
        assert "`starfold init --from-rasa DIR --data PATH` names others" in " ".join(result.stderr.split())
        assert "No such option" in run(*command, "--date", tmp_path).stderr
    assert run("init", tmp_path / "bot", "--data", tmp_path).exit_code == 2


def test_what_is_taught_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cheapen(monkeypatch)
    put(tmp_path, SPLIT)
    train(tmp_path)
    teach(tmp_path, "ahoy there", "greet")
    assert "taught.yml" in load_config(tmp_path).data
    assert train(tmp_path).fresh
