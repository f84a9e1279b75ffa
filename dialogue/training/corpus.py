"""From training data to what a model learns: texts and classes, answers, entity tables."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dialogue.domain import DEFAULT_INTENTS, Domain
from dialogue.entities import EntityTables
from dialogue.training.data import TrainingData


@dataclass(frozen=True, slots=True)
class Corpus:
    """N texts and the class of each: an intent, or an answer of a retrieval intent such as `faq/wifi`.

    `hints` [N] marks the names and descriptions of intents, which are worth less than an example; empty for none.
    `answers` are the stored answers of retrieval intents by class.
    """

    texts: tuple[str, ...]
    classes: tuple[str, ...]
    hints: tuple[bool, ...] = ()
    answers: Mapping[str, str] = field(default_factory=dict)
    entities: EntityTables = field(default_factory=EntityTables)


def build_corpus(data: TrainingData) -> Corpus:
    """What the bot's own data teach: every example once, and what each intent is called or described as."""
    pairs = tuple(dict.fromkeys((example.text, example.intent) for example in data.examples))
    described = {
        spec.name: spec.description or readable(spec.name)
        for spec in data.domain.intents.values()
        if spec.name not in DEFAULT_INTENTS and spec.name not in data.domain.retrieval
    }
    return with_hints(
        [text for text, _ in pairs],
        [intent for _, intent in pairs],
        described,
        answers=stored_answers(data.domain),
        entities=entity_tables(data),
    )


def with_hints(
    texts: Sequence[str],
    classes: Sequence[str],
    described: Mapping[str, str],
    *,
    answers: Mapping[str, str] | None = None,
    entities: EntityTables | None = None,
) -> Corpus:
    """Examples, and for each class its description, or else its name: the prior that speaks before any example."""
    hints = {name: readable(name) for name in dict.fromkeys(classes)} | dict(described)
    return Corpus(
        texts=(*texts, *hints.values()),
        classes=(*classes, *hints),
        hints=(*[False] * len(texts), *[True] * len(hints)),
        answers=answers or {},
        entities=entities or EntityTables(),
    )


def readable(name: str) -> str:
    """A class name as words: `faq/own_food` as "own food"."""
    return re.sub(r"[\W_]+", " ", name.rpartition("/")[2]).strip() or name


def stored_answers(domain: Domain) -> dict[str, str]:
    """The first wording of each retrieval answer, by class."""
    found = {}
    for intent, keys in domain.retrieval.items():
        for key in keys:
            variations = domain.responses.get(f"utter_{intent}/{key}", ())
            if variations and variations[0].text:
                found[f"{intent}/{key}"] = variations[0].text
    return found


def entity_tables(data: TrainingData) -> EntityTables:
    """Regexes and lookups that are named like an entity, and what the examples annotate, as lookup entries."""
    known = data.domain.entities
    regexes: dict[str, list[str]] = {}
    for regex in data.regexes:
        if regex.name in known:
            regexes.setdefault(regex.name, []).append(regex.pattern)
    lookups = {name: dict.fromkeys(entries) for name, entries in data.lookups.items() if name in known}
    for example in data.examples:
        for entity in example.entities:
            lookups.setdefault(entity.entity, {})[example.text[entity.start : entity.end]] = None
    return EntityTables(
        {name: tuple(patterns) for name, patterns in regexes.items()},
        {name: tuple(entries) for name, entries in lookups.items()},
        {said.lower(): value for said, value in data.synonyms.items()},
    )
