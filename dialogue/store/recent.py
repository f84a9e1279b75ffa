"""Trackers of conversations that went on lately, so that a turn need not read a whole conversation again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from dialogue.store.base import TrackerStore
from dialogue.tracker import Tracker

MOST = 256  # conversations


class Recent:
    """Gives the tracker of a conversation as the store has it, and reads only what it has not read before.

    What it remembers was read from the store, never what a turn made in memory. It is taken up again only if the event
    it ends with still stands in its place: another process may have gone on with the conversation, or begun it anew.

    Args:
        store: keeps the conversations.
        slots: initial values, as for `Tracker`.
        most: how many conversations to remember.
    """

    def __init__(self, store: TrackerStore, slots: Mapping[str, Any], *, most: int = MOST) -> None:
        self._store = store
        self._slots = slots
        self._most = most
        self._known: OrderedDict[str, Tracker] = OrderedDict()
        self._lock = threading.Lock()

    def tracker(self, conversation: str) -> Tracker:
        """The conversation; an empty one if there was none yet. Raises `StoreError` if the store cannot be reached."""
        with self._lock:
            known = self._known.get(conversation)
        found = None if known is None else self._gone_on(known)
        if found is None:
            found = Tracker(conversation, self._slots).apply(self._store.events(conversation))
        with self._lock:
            self._known[conversation] = found
            self._known.move_to_end(conversation)
            while len(self._known) > self._most:
                self._known.popitem(last=False)
        return found

    def _gone_on(self, known: Tracker) -> Tracker | None:
        """The tracker with what came since; None if the conversation is not the one it was."""
        last = known.last_event
        if last is None:
            return None
        new = self._store.events(known.conversation, after=known.length - 1)
        if not new or (new[0].wire, new[0].timestamp) != (last.wire, last.timestamp):
            return None
        return known.apply(new[1:])
