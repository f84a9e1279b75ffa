"""Slots from what the user said: the mappings of the domain, applied after every message.

Slots come in the order of the domain, and each takes what the first of its mappings that applies finds. A `custom`
mapping finds nothing itself but names an action, which may set any slot, so the mappings after it have their turn, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dialogue.domain import REQUESTED_SLOT, Domain, Slot, SlotMapping
from dialogue.events import SlotSet, UserUttered
from dialogue.slots import ABSENT, entity_value, kept, mappings_of
from dialogue.tracker import Tracker
from policies.history import NOT_UNDERSTOOD
from policies.types import Entity

TRIGGER = "from_trigger_intent"


@dataclass(frozen=True, slots=True)
class Heard:
    """A message as slot mappings see it. `intent` is `nlu_fallback` when the belief does not carry one."""

    text: str
    intent: str | None
    entities: Sequence[Entity]


def hear(said: UserUttered, entities: Sequence[Entity]) -> Heard:
    """A message. A doubted one is `nlu_fallback`. What a button sends is text, what no person said is none."""
    intent = said.intent if said.understood else NOT_UNDERSTOOD
    return Heard("" if said.external else said.text or "", intent, entities)


def extract_slots(domain: Domain, tracker: Tracker, heard: Heard) -> Iterator[SlotSet | str]:
    """What slots the message fills, and in its place the name of each action that may fill some."""
    return _each_once(found for _, found in _found(domain, tracker, heard))


def extract_on_activation(domain: Domain, tracker: Tracker, heard: Heard) -> Iterator[SlotSet | str]:
    """The same of the message that activates a form, which has not asked for anything yet.

    By mappings with a condition, which did not hold before, or of type `from_trigger_intent`. What other mappings find
    was set before, and may have been validated since.
    """
    everything = _found(domain, tracker, heard, activated=True)
    return _each_once(found for mapping, found in everything if mapping.conditions or mapping.type == TRIGGER)


def _each_once(everything: Iterable[SlotSet | str]) -> Iterator[SlotSet | str]:
    """Slots, and the name of every action where it comes first."""
    named: set[str] = set()
    for found in everything:
        if isinstance(found, str):
            if found in named:
                continue
            named.add(found)
        yield found


def _found(
    domain: Domain, tracker: Tracker, heard: Heard, *, activated: bool = False
) -> Iterator[tuple[SlotMapping, SlotSet | str]]:
    """The mappings that apply and find a value or name an action."""
    for slot in domain.slots.values():
        if slot.name == REQUESTED_SLOT:
            continue
        for mapping in mappings_of(domain, slot):
            if not _applies(domain, slot, mapping, tracker, heard):
                continue
            if mapping.action and mapping.type == "custom":
                yield mapping, mapping.action
            value = _value(slot, mapping, heard, activated=activated)
            if value is not ABSENT:
                yield mapping, SlotSet(name=slot.name, value=kept(slot, value))
                break


def _value(slot: Slot, mapping: SlotMapping, heard: Heard, *, activated: bool) -> Any:
    """What a mapping that applies finds."""
    if mapping.type == "from_intent" or (mapping.type == TRIGGER and activated):
        return mapping.value
    if mapping.type == "from_text" and heard.text:
        return heard.text
    if mapping.type == "from_entity":
        return entity_value(slot, mapping, heard.entities)
    return ABSENT


def _applies(domain: Domain, slot: Slot, mapping: SlotMapping, tracker: Tracker, heard: Heard) -> bool:
    return (
        _wants(mapping, heard, _ignored(domain, mapping, tracker))
        and _in_place(slot, mapping, tracker)
        and not (mapping.type == "from_entity" and _ambiguous(domain, slot, mapping, tracker))
    )


def _ignored(domain: Domain, mapping: SlotMapping, tracker: Tracker) -> Sequence[str]:
    """Intents that the active form ignores: they are `not_intent` of what fills slots in it, its own or not."""
    form = domain.forms.get(tracker.active_form or "")
    places = [condition.active_loop for condition in mapping.conditions]
    return form.ignored_intents if form is not None and (not places or form.name in places) else ()


def _wants(mapping: SlotMapping, heard: Heard, ignored: Sequence[str]) -> bool:
    """Whether the intent is one of the mapping's; an intent that it names counts even if the form ignores it."""
    if heard.intent in mapping.not_intents:
        return False
    if mapping.intents:
        return heard.intent in mapping.intents
    if mapping.type in ("from_intent", TRIGGER) and heard.intent in (None, NOT_UNDERSTOOD):
        return False
    return heard.intent not in ignored


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
        for other in mappings_of(domain, domain.slots[name])
    )
    return any(replace(other, where=mapping.where) == mapping for other in rivals)
