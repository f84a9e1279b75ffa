"""From training data to what a model learns: texts and classes, answers, entity tables."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from dialogue.domain import DEFAULT_INTENTS, Domain
from dialogue.entities import EntityTables, alternatives
from dialogue.training.data import TrainingData
from policies.types import Entity


@dataclass(frozen=True, slots=True)
class Corpus:
    """N texts and the class of each: an intent, or an answer of a retrieval intent such as `faq/wifi`.

    `hints` [N] marks the names and descriptions of intents, which are worth less than an example; empty for none.
    `answers` are the stored answers of retrieval intents by class. `annotated` [N] are the entities marked in each
    text, empty where none are; `patterns` are the names and regular expressions that may help to find them.
    """

    texts: tuple[str, ...]
    classes: tuple[str, ...]
    hints: tuple[bool, ...] = ()
    answers: Mapping[str, str] = field(default_factory=dict)
    entities: EntityTables = field(default_factory=EntityTables)
    annotated: tuple[tuple[Entity, ...], ...] = ()
    patterns: tuple[tuple[str, str], ...] = ()

    def taught_intents(self) -> list[str | None]:
        """The intent each text is an example of; None for a hint."""
        hints = self.hints or (False,) * len(self.texts)
        pairs = zip(self.classes, hints, strict=True)
        return [None if hint else name.partition("/")[0] for name, hint in pairs]


def build_corpus(data: TrainingData) -> Corpus:
    """What the bot's own data teach: every example once, and what each intent is called or described as."""
    marked: dict[tuple[str, str], tuple[Entity, ...]] = {}
    for example in data.examples:
        marked.setdefault((example.text, example.intent), example.entities)
    described = {
        spec.name: spec.description or readable(spec.name)
        for spec in data.domain.intents.values()
        if spec.name not in DEFAULT_INTENTS and spec.name not in data.domain.retrieval
    }
    return with_hints(
        [text for text, _ in marked],
        [intent for _, intent in marked],
        described,
        answers=stored_answers(data.domain),
        entities=entity_tables(data),
        annotated=tuple(marked.values()),
        patterns=patterns_of(data),
    )


def with_hints(
    texts: Sequence[str],
    classes: Sequence[str],
    described: Mapping[str, str],
    *,
    answers: Mapping[str, str] | None = None,
    entities: EntityTables | None = None,
    annotated: Sequence[tuple[Entity, ...]] = (),
    patterns: Sequence[tuple[str, str]] = (),
) -> Corpus:
    """Examples, and for each class its description, or else its name: the prior that speaks before any example."""
    hints = {name: readable(name) for name in dict.fromkeys(classes)} | dict(described)
    return Corpus(
        texts=(*texts, *hints.values()),
        classes=(*classes, *hints),
        hints=(*[False] * len(texts), *[True] * len(hints)),
        answers=answers or {},
        entities=entities or EntityTables(),
        annotated=(*annotated, *[()] * len(hints)) if any(annotated) else (),
        patterns=tuple(patterns),
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


def patterns_of(data: TrainingData) -> tuple[tuple[str, str], ...]:
    """Every regex and lookup table, whether it is named like an entity or not."""
    lookups = ((name, alternatives(tuple(entries))) for name, entries in data.lookups.items() if entries)
    return (*((regex.name, regex.pattern) for regex in data.regexes), *lookups)


def entity_tables(data: TrainingData) -> EntityTables:
    """Regexes and lookups that are named like an entity."""
    known = data.domain.entities
    regexes: dict[str, list[str]] = {}
    for regex in data.regexes:
        if regex.name in known:
            regexes.setdefault(regex.name, []).append(regex.pattern)
    lookups = {name: dict.fromkeys(entries) for name, entries in data.lookups.items() if name in known}
    return EntityTables(
        {name: tuple(patterns) for name, patterns in regexes.items()},
        {name: tuple(entries) for name, entries in lookups.items()},
        {said.lower(): value for said, value in data.synonyms.items()},
    )


def remembered(corpus: Corpus) -> EntityTables:
    """The corpus' tables with every annotated stretch as an entry: what serves where too few are to learn from."""
    lookups = {name: dict.fromkeys(entries) for name, entries in corpus.entities.lookups.items()}
    for text, entities in zip(corpus.texts, corpus.annotated, strict=bool(corpus.annotated)):
        for entity in entities:
            lookups.setdefault(entity.entity, {})[text[entity.start : entity.end]] = None
    return replace(corpus.entities, lookups={name: tuple(entries) for name, entries in lookups.items()})
