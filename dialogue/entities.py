"""Entities that need no learning: what regular expressions and lookup tables find, with synonyms applied.

Where two finds overlap the longer wins, then the earlier; what was learned wins over what else finds the same stretch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from encoders.features import Utterance
from policies.types import Entity

WORDLIKE = "[0-9A-Za-z_\u00c0-\u024f\u0370-\u052f]"  # of scripts that put spaces between words and none inside


@dataclass(frozen=True)
class EntityTables:
    """Patterns by entity, lookup entries by entity, and synonyms from what is said (in lower case) to its value."""

    regexes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    lookups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    synonyms: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        patterns = [
            (name, "RegexEntityExtractor", re.compile(pattern, re.IGNORECASE))
            for name, several in self.regexes.items()
            for pattern in several
        ]
        patterns += [
            (name, "LookupEntityExtractor", re.compile(alternatives(entries), re.IGNORECASE))
            for name, entries in self.lookups.items()
            if entries
        ]
        object.__setattr__(self, "patterns", tuple(patterns))

    patterns: tuple[tuple[str, str, re.Pattern[str]], ...] = field(init=False, repr=False, default=())

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "regexes": {name: list(several) for name, several in self.regexes.items()},
            "lookups": {name: list(entries) for name, entries in self.lookups.items()},
            "synonyms": dict(self.synonyms),
        }

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> EntityTables:
        """From what `as_dict` gave. Raises `KeyError` or `TypeError` when it is damaged."""
        return cls(
            {name: tuple(several) for name, several in found["regexes"].items()},
            {name: tuple(entries) for name, entries in found["lookups"].items()},
            dict(found["synonyms"]),
        )


def alternatives(entries: tuple[str, ...]) -> str:
    """One pattern for a lookup table, longest entry first.

    An entry that begins or ends with a Latin, Greek or Cyrillic letter or a digit does not match within a longer word.
    """
    return "|".join(whole(entry) for entry in sorted(entries, key=len, reverse=True))


def whole(entry: str) -> str:
    """The pattern of one entry."""
    before = f"(?<!{WORDLIKE})" if re.match(WORDLIKE, entry[:1]) else ""
    after = f"(?!{WORDLIKE})" if re.match(WORDLIKE, entry[-1:]) else ""
    return before + re.escape(entry) + after


def find_entities(utterance: Utterance, tables: EntityTables, learned: Sequence[Entity] = ()) -> tuple[Entity, ...]:
    """The entities of a text, those `learned` found among them, in order, not overlapping."""
    mapped = [replace(entity, value=tables.synonyms.get(str(entity.value).lower(), entity.value)) for entity in learned]
    everything = [*mapped, *candidates(utterance.text, tables)]
    found = sorted(everything, key=lambda entity: (entity.start - entity.end, entity.start))
    kept: list[Entity] = []
    for entity in found:
        if all(entity.end <= other.start or other.end <= entity.start for other in kept):
            kept.append(entity)
    return tuple(sorted(kept, key=lambda entity: entity.start))


def candidates(text: str, tables: EntityTables) -> Iterator[Entity]:
    """Everything the patterns find."""
    for name, extractor, pattern in tables.patterns:
        for match in pattern.finditer(text):
            if match.end() > match.start():
                value = tables.synonyms.get(match[0].lower(), match[0])
                yield Entity(name, match.start(), match.end(), value, extractor)
