"""A small Rasa project for tests, and what its configuration becomes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import dialogue.rasa.project
from dialogue.config import Config
from dialogue.config_file import load_config
from dialogue.errors import ProjectError
from dialogue.rasa.found import Row, scalar, table
from dialogue.rasa.project import Translation, translate
from dialogue.training.nodes import Entry, Report
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


def cheapen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives every Rasa project one cheap encoder and no fusion, and takes its action server away."""

    def made_cheap(project: Path, report: Report) -> Translation:
        translation = translate(project, report)
        top = translation.tree.where
        entries = {key: entry for key, entry in translation.tree.entries.items() if key != "actions"}
        entries["encoders"] = Entry(top, table(top, {"words": scalar(top, "onehot")}))
        entries["fusion"] = Entry(top, table(top, {"tune": "none"}))
        return replace(translation, tree=replace(translation.tree, entries=entries))

    monkeypatch.setattr(dialogue.rasa.project, "translate", made_cheap)
