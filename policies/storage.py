"""Stories as JSON: what policies that remember stories save."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from policies.types import FILLED, Entity, Filled, Story, StoryStep

VERSION = 1
FILLED_JSON = {"$": "filled"}


def save_stories(stories: Sequence[Story], file: Path) -> None:
    """Write stories as one JSON file.

    Raises:
        TypeError: if a slot or entity value is nothing JSON knows.
    """
    document = {"version": VERSION, "stories": [_plain(story) for story in stories]}
    file.write_text(json.dumps(document, ensure_ascii=False, allow_nan=False), encoding="utf-8")


def load_stories(file: Path) -> tuple[Story, ...]:
    """Read what `save_stories` wrote.

    Raises:
        ValueError: naming the file, if it is missing, damaged or of another version.
    """
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        if document["version"] != VERSION:
            raise ValueError(f"expected version {VERSION}, got {document['version']!r}")
        return tuple(_story(story) for story in document["stories"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as problem:
        raise ValueError(f"{file}: not a file of stories: {problem}") from problem


def _plain(value: Any) -> Any:
    if isinstance(value, Filled):
        return FILLED_JSON
    if is_dataclass(value):
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _story(data: Mapping[str, Any]) -> Story:
    steps = tuple(_step(step) for step in data["steps"])
    condition = tuple(_step(step) for step in data["condition"])
    return Story(**{**data, "steps": steps, "condition": condition})


def _step(data: Mapping[str, Any]) -> StoryStep:
    slots = {name: FILLED if value == FILLED_JSON else value for name, value in data["slots"].items()}
    return StoryStep(**{**data, "slots": slots, "entities": tuple(Entity(**entity) for entity in data["entities"])})
