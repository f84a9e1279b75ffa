"""The contract of a conversation store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from dialogue.errors import StoreError
from dialogue.events import Event
from dialogue.message import EMPTY, Message, Reply

__all__ = ["Answered", "ConflictError", "StoreError", "TrackerStore"]


class ConflictError(StoreError):
    """A turn was not stored because the conversation is no longer where the turn began."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A message and what was replied to it, so that its redelivery gets the same answer and changes nothing.

    `milliseconds` is what the stages of the turn took until it was stored.
    """

    message: Message
    replies: tuple[Reply, ...]
    milliseconds: Mapping[str, float] = field(default_factory=lambda: EMPTY)


@runtime_checkable
class TrackerStore(Protocol):
    """Keeps the events of every conversation, in order.

    Events of a conversation are numbered from 1 without a gap. All methods may be called from any thread, and from
    several processes on one database. Whatever goes wrong is a `StoreError`.
    """

    def events(self, conversation: str, *, after: int = 0) -> list[Event]:
        """The events with a number above `after`, in order; none for a conversation nobody knows."""
        ...

    def append(
        self,
        conversation: str,
        expected_sequence: int | None,
        events: Sequence[Event],
        *,
        answered: Answered | None = None,
    ) -> int:
        """Add events, all or none of them; when this returns they survive a crash.

        Args:
            conversation: its id.
            expected_sequence: number of the event they follow; None: of whichever is the last.
            events: what happened, usually the whole turn.
            answered: the message they answer.

        Returns:
            The number of the last event.

        Raises:
            ConflictError: if the last event has another number, or the message was answered already.
        """
        ...

    def turn(self, conversation: str) -> AbstractContextManager[None]:
        """The only right, among all threads and processes, to run a turn of this conversation.

        Waits for its holder. The right of a process that dies ends with it. It does not nest.

        Raises:
            StoreError: when the holder does not finish in time.
        """
        ...

    def look(
        self, conversation: str, message: Message, *, after: int = 0
    ) -> tuple[tuple[Reply, ...] | None, list[Event]]:
        """What a turn begins with: was the message answered already, and if not, what there is to go on from.

        Returns:
            The replies stored for this message (by its channel and id in this conversation), and no events; or, for a
            message that is new, None and what `events` gives.
        """
        ...

    def conversations(self, *, having: str | None = None) -> list[str]:
        """Every conversation's id, the one with the latest event first; with `having`, of those with such an event.

        Args:
            having: wire name of a type of events.
        """
        ...

    def delete(self, conversation: str) -> bool:
        """Forget all there is of a conversation. False when there was nothing."""
        ...

    def export(self, conversation: str) -> dict[str, Any]:
        """All there is of a conversation, for JSON: `conversation`, `events`, `messages` (id, channel, replies)."""
        ...

    def close(self) -> None:
        """Let go of files and connections. Nothing may be called afterwards."""
        ...
