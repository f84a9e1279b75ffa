"""Forms: ask for one slot after the other until all are filled."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from dialogue.actions.base import ActionRejected, ActionRequest, ActionResult, Actions
from dialogue.domain import ACTION_LISTEN, REQUESTED_SLOT, Domain, Form
from dialogue.events import ActionExecuted, ActionExecutionRejected, ActiveLoop, Event, SlotSet
from dialogue.extraction import extract_on_activation, hear
from dialogue.message import Reply
from dialogue.slots import ABSENT
from dialogue.tracker import Tracker

logger = logging.getLogger(__name__)


class FormActions:
    """Runs the forms of a domain, as Rasa's `FormAction` does.

    A form checks what was filled, with the project's `validate_<form>` if there is one, and asks for the next slot by
    the first of `action_ask_<form>_<slot>`, `utter_ask_<form>_<slot>`, `action_ask_<slot>` and `utter_ask_<slot>`.
    Validation may empty slots, which are asked for again; choose the next slot, or none, by setting `requested_slot`;
    end the form (`ActiveLoop(None)`); or refuse (`ActionExecutionRejected`). A message that was no answer to the form,
    because a story had left it or a rule answered first, fills nothing: validation is shown no slot and may only choose
    the next one. Else the form asks again what it asked before.

    Args:
        domain: whose forms these are.
        own: runs what validates and what asks for a slot: custom actions and responses.
    """

    def __init__(self, domain: Domain, own: Actions) -> None:
        self._domain = domain
        self._own = own

    def knows(self, name: str) -> bool:
        """Whether it is a form."""
        return name in self._domain.forms

    def run(self, request: ActionRequest) -> ActionResult:
        """Begin the form or go on with it: check what was filled, then ask for the next slot, or end.

        Raises:
            ActionRejected: if the form asked for a slot and the message filled none of its slots.
        """
        form, before = self._domain.forms[request.name], request.tracker
        begins = before.active_form != form.name
        begun = self._begun(form, request) if begins else ActionResult()
        events = list(begun.events)
        tracker = before.apply(events)
        waits = not begins and _waits(tracker)
        candidates = _filled(form, tracker) if begins else _just_set(form, tracker) if waits else {}
        resumed = not begins and not waits
        checked = self._checked(form, replace(request, tracker=tracker), candidates)
        if resumed:
            checked = replace(checked, events=tuple(event for event in checked.events if not _fills(event)))
        replies = (*begun.replies, *checked.replies)
        if any(isinstance(event, ActionExecutionRejected) for event in checked.events):
            return ActionResult((*events, *checked.events), replies)
        if waits and not candidates and not any(_fills(event) for event in checked.events):
            raise ActionRejected(f"{form.name}: the message fills none of its slots")
        events += checked.events
        tracker = tracker.apply(checked.events)
        slot = _next_slot(form, tracker, checked.events, resumed=resumed)
        if tracker.requested_slot != slot or slot is None:
            events.append(SlotSet(name=REQUESTED_SLOT, value=slot))
        if slot is None:
            ended = [] if tracker.active_loop is None else [ActiveLoop(name=None)]
            return ActionResult((*events, *ended), replies)
        asked = self._ask(form, slot, replace(request, tracker=before.apply(events)), checked)
        return ActionResult((*events, *asked.events), (*replies, *asked.replies))

    def _begun(self, form: Form, request: ActionRequest) -> ActionResult:
        """The form in charge, and what the message that activates it says to it."""
        before = request.tracker
        events: list[Event] = [ActiveLoop(name=form.name)]
        said, turns = before.latest_message, before.state().turns
        if said is None or not turns:
            return ActionResult(tuple(events))
        active = before.apply([*events, SlotSet(name=REQUESTED_SLOT, value=None)])
        replies: list[Reply] = []
        for found in extract_on_activation(self._domain, active, hear(said, turns[-1].entities)):
            if isinstance(found, SlotSet):
                events.append(found)
            else:
                filled = self._fill(replace(request, name=found, tracker=active.apply(events[1:])))
                events += filled.events
                replies += filled.replies
        return ActionResult(tuple(events), tuple(replies))

    def _fill(self, request: ActionRequest) -> ActionResult:
        """What slots the action of a `custom` mapping sets. One that fails or refuses sets none, as after a message."""
        try:
            result = self._own.run(request)
        except Exception:
            logger.exception("conversation %s: action %s failed", request.tracker.conversation, request.name)
            return ActionResult()
        return ActionResult(tuple(event for event in result.events if isinstance(event, SlotSet)), result.replies)

    def _checked(self, form: Form, request: ActionRequest, candidates: Mapping[str, Any]) -> ActionResult:
        """What validation makes of the slots just filled; nothing, where the project does not validate.

        The action finds them as the last events, after the form's own.
        """
        name = f"validate_{form.name}"
        if not self._own.knows(name):
            return ActionResult()
        wanted = request.tracker.requested_slot if request.tracker.active_form == form.name else None
        shown = request.tracker.apply(
            [
                SlotSet(name=REQUESTED_SLOT, value=wanted),
                ActionExecuted(name=form.name),
                *(SlotSet(name=slot, value=value) for slot, value in candidates.items()),
            ]
        )
        return self._own.run(replace(request, name=name, tracker=shown))

    def _ask(self, form: Form, slot: str, request: ActionRequest, checked: ActionResult) -> ActionResult:
        names = [f"{kind}_ask_{what}" for what in (f"{form.name}_{slot}", slot) for kind in ("action", "utter")]
        for name in names:
            if self._own.knows(name):
                return self._own.run(replace(request, name=name))
        if not checked.replies:  # validation may have asked already, and so may the action before the form
            sender, expected = request.tracker.conversation, ", ".join(names)
            logger.warning("conversation %s: nothing asks for slot %r, expected one of %s", sender, slot, expected)
        return ActionResult()


def _waits(tracker: Tracker) -> bool:
    """Whether the message is the answer to a question of the form: it asked, and no story left it since."""
    loop = tracker.active_loop
    return (
        tracker.requested_slot is not None
        and tracker.latest_action in (None, ACTION_LISTEN)
        and (loop is None or not loop.is_interrupted)
    )


def _filled(form: Form, tracker: Tracker) -> dict[str, Any]:
    """The slots of the form that have a value."""
    return {name: tracker.slots[name] for name in form.required_slots if tracker.slots.get(name) is not None}


def _just_set(form: Form, tracker: Tracker) -> dict[str, Any]:
    """What the last message set of the form's slots, and of the slot it asked for, which validation may have added."""
    wanted = {*form.required_slots, tracker.requested_slot}
    events = tracker.since_message()
    return {event.name: event.value for event in events if isinstance(event, SlotSet) and event.name in wanted}


def _fills(event: Event) -> bool:
    return isinstance(event, SlotSet) and event.name != REQUESTED_SLOT


def _next_slot(form: Form, tracker: Tracker, checked: Iterable[Event], *, resumed: bool) -> str | None:
    """What to ask for: what validation says, or the first slot that is empty; None when the form is done.

    A form that is resumed asks again what it asked before while that is empty, be it a slot of the form's own or not.
    """
    said: Any = ABSENT
    for event in checked:
        if isinstance(event, SlotSet) and event.name == REQUESTED_SLOT:
            said = event.value
    if tracker.active_form != form.name:
        return None
    if said is not ABSENT:
        return None if said is None else str(said)
    asked = [tracker.requested_slot] if resumed and tracker.requested_slot else []
    return next((name for name in (*asked, *form.required_slots) if tracker.slots.get(name) is None), None)
