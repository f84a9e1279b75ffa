"""Entities marked in a sentence.

The forms of the Rasa 3.1 format: `[text](type)`, `[text](type:value)`, `[text]{"entity": "type", "role": "r", "group":
"g", "value": "v"}` and `[text][{...}, {...}]` for several entities on one stretch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from dialogue.errors import Where, suggestion
from dialogue.training.nodes import Report
from policies.types import Entity

EXTRACTOR = "annotation"
KEYS = ("entity", "value", "role", "group")

_OPENING = re.compile(r"\[([^\[\]]+)\](?=\(|\{|\[\s*\{)")
_SHORT = re.compile(r"\(([^:()]+)(?::([^()]*(?:\([^()]*\)[^()]*)*))?\)")
_DECODER = json.JSONDecoder()


def read_annotated(text: str, where: Where, report: Report) -> tuple[str, tuple[Entity, ...]]:
    """Take the marks out of a sentence.

    Args:
        text: as written in the file.
        where: place of its first character.
        report: gets broken annotations, each with its place; they stay in the text as written.

    Returns:
        The plain sentence and its entities, offsets in characters of the plain sentence.
    """
    if "[" not in text:
        return text, ()
    parts: list[str] = []
    entities: list[Entity] = []
    position = length = 0
    while opening := _OPENING.search(text, position):
        place = replace(where, column=where.column + opening.start())
        if text[opening.end()] == "(" and not _SHORT.match(text, opening.end()):
            report.warning(place, f"no entity after {opening.group()}: expected (type) or (type:value); kept as text")
            parts.append(text[position : opening.end()])
            length += len(parts[-1])
            position = opening.end()
            continue
        parts.append(text[position : opening.start()])
        start = length + len(parts[-1])
        marked, end = opening.group(1), opening.end()
        try:
            found, end = _read_mark(text, end)
            entities += [_entity(keys, marked, start) for keys in found]
            for key in {key: None for keys in found for key in keys if key not in KEYS}:
                report.warning(place, f"entity annotation after [{marked}]: unknown key {key!r}, passed over")
        except ValueError as cause:
            report.error(place, f"broken entity annotation after [{marked}]: {cause}")
        parts.append(marked)
        length = start + len(marked)
        position = end
    return "".join(parts) + text[position:], tuple(entities)


def _read_mark(text: str, start: int) -> tuple[Sequence[dict[str, Any]], int]:
    """What stands behind `[text]` and where it ends. Raises `ValueError` when it cannot be read."""
    if short := _SHORT.match(text, start):
        keys = {"entity": short.group(1).strip()}
        if short.group(2):
            keys["value"] = short.group(2).strip()
        return [keys], short.end()
    try:
        found, end = _DECODER.raw_decode(text, start)
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode()  # refuses NaN and broken surrogates
    except (ValueError, RecursionError) as cause:
        raise ValueError('expected JSON such as {"entity": "city", "value": "Rome"}') from cause
    return found if isinstance(found, list) else [found], end


def _entity(keys: Any, marked: str, start: int) -> Entity:
    if not isinstance(keys, dict):
        raise ValueError(f"expected a mapping with the key entity, got {keys!r}")
    name = keys.get("entity")
    if not isinstance(name, str) or not name.strip():
        strange = next((f": unknown key {key!r}{suggestion(key, KEYS)}" for key in keys if key not in KEYS), "")
        raise ValueError(f"the entity has no name{strange}")
    return Entity(
        entity=name,
        start=start,
        end=start + len(marked),
        value=keys.get("value", marked),
        extractor=EXTRACTOR,
        role=_label(keys, "role"),
        group=_label(keys, "group"),
    )


def _label(keys: dict[str, Any], key: str) -> str | None:
    """A text, or a whole number as one."""
    label = keys.get(key)
    if not isinstance(label, str | int | None) or isinstance(label, bool):
        raise ValueError(f"{key} must be a text, got {label!r}")
    return None if label is None else str(label)
