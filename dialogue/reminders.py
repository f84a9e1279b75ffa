"""Reminders that actions have scheduled and that wait: a fold over the events, so that no restart loses one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from dialogue.events import Event, ReminderCancelled, ReminderScheduled, Restarted, UserUttered

PREFIX = "reminder:"


@dataclass(frozen=True, slots=True)
class Reminder:
    """An intent that is to come in at a time.

    Attributes:
        number: of the event that scheduled it.
        due: in seconds since 1970. A date without a time zone is in the machine's own, as `datetime.now()` gives it.
    """

    number: int
    due: float
    event: ReminderScheduled

    @property
    def message_id(self) -> str:
        """Id of the message it becomes: who finds it among the events knows that this reminder has come in."""
        return f"{PREFIX}{self.number}"


Waiting = Mapping[str, Reminder]
NONE: Waiting = MappingProxyType({})


def after(waiting: Waiting, event: Event, number: int) -> Waiting:
    """The reminders that wait after one more event; a new one of the same name replaces the old.

    Args:
        waiting: by name, or by message id for those without a name.
        event: what happened.
        number: of the event in its conversation, from 1.
    """
    if isinstance(event, ReminderScheduled):
        reminder = Reminder(number, event.date_time.timestamp(), event)
        return MappingProxyType({**waiting, event.name or reminder.message_id: reminder})
    if not waiting or not isinstance(event, (ReminderCancelled, Restarted, UserUttered)):
        return waiting
    return MappingProxyType({name: one for name, one in waiting.items() if not _ends(one, event)})


def overdue(waiting: Waiting, now: float) -> list[Reminder]:
    """Those due by now, in seconds since 1970, the earliest first."""
    return sorted((one for one in waiting.values() if one.due <= now), key=lambda one: (one.due, one.number))


def _ends(reminder: Reminder, event: Event) -> bool:
    if isinstance(event, UserUttered):
        if event.external:
            return event.message_id == reminder.message_id
        return reminder.event.kill_on_user_msg
    return not isinstance(event, ReminderCancelled) or _matches(reminder.event, event)


def _matches(scheduled: ReminderScheduled, cancelled: ReminderCancelled) -> bool:
    """Whether all that the cancellation names is the reminder's."""
    return (
        cancelled.name in (None, scheduled.name)
        and cancelled.intent in (None, scheduled.intent)
        and (cancelled.entities is None or _plain(cancelled.entities) == _plain(scheduled.entities))
    )


def _plain(entities: Any) -> list[tuple[str, str]]:
    """Entities of either form, in no order."""
    if isinstance(entities, Mapping):
        pairs: Iterable[tuple[Any, Any]] = entities.items()
    else:
        pairs = [(one.get("entity"), one.get("value")) for one in entities or () if isinstance(one, Mapping)]
    return sorted((str(name), str(value)) for name, value in pairs)
