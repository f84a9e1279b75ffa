"""One conversation: a fold over its events.

The semantics are those of Rasa's tracker: what was rewound or undone is kept in the log but no longer counts, and a
form that runs again after its question was answered leaves one trace, so that stories need not spell out every slot.
Rasa finds the state after a rewind by replaying all events; here every event that counts keeps the moment after it, so
that going back is a step along a chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from dialogue import events as ev
from dialogue.fold import LISTEN, REQUESTED_SLOT, Loop, Moment, failed, start, step
from dialogue.reminders import NONE, Waiting, after
from policies.types import DialogueState

Include = Literal["ALL", "AFTER_RESTART", "APPLIED", "NONE"]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _Logged:
    """An event in the order it came, counted or not."""

    event: ev.Event
    previous: _Logged | None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _Applied:
    """An event that counts and the moment after it.

    `ran` names the form that ran here; or ran again, and what lay between was taken out already.
    """

    event: ev.Event
    moment: Moment
    previous: _Applied | None
    ran: str | None


class Tracker:
    """The state of one conversation. `apply` gives the next one; a tracker itself never changes.

    Args:
        conversation: its id.
        slots: initial value of every slot of the bot. Values for other slots are ignored; with None, all are kept.
        history: at most so many turns are remembered for the policies, at least 1.
    """

    __slots__ = (
        *("_applied", "_failed", "_failures", "_first", "_forms", "_length", "_log", "_now", "_reminders", "_said"),
        "conversation",
    )

    def __init__(self, conversation: str, slots: Mapping[str, Any] | None = None, *, history: int = 20) -> None:
        if history < 1:
            raise ValueError(f"history: expected at least 1 turn, got {history}")
        self.conversation = conversation
        self._first = start(slots, history)
        self._now = self._first
        self._log: _Logged | None = None
        self._applied: _Applied | None = None
        self._forms: frozenset[str] = frozenset()
        self._said: ev.UserUttered | None = None
        self._failures = 0
        self._failed = False
        self._length = 0
        self._reminders = NONE

    def apply(self, events: Iterable[ev.Event]) -> Tracker:
        """The tracker after `events`: the same whether they come one by one or all at once."""
        next_one = object.__new__(Tracker)
        for name in Tracker.__slots__:  # `copy.copy` takes ten times as long
            setattr(next_one, name, getattr(self, name))
        for event in events:
            next_one._add(event)
        return next_one

    @property
    def slots(self) -> Mapping[str, Any]:
        """Every slot's value, None when unset."""
        return self._now.slots

    @property
    def active_loop(self) -> Loop | None:
        """The form in charge and how it stands."""
        return self._now.loop

    @property
    def active_form(self) -> str | None:
        """Name of the form in charge."""
        return None if self._now.loop is None else self._now.loop.name

    @property
    def requested_slot(self) -> str | None:
        """The slot that form last asked for."""
        return self._now.slots.get(REQUESTED_SLOT)

    @property
    def latest_message(self) -> ev.UserUttered | None:
        """The last user message that counts."""
        return self._now.message

    @property
    def latest_action(self) -> str | None:
        """Name of the last action that counts."""
        return self._now.action_name

    @property
    def followup_action(self) -> str | None:
        """The action that must run next."""
        return self._now.followup

    @property
    def paused(self) -> bool:
        """Whether the bot is silent."""
        return self._now.paused

    @property
    def ended(self) -> bool:
        """Whether the session was ended and no other begun."""
        return self._now.ended

    @property
    def failures(self) -> int:
        """User turns in a row that ended in a fallback, this one included. Rewinding does not undo a failure."""
        return self._failures

    @property
    def last_heard(self) -> ev.UserUttered | None:
        """The last user message, whether it counts or was rewound: its time decides when a session is over."""
        return self._said

    @property
    def length(self) -> int:
        """How many events there have been; the number of the last."""
        return self._length

    @property
    def last_event(self) -> ev.Event | None:
        """The last event, counted or not."""
        return None if self._log is None else self._log.event

    @property
    def reminders(self) -> Waiting:
        """The reminders that wait."""
        return self._reminders

    @property
    def fresh(self) -> bool:
        """Whether nothing counts: a session must begin."""
        return self._applied is None

    @property
    def events(self) -> list[ev.Event]:
        """Everything that happened."""
        return _unroll(self._log)

    @property
    def applied_events(self) -> list[ev.Event]:
        """What counts since the last restart or session start: nothing rewound, undone or folded into a form."""
        return _unroll(self._applied)

    def since_message(self) -> list[ev.Event]:
        """What counts since the user spoke last."""
        found: list[ev.Event] = []
        place = self._applied
        while place is not None and not isinstance(place.event, ev.UserUttered):
            found.append(place.event)
            place = place.previous
        return found[::-1]

    def backwards(self) -> Iterator[ev.Event]:
        """Everything that happened, counted or not, the last event first."""
        logged = self._log
        while logged is not None:
            yield logged.event
            logged = logged.previous

    def state(self) -> DialogueState:
        """What the policies may know."""
        past = self._first if self._applied is None else self._applied.moment
        now = self._now
        return DialogueState(
            slots=now.slots,
            turns=past.turns,
            opening=past.opening,
            active_form=self.active_form,
            requested_slot=self.requested_slot,
            rejected=now.rejected,
            failures=self._failures,
            started=now.answered,
        )

    def as_dict(self, include: Include = "AFTER_RESTART") -> dict[str, Any]:
        """The tracker state of Rasa's HTTP API and of a request to an action server.

        Args:
            include: which events to show; `ALL` is what an action server gets.
        """
        now = self._now
        return {
            "sender_id": self.conversation,
            "slots": dict(now.slots),
            "latest_message": _message(now),
            "latest_event_time": None if self._log is None else self._log.event.timestamp,
            "followup_action": now.followup,
            "paused": now.paused,
            "events": self._shown(include),
            "latest_input_channel": None if self._said is None else self._said.input_channel,
            "active_loop": _loop(now.loop),
            "latest_action": _action(now),
            "latest_action_name": now.action_name,
        }

    def _shown(self, include: Include) -> list[dict[str, Any]] | None:
        if include == "NONE":
            return None
        events = self.applied_events if include == "APPLIED" else self.events
        if include == "AFTER_RESTART":
            restarts = [index for index, event in enumerate(events) if isinstance(event, ev.Restarted)]
            events = events[restarts[-1] + 1 :] if restarts else events
        return [event.as_dict() for event in events]

    def _add(self, event: ev.Event) -> None:
        """Append an event. Only `apply` may call it, on its own copy."""
        self._log = _Logged(event, self._log)
        self._length += 1
        self._reminders = after(self._reminders, event, self._length)
        self._count_failures(event)
        if isinstance(event, ev.UserUttered):
            self._said = event
        if isinstance(event, ev.ActiveLoop) and event.name:
            self._forms |= {event.name}
        if isinstance(event, ev.SessionStarted):
            self._applied, self._now = None, self._first
        elif isinstance(event, ev.Restarted):
            self._applied, self._now = None, step(self._now, event)
        elif isinstance(event, ev.ActionReverted):
            self._go_back(ev.ActionExecuted)
        elif isinstance(event, ev.UserUtteranceReverted):
            self._go_back(ev.UserUttered, ev.ActionExecuted)
        else:
            before, self._now = self._now, step(self._now, event)
            self._applied = self._follow(event, before)

    def _count_failures(self, event: ev.Event) -> None:
        if isinstance(event, (ev.Restarted, ev.SessionStarted)):
            self._failures, self._failed = 0, False
        elif isinstance(event, ev.UserUttered):
            self._failed = False
        elif isinstance(event, ev.ActionExecuted):
            if failed(event):
                self._failures += not self._failed
                self._failed = True
            elif event.name == LISTEN and not self._failed:
                self._failures = 0

    def _go_back(self, *kinds: type[ev.Event]) -> None:
        """Forget what counts back to, and with, the last event of each kind in turn."""
        place = self._applied
        for kind in kinds:
            while place is not None and not isinstance(place.event, kind):
                place = place.previous
            place = None if place is None else place.previous
        self._applied = place
        self._now = self._first if place is None else place.moment

    def _follow(self, event: ev.Event, before: Moment) -> _Applied | None:
        place = self._applied
        if isinstance(event, ev.ActionExecuted) and event.name in self._forms and _runs_again(place, event.name):
            return self._without_answer(event.name)
        if (self._first if place is None else place.moment) is before:  # nothing was folded: it is the same step
            return _Applied(event, self._now, place, _ran(event))
        return self._chained(place, event)

    def _chained(self, place: _Applied | None, event: ev.Event) -> _Applied:
        moment = step(self._first if place is None else place.moment, event)
        return _Applied(event, moment, place, _ran(event))

    def _without_answer(self, form: str) -> _Applied | None:
        """What counts when a form runs again: its answered question leaves the slots, not the turn."""
        place, kept = self._applied, []
        while place is not None and place.ran != form:
            if not isinstance(place.event, (ev.ActionExecuted, ev.UserUttered, ev.DefinePrevUserUtteredFeaturization)):
                kept.append(place.event)
            place = place.previous
        for event in reversed(kept):
            place = self._chained(place, event)
        return None if place is None else replace(place, ran=form)


