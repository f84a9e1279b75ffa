"""Messages nobody trained on, and what a promise rests on: from bot.yml to the gate of the opened bot."""

import json
from contextlib import closing

import pytest

from dialogue.config_file import load_config
from dialogue.message import Message
from dialogue.project import fingerprint, is_fresh, open_bot, train
from policies.types import Kind
from tests.dialogue.small import write_small

GATE = """
policies:
  - type: rules
  - {type: confidence, target_error: 0.3, confidence: 0.6, held_out: heldout.jsonl}
  - type: fallback
store: {url: "sqlite://"}
"""


def rows(*pairs):
    return "".join(json.dumps({"text": text, "intent": intent}) + "\n" for text, intent in pairs)


@pytest.fixture
def project(tmp_path):
    file = write_small(tmp_path) / "bot.yml"
    file.write_text(file.read_text() + GATE)
    (tmp_path / "heldout.jsonl").write_text(rows(*[("hello there", "greet"), ("good bye now", "goodbye")] * 30))
    return tmp_path


def test_a_gate_promises_on_the_messages_of_its_file(project):
    with closing(open_bot(project)) as bot:
        assert bot.handle(Message("hello there")).decision.kind is Kind.ACT
        assert bot.handle(Message("blub")).decision.kind is not Kind.ACT


def test_where_the_messages_are_answered_wrong_nothing_is_promised(project):
    (project / "heldout.jsonl").write_text(rows(*[("hello there", "goodbye"), ("good bye now", "something else")] * 30))
    with closing(open_bot(project)) as bot:
        result = bot.handle(Message("hello there"))
    assert result.decision.kind is Kind.REPHRASE
    assert "no threshold is shown to keep 30.0%" in result.decision.reason


def test_other_messages_make_the_model_stale(project):
    train(project)
    before = fingerprint(load_config(project))
    (project / "heldout.jsonl").write_text(rows(("hi", "greet")))
    assert fingerprint(load_config(project)) != before
    assert not is_fresh(project)
