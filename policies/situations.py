"""Where a conversation stands, as numbers: what the learned policy reads of stories and of conversations."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policies.history import base_intent, is_user
from policies.types import FILLED, Entity, StoryStep

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SlotSpec:
    """What of a slot is told apart: whether it is filled, `values` as JSON one by one, and a number between bounds.

    Which of these there are is seen from the stories: a text or list is only filled or not.
    """

    name: str
    values: tuple[str, ...] = ()
    bounds: tuple[float, float] | None = None

    @property
    def width(self) -> int:
        """Numbers it takes."""
        return 1 + len(self.values) + (self.bounds is not None)

    def numbers(self, value: Any) -> list[float]:
        """A value as `width` numbers from 0 to 1; all 0 for an empty one."""
        if value is None or value == []:
            return [0.0] * self.width
        known = None if value is FILLED else _named(value)
        found = [1.0, *(float(known == one) for one in self.values)]
        if self.bounds is not None:
            low, high = self.bounds
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            found.append(min(1.0, max(0.0, (float(value) - low) / (high - low or 1.0))) if is_number else 0.0)
        return found


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """All that stories speak of, sorted. Widths below are numbers of features.

    One token stands for one move: a user's has the probability of each intent and of all others together, and the
    entities; the bot's has its action. A situation's state has the slots and the form in charge.
    """

    intents: tuple[str, ...]
    entities: tuple[str, ...]
    actions: tuple[str, ...]
    forms: tuple[str, ...]
    slots: tuple[SlotSpec, ...]

    @property
    def token_width(self) -> int:
        """Numbers of a token."""
        return len(self.intents) + 1 + len(self.entities) + len(self.actions) + 1

    @property
    def state_width(self) -> int:
        """Numbers of a state."""
        return sum(slot.width for slot in self.slots) + len(self.forms) + 1

    @property
    def situation_width(self) -> int:
        """Numbers of a situation: the user's token, the bot's last actions in this turn and before it, the state."""
        return self.token_width + 2 * (len(self.actions) + 1) + self.state_width

    def user(self, intents: Mapping[str, float], entities: Iterable[Entity]) -> Floats:
        """What the user said, as a token [token_width]; what is missing to 1 is the probability of other intents."""
        token = np.zeros(self.token_width, np.float32)
        for number, name in enumerate(self.intents):
            token[number] = intents.get(name, 0.0)
        token[len(self.intents)] = max(0.0, 1.0 - float(token[: len(self.intents)].sum()))
        named = {entity.entity for entity in entities}
        for number, name in enumerate(self.entities, start=len(self.intents) + 1):
            token[number] = name in named
        return token

    def bot(self, action: str | None) -> Floats:
        """What the bot did, as a token [token_width]."""
        token = np.zeros(self.token_width, np.float32)
        token[len(self.intents) + 1 + len(self.entities) :] = self.action(action)
        return token

    def action(self, name: str | None) -> Floats:
        """An action, or all others, as [actions + 1]; zeros for none."""
        found = np.zeros(len(self.actions) + 1, np.float32)
        if name is not None:
            found[self.actions.index(name) if name in self.actions else -1] = 1.0
        return found

    def state(self, slots: Mapping[str, Any], form: str | None) -> Floats:
        """Slots and form as [state_width]."""
        found = [number for slot in self.slots for number in slot.numbers(slots.get(slot.name))]
        found += [float(form == name) for name in self.forms] + [float(form is not None and form not in self.forms)]
        return np.array(found, np.float32)

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        slots = [{"name": slot.name, "values": slot.values, "bounds": slot.bounds} for slot in self.slots]
        names = {key: list(getattr(self, key)) for key in ("intents", "entities", "actions", "forms")}
        return {**names, "slots": slots}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Vocabulary:
        """What `as_dict` gave. Raises `KeyError`, `TypeError` or `ValueError` for anything else."""
        slots = []
        for slot in data["slots"]:
            bounds = slot["bounds"]
            limits = None if bounds is None else (float(bounds[0]), float(bounds[1]))
            slots.append(SlotSpec(slot["name"], tuple(slot["values"]), limits))
        names = [tuple(data[key]) for key in ("intents", "entities", "actions", "forms")]
        return cls(names[0], names[1], names[2], names[3], tuple(slots))


def vocabulary(steps: Iterable[StoryStep]) -> Vocabulary:
    """The vocabulary of stories, given by their steps."""
    found = list(steps)
    said = [step for step in found if is_user(step)]
    return Vocabulary(
        intents=_sorted(base_intent(step.intent) for step in said if step.intent is not None),
        entities=_sorted(entity.entity for step in said for entity in step.entities),
        actions=_sorted(step.action for step in found if step.action is not None),
        forms=_sorted(step.active_form for step in found if step.active_form is not None),
        slots=tuple(_slots(found)),
    )


def _slots(steps: Sequence[StoryStep]) -> Iterable[SlotSpec]:
    seen: dict[str, list[Any]] = {}
    for step in steps:
        for name, value in step.slots.items():
            seen.setdefault(name, []).append(value)
    for name, values in sorted(seen.items()):
        numbers = [float(one) for one in values if isinstance(one, int | float) and not isinstance(one, bool)]
        named = _sorted(_named(one) for one in values if isinstance(one, str | bool))
        yield SlotSpec(name, named, (min(numbers), max(numbers)) if numbers else None)


def _named(value: Any) -> str:
    """A value as it is compared: strings without case."""
    return json.dumps(value.casefold() if isinstance(value, str) else value, ensure_ascii=False, default=str)


def _sorted(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names)))
