"""Slot values by the slot's type: what is kept of a value, and what policies see of it.

A slot keeps what it was given, as in Rasa, so that actions get the words of the user. Its type decides what stories and
policies make of it: that is `seen`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from dialogue.domain import Domain, Slot, SlotMapping
from policies.history import base_intent
from policies.types import DialogueState, Entity, StoryStep

OTHER = "__other__"
ABSENT = object()
_READABLE = frozenset(("bool", "categorical", "float"))


def kept(slot: Slot, value: Any) -> Any:
    """The value a slot is set to: a list slot holds a list, whatever it was filled with."""
    return [value] if slot.type == "list" and value is not None and not isinstance(value, list) else value


def seen(slot: Slot, value: Any) -> Any:
    """What policies see of a value, in stories as in conversations.

    Of a categorical slot the value as the domain spells it, or `__other__` for one the domain does not list; of a bool
    or float slot the truth value or number that a text stands for, None where it stands for none. A number is brought
    into the slot's range.
    """
    if value is None or slot.type not in _READABLE:
        return value
    if slot.type == "categorical":
        return _listed(slot).get(str(value).casefold(), OTHER)
    return _truth(value) if slot.type == "bool" else _number(slot, value)


def seen_slots(domain_slots: Mapping[str, Slot], values: Mapping[str, Any]) -> Mapping[str, Any]:
    """All values of a conversation as policies see them."""
    changed = {
        name: seen(slot, values[name])
        for name, slot in domain_slots.items()
        if slot.type in _READABLE and values.get(name) is not None
    }
    return MappingProxyType({**values, **changed}) if changed else values


def seen_state(domain_slots: Mapping[str, Slot], state: DialogueState) -> DialogueState:
    """The state of a conversation with its slots as policies see them."""
    slots = seen_slots(domain_slots, state.slots)
    return state if slots is state.slots else replace(state, slots=slots)


def mappings_of(domain: Domain, slot: Slot) -> Sequence[SlotMapping]:
    """How the slot is filled; one without mappings by the entity of its name (`store_entities_as_slots`)."""
    stored = domain.store_entities_as_slots and slot.name in domain.entities
    return slot.mappings or ((SlotMapping("from_entity", entity=slot.name),) if stored else ())


def entity_value(slot: Slot, mapping: SlotMapping, entities: Sequence[Entity]) -> Any:
    """What a mapping of type `from_entity` finds among entities: the last, all for a list; else `ABSENT`."""
    wanted = (mapping.entity, mapping.role, mapping.group)
    values = [one.value for one in entities if (one.entity, one.role, one.group) == wanted]
    if not values:
        return ABSENT
    return values if slot.type == "list" else values[-1]


def slots_told(domain: Domain, step: StoryStep) -> dict[str, Any]:
    """What a message of a story fills by its entities, without a word of the story (`slots_for_entities` in Rasa).

    By mappings without conditions, which hold wherever the story is.
    """
    told = {}
    for slot in domain.slots.values() if step.entities else ():
        for mapping in mappings_of(domain, slot):
            if mapping.type == "from_entity" and not mapping.conditions and _is_of(mapping, step):
                value = entity_value(slot, mapping, step.entities)
                if value is not ABSENT:
                    told[slot.name] = kept(slot, value)
                    break
    return told


def _is_of(mapping: SlotMapping, step: StoryStep) -> bool:
    intent = base_intent(step.intent or "")
    return intent not in mapping.not_intents and (not mapping.intents or intent in mapping.intents)


def _listed(slot: Slot) -> Mapping[str, Any]:
    return {str(value).casefold(): value for value in slot.values}


def _truth(value: Any) -> bool | None:
    if isinstance(value, str):
        return {"true": True, "false": False, "1": True, "0": False}.get(value.strip().casefold())
    return value == 1 if isinstance(value, (int, float)) else None


def _number(slot: Slot, value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return None if math.isnan(number) else min(max(number, slot.min_value), slot.max_value)
