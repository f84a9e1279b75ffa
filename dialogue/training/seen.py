"""Stories as policies see them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from types import MappingProxyType
from typing import Any

from dialogue.domain import REQUESTED_SLOT, Domain
from dialogue.slots import seen, slots_told
from dialogue.training.nodes import Report
from policies.history import base_intent
from policies.types import FILLED, Story, StoryStep

_NAMED = frozenset(("bool", "categorical"))


def as_policies_see(story: Story, domain: Domain) -> Story:
    """The story with only what may influence a policy: of a text or a list that it is filled, of other slots the value.

    Slots and entities that do not influence conversations, and entities that the intent ignores, are left out. Slots
    the domain does not declare stay as written, but that no slot is asked for, as after every form, tells nothing.
    What the entities of a message say of slots whose values are told apart follows it, as if the story said so.
    """

    def seen_step(step: StoryStep) -> Iterator[StoryStep]:
        if not step.entities:
            yield replace(step, slots=_visible(step.slots, domain)) if step.slots else step
            return
        yield replace(step, entities=tuple(one for one in step.entities if _counts(one.entity, step, domain)))
        if told := _told(step, domain):
            yield StoryStep(slots=told, where=step.where)

    def steps(found: Sequence[StoryStep]) -> tuple[StoryStep, ...]:
        return tuple(chain.from_iterable(map(seen_step, found)))

    return replace(story, steps=steps(story.steps), condition=steps(story.condition))


def _counts(entity: str, step: StoryStep, domain: Domain) -> bool:
    """Whether an entity may influence a policy in a message of the step's intent."""
    intent = domain.intents.get(base_intent(step.intent or ""))
    if intent is not None and entity in intent.ignore_entities:
        return False
    if intent is not None and intent.use_entities is not None:
        return entity in intent.use_entities
    spec = domain.entities.get(entity)
    return spec is None or spec.influence_conversation


def _told(step: StoryStep, domain: Domain) -> Mapping[str, Any]:
    """Slots that the entities fill, of the few values that stories mean; a number is an example, a text only filled."""
    told = slots_told(domain, step)
    named = {name: value for name, value in told.items() if value and domain.slots[name].type in _NAMED}
    return _visible(named, domain)


def _visible(slots: Mapping[str, Any], domain: Domain) -> Mapping[str, Any]:
    visible: dict[str, Any] = {}
    for name, value in slots.items():
        slot = domain.slots.get(name)
        if (name == REQUESTED_SLOT and value is None) if slot is None else not slot.influence_conversation:
            continue
        is_filled = value is not None and value != []
        if slot is not None and value is not FILLED:
            value = FILLED if is_filled and slot.type in ("text", "list") else seen(slot, value)
        visible[name] = value
    return MappingProxyType(visible)


def check_ranges(stories: Sequence[Story], domain: Domain, report: Report) -> None:
    """Warn of numbers of a float slot that stories tell apart and that its range makes one."""
    steps = [step for story in stories for step in chain(story.condition, story.steps)]
    for name, slot in domain.slots.items():
        if slot.type != "float":
            continue
        numbers = {step.slots[name] for step in steps if isinstance(step.slots.get(name), int | float)}
        for key, edge in (("min_value", slot.min_value), ("max_value", slot.max_value)):
            same = [f"{number:g}" for number in sorted(numbers) if seen(slot, number) == edge]
            if len(same) > 1:
                told = f"stories tell {' and '.join(same)} apart, but its {key} of {edge:g} makes them one"
                report.warning(slot.where, f"slot {name!r}: {told}")
