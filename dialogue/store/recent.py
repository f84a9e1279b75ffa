"""Trackers of conversations that went on lately, so that a turn need not read a whole conversation again."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from dialogue.events import Event, own_fields
from dialogue.message import EMPTY, Message, Reply
from dialogue.store.base import Look, TrackerStore
from dialogue.tracker import Tracker

MOST = 256  # conversations
MOST_EVENTS = 10_000  # some 40 MB
_STRINGS = frozenset((str,))
_ATOMS = frozenset((str, float, int, bool, type(None)))


class Recent:
    """Gives the tracker of a conversation as the store has it, and reads only what it has not read before.

    What it remembers was read from the store, or was stored and would be read as it is. It is taken up again only if
    the event it ends with still stands in its place: another process may have gone on with the conversation, or begun
    it anew.

    Args:
        store: keeps the conversations.
        slots: initial values, as for `Tracker`.
        most: how many conversations to remember.
        most_events: how many events they may have together; the latest conversation is remembered however long it is.
    """

    def __init__(
        self, store: TrackerStore, slots: Mapping[str, Any], *, most: int = MOST, most_events: int = MOST_EVENTS
    ) -> None:
        self._store = store
        self._slots = slots
        self._most = most
        self._most_events = most_events
        self._known: dict[str, Tracker] = {}  # the latest last
        self._events = 0
        self._lock = threading.Lock()

    def tracker(self, conversation: str) -> Tracker:
        """The conversation; an empty one if there was none yet. Raises `StoreError` if the store cannot be reached."""
        known = self._recall(conversation)
        return self._keep(conversation, known, self._store.events(conversation, after=_before(known)))

    def meet(self, messages: Sequence[Message]) -> list[tuple[tuple[Reply, ...] | None, Tracker | None]]:
        """For each message, of conversations of their own, the replies if it was answered already, or its conversation.

        Raises:
            StoreError: if the store cannot be reached.
        """
        known = [self._recall(message.sender) for message in messages]
        looks = [Look(message, _before(tracker)) for message, tracker in zip(messages, known, strict=True)]
        return [
            (None, self._keep(message.sender, tracker, events)) if replies is None else (replies, None)
            for message, tracker, (replies, events) in zip(messages, known, self._store.look(looks), strict=True)
        ]

    def went_on(self, tracker: Tracker, events: Sequence[Event]) -> None:
        """Remember a conversation as a turn left it, once its events are stored: then nobody needs to read them."""
        if all(map(read_as_it_is, events)):
            self._remember(tracker)

    def _recall(self, conversation: str) -> Tracker | None:
        with self._lock:
            return self._known.get(conversation)

    def _keep(self, conversation: str, known: Tracker | None, events: Sequence[Event]) -> Tracker:
        """The tracker, given the events from the last known one on; remembered."""
        last = None if known is None else known.last_event
        if known is None or last is None:
            found = Tracker(conversation, self._slots).apply(events)
        elif events and (events[0].wire, events[0].timestamp) == (last.wire, last.timestamp):
            found = known.apply(events[1:])
        else:  # it is not the conversation it was
            found = Tracker(conversation, self._slots).apply(self._store.events(conversation))
        self._remember(found)
        return found

    def _remember(self, tracker: Tracker) -> None:
        with self._lock:
            self._forget(tracker.conversation)
            self._known[tracker.conversation] = tracker
            self._events += tracker.length
            while len(self._known) > 1 and (len(self._known) > self._most or self._events > self._most_events):
                self._forget(next(iter(self._known)))

    def _forget(self, conversation: str) -> None:
        gone = self._known.pop(conversation, None)
        self._events -= 0 if gone is None else gone.length


def _before(known: Tracker | None) -> int:
    """The number after which to read, so that the last known event comes first."""
    return 0 if known is None else max(0, known.length - 1)


def read_as_it_is(event: Event) -> bool:
    """Whether the event is the same once it was JSON: an action's tuple would be a list, a number as key a string."""
    return _is_json(event.metadata) and all(_is_json(getattr(event, name)) for name in own_fields(event.wire))


def _is_json(value: Any) -> bool:
    kind = type(value)
    if kind is dict:
        if not _STRINGS.issuperset(map(type, value)):
            return False
        value = value.values()
    elif kind is not list:
        return kind in _ATOMS or value is EMPTY
    return _ATOMS.issuperset(map(type, value)) or all(map(_is_json, value))