def _ran(event: ev.Event) -> str | None:
    return event.name if isinstance(event, ev.ActionExecuted) else None


def _runs_again(place: _Applied | None, form: str) -> bool:
    """Whether the form ran before and has not been left since, by its end, its refusal or another action."""
    action: str | None = None
    while place is not None and place.ran != form:
        event = place.event
        if isinstance(event, ev.ActiveLoop) and event.name is None:
            return False
        if isinstance(event, ev.ActionExecutionRejected) and event.name == form:
            return False
        if isinstance(event, ev.UserUttered) and action is not None:
            return False
        if isinstance(event, ev.ActionExecuted):
            action = event.name
        place = place.previous
    return place is not None


def _unroll(last: _Logged | _Applied | None) -> list[Any]:
    events = []
    while last is not None:
        events.append(last.event)
        last = last.previous
    events.reverse()
    return events


def _loop(loop: Loop | None) -> dict[str, Any]:
    return {} if loop is None else {item.name: getattr(loop, item.name) for item in fields(loop)}


def _action(now: Moment) -> dict[str, Any]:
    return {} if now.action is None else {"action_name" if now.action.name else "action_text": now.action_name}


def _message(now: Moment) -> dict[str, Any]:
    """The parse of the last message, with the entities that were added to it."""
    said = now.message or ev.UserUttered(timestamp=0.0)
    parse: dict[str, Any] = {"intent": {}, "entities": [], "text": said.text}
    parse |= {"message_id": said.message_id, "metadata": dict(said.metadata), **said.parse_data}
    parse["entities"] = list(now.entities)
    return parse
