"""The slots one message fills, custom actions and validation included; a generator like the turn it is part of."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable
from dataclasses import dataclass

from dialogue.actions.base import ActionOutcome, ActionRequest, ActionResult
from dialogue.domain import ACTION_EXTRACT_SLOTS, ACTION_VALIDATE_SLOT_MAPPINGS, Domain
from dialogue.events import BotUttered, Event, SlotSet
from dialogue.extraction import Heard, extract_slots
from dialogue.message import Reply
from dialogue.tracker import Tracker
from policies.types import Decision, Kind

logger = logging.getLogger(__name__)

EXTRACTION = "extraction"


@dataclass(frozen=True, slots=True)
class Filled:
    """Slot and bot events in order, and what an action said meanwhile."""

    events: tuple[Event, ...] = ()
    replies: tuple[Reply, ...] = ()


Filling = Generator[ActionRequest, ActionOutcome, Filled]


def fill_slots(domain: Domain, tracker: Tracker, heard: Heard) -> Filling:
    """Fill slots from a message: by the domain's mappings and the actions of `custom` ones, then have them validated.

    `action_validate_slot_mappings` runs if the domain lists it. A slot it does not mention is as good as extracted. A
    project that lists `action_extract_slots` itself does all of this itself. An action that fails or refuses changes
    nothing: whoever drives the turn has logged it.

    Yields:
        An action to run; send what came of it.
    """
    if ACTION_EXTRACT_SLOTS in domain.actions:
        return (yield from _ask(ACTION_EXTRACT_SLOTS, domain, tracker))
    found: list[Event] = []
    replies: list[Reply] = []
    for one in extract_slots(domain, tracker, heard):
        if isinstance(one, SlotSet):
            found.append(one)
            continue
        more = yield from _ask(one, domain, tracker.apply(found))
        found += more.events
        replies += more.replies
    if ACTION_VALIDATE_SLOT_MAPPINGS in domain.actions:
        checked = yield from _ask(ACTION_VALIDATE_SLOT_MAPPINGS, domain, tracker.apply(_slots(found)))
        mentioned = {event.name for event in _slots(checked.events)}
        valid = [event for event in found if not isinstance(event, SlotSet) or event.name not in mentioned]
        found, replies = [*valid, *checked.events], [*replies, *checked.replies]
    return Filled(tuple(found), tuple(replies))


def _ask(name: str, domain: Domain, tracker: Tracker) -> Filling:
    """What an action fills. Of its events only those of slots and of the bot count."""
    decision = Decision(Kind.ACT, name, 1.0, EXTRACTION, "it fills slots after every message")
    outcome = yield ActionRequest(name, tracker, domain, decision)
    if not isinstance(outcome, ActionResult):
        return Filled()
    kept = tuple(event for event in outcome.events if isinstance(event, (SlotSet, BotUttered)))
    if len(kept) < len(outcome.events):
        dropped = sorted({event.wire for event in outcome.events} - {SlotSet.wire, BotUttered.wire})
        logger.warning(
            "conversation %s: %s may only set slots; its events of type %s are ignored",
            tracker.conversation,
            name,
            ", ".join(dropped),
        )
    return Filled(kept, outcome.replies)


def _slots(events: Iterable[Event]) -> list[SlotSet]:
    return [event for event in events if isinstance(event, SlotSet)]
