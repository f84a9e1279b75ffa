"""From training data to what a model learns: texts and classes, answers, entity tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dialogue.domain import DEFAULT_INTENTS, Domain
from dialogue.entities import EntityTables
from dialogue.training.data import TrainingData


@dataclass(frozen=True, slots=True)
class Corpus:
    """N texts and the class of each: an intent, or an answer of a retrieval intent such as `faq/wifi`.

    `hints` [N] marks descriptions that stand for an intent without examples; empty for none. `answers` are the stored
    answers of retrieval intents by class.
    """

    texts: tuple[str, ...]
    classes: tuple[str, ...]
    hints: tuple[bool, ...] = ()
    answers: Mapping[str, str] = field(default_factory=dict)
    entities: EntityTables = field(default_factory=EntityTables)


def build_corpus(data: TrainingData) -> Corpus:
    """What the bot's own data teach: every example once, and a description for each intent that has none."""
    pairs = dict.fromkeys((example.text, example.intent) for example in data.examples)
    taught = {intent.partition("/")[0] for _, intent in pairs}
    hints = [
        (intent.description or intent.name.replace("_", " "), intent.name)
        for intent in data.domain.intents.values()
        if intent.name not in taught and intent.name not in DEFAULT_INTENTS and intent.name not in data.domain.retrieval
    ]
    everything = [*pairs, *hints]
    return Corpus(
        texts=tuple(text for text, _ in everything),
        classes=tuple(intent for _, intent in everything),
        hints=tuple([False] * len(pairs) + [True] * len(hints)),
        answers=stored_answers(data.domain),
        entities=entity_tables(data),
    )


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
