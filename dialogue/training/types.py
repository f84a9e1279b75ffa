"""What the readers of training data find, and the draft they write it into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from dialogue.domain import ActionSpec, EntitySpec, Form, IntentSpec, ResponseVariation, Slot
from dialogue.errors import Where
from dialogue.training.nodes import Report
from policies.types import Entity, Story, StoryStep

ReferenceKind: TypeAlias = Literal["intent", "entity", "slot", "action", "form"]


@dataclass(frozen=True, slots=True)
class Example:
    """A sentence that says `intent`. `text` is without annotation marks, entity offsets count in its characters.

    `metadata` has the keys "intent" and "example" for what was said of the whole intent and of this sentence.
    """

    text: str
    intent: str
    entities: tuple[Entity, ...] = ()
    where: Where = field(default=Where(""))
    metadata: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Regex:
    """A named pattern: a feature, or an extractor when an entity has its name."""

    name: str
    pattern: str
    where: Where


@dataclass(frozen=True, slots=True)
class Reference:
    """A place where training data names something that the domain must know."""

    kind: ReferenceKind
    name: str
    where: Where


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A joint between stories. As a beginning it only takes conversations whose slots are as given."""

    name: str
    slots: Mapping[str, Any]
    where: Where


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch of a story between checkpoints."""

    name: str
    where: Where
    starts: tuple[Checkpoint, ...]
    steps: tuple[StoryStep, ...]
    ends: tuple[Checkpoint, ...]


@dataclass(slots=True)
class Draft:
    """Training data while its files are being read. Problems go to `report`, and reading goes on."""

    report: Report = field(default_factory=Report)
    examples: list[Example] = field(default_factory=list)
    synonyms: dict[str, tuple[str, Where]] = field(default_factory=dict)
    regexes: list[Regex] = field(default_factory=list)
    lookups: dict[str, list[str]] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)
    rules: list[Story] = field(default_factory=list)
    references: list[Reference] = field(default_factory=list)
    intents: dict[str, IntentSpec] = field(default_factory=dict)
    entities: dict[str, EntitySpec] = field(default_factory=dict)
    slots: dict[str, Slot] = field(default_factory=dict)
    responses: dict[str, tuple[ResponseVariation, ...]] = field(default_factory=dict)
    actions: dict[str, ActionSpec] = field(default_factory=dict)
    forms: dict[str, Form] = field(default_factory=dict)
    e2e_actions: list[str] = field(default_factory=list)
    settings: dict[str, tuple[Any, Where]] = field(default_factory=dict)

    def refer(self, kind: ReferenceKind, name: str, where: Where) -> None:
        """Note that the domain must know `name`."""
        self.references.append(Reference(kind, name, where))
