"""The contract of a conversation store."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from dialogue.errors import StoreError
from dialogue.events import Event
from dialogue.message import EMPTY, Message, Reply

__all__ = ["Addition", "Answered", "ConflictError", "Look", "Rights", "StoreError", "TrackerStore"]


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


@dataclass(frozen=True, slots=True)
class Addition:
    """What `TrackerStore.append` is asked to add to a conversation, see there."""

    conversation: str
    expected_sequence: int | None
    events: Sequence[Event]
    answered: Answered | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """A message that begins a turn, and the number after which events of its sender's conversation are wanted."""

    message: Message
    after: int = 0


class Rights(Protocol):
    """The right to run a turn of several conversations, which ends with a block.

    Attributes:
        conversations: those that nobody else had the right to.
    """

    conversations: Collection[str]

    def keep(self, conversation: str) -> Callable[[], None]:
        """Have one last beyond the block, until what is returned is called, in whatever thread."""
        ...


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

    def append_many(self, additions: Sequence[Addition]) -> Collection[str]:
        """Add to several conversations, each once, in one transaction.

        Returns:
            The conversations that were added to. For the others `append` says what is wrong, or adds.
        """
        ...

    def turn(self, conversation: str) -> AbstractContextManager[None]:
        """The only right, among all threads and processes, to run a turn of this conversation.

        Waits for its holder. The right of a process that dies ends with it. It does not nest.

        Raises:
            StoreError: when the holder does not finish in time.
        """
        ...

    def free_turns(self, conversations: Sequence[str]) -> AbstractContextManager[Rights]:
        """The same right to those of several conversations that nobody has just now. Waits for none of them.

        Raises:
            StoreError: when it cannot be asked for.
        """
        ...

    def look(self, several: Sequence[Look]) -> list[tuple[tuple[Reply, ...] | None, list[Event]]]:
        """What turns begin with: was the message answered already, and if not, what there is to go on from.

        Returns:
            For each the replies stored for this message (by its channel and id in this conversation), and no events;
            or, for a message that is new, None and what `events` gives.
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
