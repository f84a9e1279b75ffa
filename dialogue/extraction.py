"""Slots from what the user said: the mappings of the domain, applied after every message."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dialogue.domain import REQUESTED_SLOT, Domain, Slot, SlotMapping
from dialogue.events import SlotSet, UserUttered
from dialogue.slots import kept
from dialogue.tracker import Tracker
from policies.types import Entity

ABSENT = object()
TRIGGER = "from_trigger_intent"


@dataclass(frozen=True, slots=True)
class Heard:
    """A message as slot mappings see it. `intent` is None when the belief does not carry it."""

    text: str
    intent: str | None
    entities: Sequence[Entity]


def hear(said: UserUttered, entities: Sequence[Entity]) -> Heard:
    """A message. A doubted one has no intent; what no person said is no text, what a button sends is, as in Rasa."""
    intent = said.intent if said.understood else None
    return Heard("" if said.external else said.text or "", intent, entities)


def extract_slots(domain: Domain, tracker: Tracker, heard: Heard) -> list[SlotSet]:
    """Which slots the message fills: for each slot by its first mapping that applies and finds a value."""
    firsts = ((slot, next(_found(domain, slot, tracker, heard), None)) for slot in _slots(domain))
    return [SlotSet(name=slot.name, value=kept(slot, first[1])) for slot, first in firsts if first is not None]


def extract_on_activation(domain: Domain, tracker: Tracker, heard: Heard) -> list[SlotSet]:
    """Which slots the message fills by being the one that activates a form, which has not asked for anything yet.

    By mappings with a condition, which did not hold before, or of type `from_trigger_intent`. What other mappings find
    was set before, and may have been validated since.
    """
    events = []
    for slot in _slots(domain):
        first = next(_found(domain, slot, tracker, heard, activated=True), None)
        if first is not None and (first[0].conditions or first[0].type == TRIGGER):
            events.append(SlotSet(name=slot.name, value=kept(slot, first[1])))
    return events


def custom_actions(domain: Domain, tracker: Tracker, heard: Heard) -> list[str]:
    """The actions that fill slots from this message, each once: those of `custom` mappings that apply."""
    return list(
        dict.fromkeys(
            mapping.action
            for slot in _slots(domain)
            for mapping in slot.mappings
            if mapping.type == "custom" and mapping.action and _applies(domain, slot, mapping, tracker, heard)
        )
    )


def _slots(domain: Domain) -> list[Slot]:
    return [slot for slot in domain.slots.values() if slot.name != REQUESTED_SLOT]


def _ignored(domain: Domain, slot: Slot, tracker: Tracker) -> Sequence[str]:
    """Intents that the active form ignores: they are `not_intent` of every mapping of its slots."""
    form = domain.forms.get(tracker.active_form or "")
    return form.ignored_intents if form is not None and slot.name in form.required_slots else ()


def _found(
    domain: Domain, slot: Slot, tracker: Tracker, heard: Heard, *, activated: bool = False
) -> Iterator[tuple[SlotMapping, Any]]:
    """The mappings of a slot that apply and find a value, with the value."""
    for mapping in slot.mappings or _by_its_name(domain, slot):
        if not _applies(domain, slot, mapping, tracker, heard):
            continue
        if mapping.type == "from_intent" or (mapping.type == TRIGGER and activated):
            yield mapping, mapping.value
        elif mapping.type == "from_text" and heard.text:
            yield mapping, heard.text
        elif mapping.type == "from_entity":
            values = [entity.value for entity in heard.entities if _names(mapping, entity)]
            if values:
                yield mapping, values if slot.type == "list" else values[-1]


def _by_its_name(domain: Domain, slot: Slot) -> tuple[SlotMapping, ...]:
    """The mapping of a slot that has none, but an entity's name (`store_entities_as_slots`)."""
    stored = domain.store_entities_as_slots and slot.name in domain.entities
    return (SlotMapping("from_entity", entity=slot.name),) if stored else ()


def _applies(domain: Domain, slot: Slot, mapping: SlotMapping, tracker: Tracker, heard: Heard) -> bool:
    return (
        _wants(mapping, heard, _ignored(domain, slot, tracker))
        and _in_place(slot, mapping, tracker)
        and not (mapping.type == "from_entity" and _ambiguous(domain, slot, mapping, tracker))
    )


def _wants(mapping: SlotMapping, heard: Heard, ignored: Sequence[str]) -> bool:
    """Whether the intent is one of the mapping's; an intent that it names counts even if the form ignores it."""
    if heard.intent in mapping.not_intents:
        return False
    if mapping.type in ("from_intent", TRIGGER) and heard.intent is None:
        return False
    return heard.intent in mapping.intents if mapping.intents else heard.intent not in ignored


def _in_place(slot: Slot, mapping: SlotMapping, tracker: Tracker) -> bool:
    """Whether a condition holds. Once a story has left the form, what is said is no answer to the form's question."""
    if not mapping.conditions:
        return True
    loop = tracker.active_loop
    if loop is not None and loop.is_interrupted and slot.name == tracker.requested_slot:
        return False
    return any(
        condition.active_loop == tracker.active_form
        and (condition.requested_slot in (None, tracker.requested_slot) or mapping.type == TRIGGER)
        for condition in mapping.conditions
    )


def _names(mapping: SlotMapping, entity: Entity) -> bool:
    return (mapping.entity, mapping.role, mapping.group) == (entity.entity, entity.role, entity.group)


def _ambiguous(domain: Domain, slot: Slot, mapping: SlotMapping, tracker: Tracker) -> bool:
    """Whether the entity may as well be for another slot of the active form, which asks for another one just now.

    As in Rasa that is so if the other slot has the very same mapping: intents and conditions tell two apart.
    """
    form = domain.forms.get(tracker.active_form or "")
    if form is None or slot.name not in form.required_slots or slot.name == tracker.requested_slot:
        return False
    rivals = (
        other
        for name in form.required_slots
        if name != slot.name and name in domain.slots
        for other in domain.slots[name].mappings or _by_its_name(domain, domain.slots[name])
    )
    return any(replace(other, where=mapping.where) == mapping for other in rivals)
