"""Rasa projects without a bot.yml: their files, and the commands that read them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dialogue.checks import State
from dialogue.cli import app
from dialogue.config_file import load_config
from dialogue.doctor import project_checks
from dialogue.errors import ProjectError
from dialogue.project import fingerprint
from dialogue.training.validate import validate_project
from tests.dialogue.rasa_project import CONFIG, DOMAIN, ENDPOINTS, load, warnings, write


def test_the_domain_may_be_a_folder(tmp_path: Path) -> None:
    config = load(tmp_path, domain__a=DOMAIN, domain__deep__b="entities: [city]\n")
    assert config.data == ["data", "domain"]
    assert not any(problem.is_error for problem in validate_project(tmp_path))


def test_a_project_without_a_domain_is_told_so(tmp_path: Path) -> None:
    write(tmp_path, models__domain=DOMAIN)
    told = (
        "config.yml:1:1: the training data declares no intents: there is no domain.yml nor domain.yaml nor domain nor"
    )
    assert any(line.startswith(told) for line in warnings(tmp_path)), warnings(tmp_path)
    (tmp_path / "models").rename(tmp_path / "domains")
    assert not any(problem.is_error for problem in validate_project(tmp_path))


def test_a_bot_yml_goes_first(tmp_path: Path) -> None:
    config = load(tmp_path, bot="name: mine\n")
    assert (config.name, config.rows, config.file) == ("mine", (), tmp_path / "bot.yml")


@pytest.mark.parametrize("missing", ["config.yml", "both"])
def test_a_folder_that_is_neither(tmp_path: Path, missing: str) -> None:
    (tmp_path / ("config.yml" if missing == "both" else "domain.yml")).write_text("")
    with pytest.raises(ProjectError, match=r"A Rasa project has config\.yml, data and a domain"):
        load_config(tmp_path)


def test_training_is_stale_after_a_change_of_the_configuration_alone(tmp_path: Path) -> None:
    before = fingerprint(load(tmp_path, endpoints=ENDPOINTS))
    assert fingerprint(load(tmp_path)) == before
    assert fingerprint(load(tmp_path, CONFIG + "# changed\n")) != before


def test_training_data_of_rasa_1_are_named(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "data" / "nlu.md").write_text("## intent:greet\n- hi\n")
    (tmp_path / "data" / "stories.md").write_text("## happy path\r\n* greet\r\n  - utter_greet\r\n")
    (tmp_path / "data" / "README.md").write_text("# Data\n\n## Intents\n\nAll of them.\n")
    (tmp_path / "data" / "nlu.json").write_text('{"rasa_nlu_data": {}}')
    (tmp_path / "data" / "products.json").write_text('{"price": 1}')
    found = [line for line in warnings(tmp_path) if "data/" in line]
    assert [line.split(":")[0] for line in found] == ["data/nlu.json", "data/nlu.md", "data/stories.md"]
    assert all("is not read; convert it with" in line for line in found)


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_validate_prints_the_table_once(tmp_path: Path) -> None:
    write(tmp_path, endpoints=ENDPOINTS)
    result = run("validate", "--project", tmp_path)
    assert result.exit_code == 0
    assert result.stdout.count("MemoizationPolicy") == 1
    assert result.stdout.splitlines()[0].split() == ["Rasa", "starfold", "remark"]
    assert result.stdout.splitlines()[-1].startswith("0 errors, ")
    write(tmp_path, bot="name: mine\n")
    assert "Rasa" not in run("validate", "--project", tmp_path).stdout


def test_validate_tells_what_cannot_be_read(tmp_path: Path) -> None:
    result = run("validate", "--project", write(tmp_path, "pipeline: [\n"))
    assert (result.exit_code, result.stdout) == (3, "")
    assert "config.yml:2:1: not valid YAML" in result.stderr


@pytest.mark.parametrize("beside", [True, False])
def test_init_from_rasa(tmp_path: Path, beside: bool) -> None:
    rasa, target = write(tmp_path / "rasa"), tmp_path / ("rasa" if beside else "new")
    result = run("init", "--from-rasa", rasa, *([] if beside else [target]))
    assert result.exit_code == 0
    assert result.stdout == f"wrote {target / 'bot.yml'}; now: starfold chat --project {target}\n"
    assert load_config(target).name == "desk"


def test_init_from_what_is_no_rasa_project(tmp_path: Path) -> None:
    result = run("init", "--from-rasa", tmp_path)
    assert result.exit_code == 3
    assert "no Rasa project: expected config.yml" in result.stderr


def test_doctor_knows_a_rasa_project(tmp_path: Path) -> None:
    first = next(iter(project_checks(write(tmp_path))))
    assert (first.name, first.state, first.detail) == ("config.yml", State.OK, "desk, a Rasa project")
