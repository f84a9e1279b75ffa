"""The bot.yml that says what a Rasa project says."""

from __future__ import annotations

from pathlib import Path

import pytest

from dialogue.config_file import load_config
from dialogue.errors import ProjectError
from dialogue.scaffold import write_translation
from tests.dialogue.rasa_project import CONFIG, ENDPOINTS, load, write


@pytest.mark.parametrize(
    ("config", "endpoints"),
    [
        (CONFIG, ENDPOINTS),
        ("", ""),
        ("", "nlg: {url: 'http://x', headers: {'a b': '${HOME}'}, basic_auth: {username: u, password: '${HOME}'}}"),
        ('assistant_id: "no: #1 \\"x\\" \\u00e4\\n"\nlanguage: pt-BR', "action_endpoint: {url: 'https://x/y?a=b#c'}"),
        ("pipeline: [{name: CountVectorsFeaturizer, max_ngram: 1}]\npolicies: [name: TEDPolicy]", ""),
        ("policies: [{name: RulePolicy, restrict_rules: false, check_for_contradictions: false}]", ""),
        ("assistant_id: 'true'\npolicies: [{name: RulePolicy, core_fallback_action_name: action_listen}]", ""),
    ],
)
def test_the_bot_yml_says_the_same(tmp_path: Path, config: str, endpoints: str) -> None:
    read = load(tmp_path, config, endpoints=endpoints)
    write_translation(tmp_path, tmp_path)
    written = load_config(tmp_path)
    assert written.file.name == "bot.yml"
    assert written.model_dump() == read.model_dump()


def test_the_bot_yml_tells_what_became_of_each_part(tmp_path: Path) -> None:
    config = load(tmp_path, CONFIG.replace("DIETClassifier", '"Own\\nThing"'))
    lines = write_translation(tmp_path, tmp_path).read_text(encoding="utf-8").splitlines()
    comments = [line for line in lines if line.startswith("#")]
    assert (
        len([line for line in comments if any(line.startswith(f"# {one.name.split()[0]}") for one in config.rows)]) >= 8
    )
    assert load_config(tmp_path).model_dump() == config.model_dump()


def test_secrets_stay_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_PASSWORD", "s3cret")
    endpoints = "tracker_store: {type: sql, dialect: postgresql, username: me, password: '${DB_PASSWORD}', db: bot}\n"
    read = load(tmp_path, endpoints=endpoints)
    text = write_translation(tmp_path, tmp_path).read_text(encoding="utf-8")
    assert "s3cret" not in text
    assert load_config(tmp_path).store_url == read.store_url == "postgresql://me:s3cret@localhost/bot"


def test_the_bot_yml_may_lie_elsewhere(tmp_path: Path) -> None:
    read = load(tmp_path / "rasa")
    target = tmp_path / "new" / "bot"
    write_translation(tmp_path / "rasa", target)
    written = load_config(target)
    assert [path.resolve() for path in written.data_paths] == [path.resolve() for path in read.data_paths]
    assert written.data == ["../../rasa/data", "../../rasa/domain.yml"]
    assert sorted(path.name for path in (tmp_path / "rasa").iterdir()) == ["config.yml", "data", "domain.yml"]


def test_files_keep_their_place_when_it_lies_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "rasa").mkdir()
    (tmp_path / "rasa" / "actions.py").write_text("")
    nlg = f"nlg: {{url: 'http://x', cafile: {tmp_path}/ca.pem}}\n"
    (tmp_path / "ca.pem").write_text("")
    load(tmp_path / "rasa", endpoints=f"action_endpoint: {{actions_module: actions}}\n{nlg}")
    write_translation(tmp_path / "rasa", tmp_path / "new")
    written = load_config(tmp_path / "new")
    assert written.actions is not None
    assert written.nlg is not None
    assert (written.actions.file, written.nlg.cafile) == ("../rasa/actions.py", f"{tmp_path}/ca.pem")


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    write(tmp_path, bot="name: mine\n")
    with pytest.raises(ProjectError, match="exists already"):
        write_translation(tmp_path, tmp_path)
    assert (tmp_path / "bot.yml").read_text() == "name: mine\n"


def test_a_project_with_mistakes_gets_no_bot_yml(tmp_path: Path) -> None:
    write(tmp_path, "pipeline: 3\n")
    with pytest.raises(ProjectError, match="expected a list"):
        write_translation(tmp_path, tmp_path / "new")
    assert not (tmp_path / "new").exists()
