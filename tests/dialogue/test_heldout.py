"""The messages Nova is measured on: enough of them, each with a label she knows, none of them seen before."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from dialogue.config_file import load_config
from dialogue.training.corpus import stored_answers
from dialogue.training.data import TrainingData, read_data
from tests.conversations.nova import LANGUAGES, ROOT

CONVERSATIONS = ROOT / "tests" / "conversations"
HELD_OUT, DEVELOPMENT = CONVERSATIONS / "heldout", CONVERSATIONS / "development"
PROJECTS = {"en": ROOT, "zh": ROOT / "data" / "zh"}
IN_SCOPE, OUT_OF_SCOPE, NEAR_MISSES = 200, 250, 0.2  # at least; the last a share
PER_INTENT, PER_ANSWER = 5, 4  # at least
KINDS = {"other_topic", "other_language", "gibberish", "keyboard_mash", "empty", "emoji", "near_miss"}


def messages(folder: Path, language: str, scope: str) -> list[dict[str, str]]:
    return [json.loads(row) for row in (folder / f"{language}_{scope}_scope.jsonl").read_text("utf-8").splitlines()]


def texts(folder: Path, language: str) -> list[str]:
    return [message["text"] for scope in ("in", "out_of") for message in messages(folder, language, scope)]


def plain(text: str) -> str:
    """Letters and digits only, without case; a text that has none, such as an emoji, as it is."""
    return "".join(sign for sign in text.casefold() if sign.isalnum()) or text


@cache
def nova(language: str) -> TrainingData:
    return read_data(load_config(PROJECTS[language]).data_paths)


def test_case_and_punctuation_make_no_other_message() -> None:
    assert plain("Wi-Fi, PLEASE?") == plain("wifi please")
    assert plain("有WiFi吗？") == plain("有wifi吗")
    assert plain("🐘") != plain("🐊")
    assert plain("??") != plain("!")


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_held_out_message_was_seen_in_training_or_development(language: str) -> None:
    seen = {plain(text) for text in texts(DEVELOPMENT, language)}
    seen |= {plain(example.text) for example in nova(language).examples}
    assert [text for text in texts(HELD_OUT, language) if plain(text) in seen] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_message_is_held_out_twice(language: str) -> None:
    counts = Counter(plain(text) for text in texts(HELD_OUT, language))
    assert [text for text, count in counts.items() if count > 1] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_intent_and_answer_is_measured_and_nothing_else(language: str) -> None:
    domain = nova(language).domain
    intents, answers = set(domain.intents) - {*domain.retrieval, "out_of_scope"}, set(stored_answers(domain))
    counts = Counter(message["intent"] for message in messages(HELD_OUT, language, "in"))
    assert {*counts} <= intents | answers
    assert [name for name in intents if counts[name] < PER_INTENT] == []
    assert [name for name in answers if counts[name] < PER_ANSWER] == []
    assert counts.total() >= IN_SCOPE


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_of_out_of_scope_is_measured_near_misses_above_all(language: str) -> None:
    found = messages(HELD_OUT, language, "out_of")
    counts = Counter(message["kind"] for message in found)
    assert {*counts} == KINDS
    assert {message["intent"] for message in found} == {"oos"}
    assert counts.total() >= OUT_OF_SCOPE
    assert counts["near_miss"] / counts.total() >= NEAR_MISSES


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("folder", [HELD_OUT, DEVELOPMENT], ids=lambda folder: folder.name)
def test_every_message_has_just_the_keys_of_its_file(language: str, folder: Path) -> None:
    keys = {"in": {"text", "intent"}, "out_of": {"text", "intent", "kind"}}
    for scope, expected in keys.items():
        assert all(message.keys() == expected for message in messages(folder, language, scope))
