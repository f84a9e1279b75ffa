"""What the learned policy has learned, in memory and on disk. To read and use it needs no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from policies.habits import Habit, Turned
from policies.last_layer import LastLayer
from policies.situations import Floats, Vocabulary

FILE, WEIGHTS = "transformer.json", "transformer.safetensors"
VERSION = 3


@dataclass(frozen=True, slots=True)
class Learned:
    """All of it. `classes` are the actions, then "no story"; `weights` are the net's; `habits` are by turn so far."""

    words: Vocabulary
    classes: tuple[str, ...]
    weights: Mapping[str, Floats]
    layer: LastLayer
    habits: Mapping[Turned, Habit]


def save(learned: Learned | None, folder: Path) -> None:
    """Vocabulary and habits as JSON, weights as safetensors; None is written as such."""
    document: dict[str, Any] = {"version": VERSION, "learned": learned is not None}
    if learned is not None:
        document |= {"words": learned.words.as_dict(), "classes": learned.classes}
        document["habits"] = [{"turn": so_far, **asdict(habit)} for so_far, habit in learned.habits.items()]
        arrays = {f"net.{name}": value for name, value in learned.weights.items()}
        arrays |= {f"last.{name}": value for name, value in learned.layer.arrays().items()}
        save_file({name: np.ascontiguousarray(value) for name, value in arrays.items()}, folder / WEIGHTS)
    (folder / FILE).write_text(json.dumps(document, ensure_ascii=False, allow_nan=False), encoding="utf-8")


def load(folder: Path) -> Learned | None:
    """What `save` wrote.

    Raises:
        ValueError: naming the folder, if a file is missing, damaged or of another version.
    """
    try:
        document = json.loads((folder / FILE).read_text(encoding="utf-8"))
        if document["version"] != VERSION:
            raise ValueError(f"expected version {VERSION}, got {document['version']!r}")
        if not document["learned"]:
            return None
        arrays = load_file(folder / WEIGHTS)
        words, layer = Vocabulary.from_dict(document["words"]), LastLayer.of(_under("last.", arrays))
        habits = {tuple(one["turn"]): _habit(one, document["classes"]) for one in document["habits"]}
        return Learned(words, tuple(document["classes"]), _under("net.", arrays), layer, habits)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, SafetensorError) as problem:
        raise ValueError(f"{folder}: not a learned policy ({FILE}, {WEIGHTS}): {problem}") from problem


def _habit(one: Mapping[str, Any], classes: Sequence[str]) -> Habit:
    if one["action"] not in classes:
        raise ValueError(f"{one['action']!r} is no action of the stories")
    return Habit(one["action"], float(one["agree"]), float(one["differ"]))


def _under(prefix: str, arrays: Mapping[str, Floats]) -> dict[str, Floats]:
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}
