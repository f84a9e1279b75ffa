"""Forms: ask for one slot after the other until all are filled."""

from __future__ import annotations

from dialogue.actions.base import ActionError, ActionRejected, ActionRequest, ActionResult, Actions
from dialogue.domain import ACTION_LISTEN, REQUESTED_SLOT, Domain, Form
from dialogue.events import ActiveLoop, Event, SlotSet, UserUttered
from dialogue.extraction import Heard, extract_on_activation
from dialogue.tracker import Tracker


class FormActions:
    """Runs the forms of a domain.

    Args:
        domain: whose forms these are.
        asks: runs what asks for a slot: custom actions and responses.
    """

    def __init__(self, domain: Domain, asks: Actions) -> None:
        self._domain = domain
        self._asks = asks

    def knows(self, name: str) -> bool:
        """Whether it is a form."""
        return name in self._domain.forms

    def run(self, request: ActionRequest) -> ActionResult:
        """Begin the form or go on with it: ask for the first slot that is empty, or end.

        Raises:
            ActionRejected: if the form asked for a slot and the message filled none of its slots.
            ActionError: if nothing asks for the slot.
        """
        form, tracker = self._domain.forms[request.name], request.tracker
        events: list[Event] = []
        if tracker.active_form != form.name:
            events = [ActiveLoop(name=form.name), *extract_on_activation(self._domain, form, _heard(tracker))]
        elif _waits(tracker) and not _answered(form, tracker):
            raise ActionRejected(f"{form.name}: the message fills none of its slots")
        tracker = tracker.apply(events)
        slot = next((name for name in form.required_slots if tracker.slots.get(name) is None), None)
        events.append(SlotSet(name=REQUESTED_SLOT, value=slot))
        if slot is None:
            return ActionResult((*events, ActiveLoop(name=None)))
        asked = self._ask(form, slot, request)
        return ActionResult((*events, *asked.events), asked.replies)

    def _ask(self, form: Form, slot: str, request: ActionRequest) -> ActionResult:
        names = [f"{kind}_ask_{what}" for what in (f"{form.name}_{slot}", slot) for kind in ("action", "utter")]
        for name in names:
            if self._asks.knows(name):
                return self._asks.run(ActionRequest(name, request.tracker, request.domain, request.decision))
        raise ActionError(f"form {form.name!r}: nothing asks for slot {slot!r}, expected one of {', '.join(names)}")


def _waits(tracker: Tracker) -> bool:
    """Whether the message is the answer to a question of the form."""
    return tracker.requested_slot is not None and tracker.latest_action in (None, ACTION_LISTEN)


def _answered(form: Form, tracker: Tracker) -> bool:
    """Whether the last message filled any slot of the form."""
    for event in reversed(tracker.applied_events):
        if isinstance(event, SlotSet) and event.name in form.required_slots and event.value is not None:
            return True
        if isinstance(event, UserUttered):
            break
    return False


def _heard(tracker: Tracker) -> Heard:
    said = tracker.latest_message
    return Heard("", None, ()) if said is None else Heard(said.text or "", said.intent, ())
