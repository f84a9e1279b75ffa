"""Slots from what the user said: the mappings of the domain, applied after every message."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dialogue.domain import REQUESTED_SLOT, Domain, Form, Slot, SlotMapping
from dialogue.events import SlotSet
from dialogue.slots import kept
from dialogue.tracker import Tracker
from policies.types import Entity

ABSENT = object()


@dataclass(frozen=True, slots=True)
class Heard:
    """A message as slot mappings see it. `intent` is None when the belief does not carry it."""

    text: str
    intent: str | None
    entities: Sequence[Entity]


def extract_slots(domain: Domain, tracker: Tracker, heard: Heard) -> list[SlotSet]:
    """Which slots the message fills: for each slot by its first mapping that applies and finds a value."""
    found = []
    for slot in _open_slots(domain, tracker, heard):
        value = next(_values(domain, slot, tracker, heard), ABSENT)
        if value is not ABSENT:
            found.append(SlotSet(name=slot.name, value=kept(slot, value)))
    return found


def extract_on_activation(domain: Domain, form: Form, heard: Heard) -> list[SlotSet]:
    """Which slots of a form the message fills by being the one that activates it (`from_trigger_intent`)."""
    found = []
    for name in form.required_slots:
        slot = domain.slots.get(name)
        for mapping in slot.mappings if slot is not None else ():
            forms = [condition.active_loop for condition in mapping.conditions]
            if mapping.type == "from_trigger_intent" and _wants(mapping, heard) and (not forms or form.name in forms):
                found.append(SlotSet(name=name, value=mapping.value))
                break
    return found


def custom_actions(domain: Domain, tracker: Tracker, heard: Heard) -> list[str]:
    """The actions that fill slots from this message, each once: those of `custom` mappings that apply."""
    return list(
        dict.fromkeys(
            mapping.action
            for slot in _open_slots(domain, tracker, heard)
            for mapping in slot.mappings
            if mapping.type == "custom" and mapping.action and _applies(domain, slot, mapping, tracker, heard)
        )
    )


def _open_slots(domain: Domain, tracker: Tracker, heard: Heard) -> list[Slot]:
    """All slots but those a form keeps closed to its ignored intents."""
    form = domain.forms.get(tracker.active_form or "")
    closed = form.required_slots if form is not None and heard.intent in form.ignored_intents else ()
    return [slot for slot in domain.slots.values() if slot.name != REQUESTED_SLOT and slot.name not in closed]


def _values(domain: Domain, slot: Slot, tracker: Tracker, heard: Heard) -> Iterator[Any]:
    for mapping in slot.mappings or _by_its_name(domain, slot):
        if not _applies(domain, slot, mapping, tracker, heard):
            continue
        if mapping.type == "from_intent":
            yield mapping.value
        elif mapping.type == "from_text" and heard.text:
            yield heard.text
        elif mapping.type == "from_entity":
            values = [entity.value for entity in heard.entities if _names(mapping, entity)]
            if values:
                yield values if slot.type == "list" else values[-1]


def _by_its_name(domain: Domain, slot: Slot) -> tuple[SlotMapping, ...]:
    """The mapping of a slot that has none, but an entity's name (`store_entities_as_slots`)."""
    stored = domain.store_entities_as_slots and slot.name in domain.entities
    return (SlotMapping("from_entity", entity=slot.name),) if stored else ()


def _applies(domain: Domain, slot: Slot, mapping: SlotMapping, tracker: Tracker, heard: Heard) -> bool:
    return (
        _wants(mapping, heard)
        and _in_place(slot, mapping, tracker)
        and not (mapping.type == "from_entity" and _ambiguous(domain, slot, mapping, tracker))
    )


def _wants(mapping: SlotMapping, heard: Heard) -> bool:
    if heard.intent in mapping.not_intents:
        return False
    if mapping.type in ("from_intent", "from_trigger_intent") and heard.intent is None:
        return False
    return not mapping.intents or heard.intent in mapping.intents


def _in_place(slot: Slot, mapping: SlotMapping, tracker: Tracker) -> bool:
    """Whether a condition holds. Once a story has left the form, what is said is no answer to the form's question."""
    if not mapping.conditions:
        return True
    loop = tracker.active_loop
    if loop is not None and loop.is_interrupted and slot.name == tracker.requested_slot:
        return False
    return any(
        condition.active_loop == tracker.active_form and condition.requested_slot in (None, tracker.requested_slot)
        for condition in mapping.conditions
    )


def _names(mapping: SlotMapping, entity: Entity) -> bool:
    return (mapping.entity, mapping.role, mapping.group) == (entity.entity, entity.role, entity.group)


def _ambiguous(domain: Domain, slot: Slot, mapping: SlotMapping, tracker: Tracker) -> bool:
    """Whether the entity may as well be for another slot of the active form, which asks for another one just now."""
    form = domain.forms.get(tracker.active_form or "")
    if form is None or slot.name not in form.required_slots or slot.name == tracker.requested_slot:
        return False
    wanted = (mapping.entity, mapping.role, mapping.group)
    rivals = (
        other
        for name in form.required_slots
        if name != slot.name and name in domain.slots
        for other in domain.slots[name].mappings or _by_its_name(domain, domain.slots[name])
    )
    return any(other.type == "from_entity" and (other.entity, other.role, other.group) == wanted for other in rivals)
