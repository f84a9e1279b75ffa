"""An index of what conversations may end with: finding what fits costs the length of the history, not of the index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from policies.history import Move, ends_with, step_key
from policies.types import StoryStep

Found = TypeVar("Found")


@dataclass(slots=True)
class _Node(Generic[Found]):
    """A branch: what was put under the keys that lead here, last key first, and where further keys lead."""

    entries: list[tuple[int, tuple[StoryStep, ...], Found]] = field(default_factory=list)
    branches: dict[str, _Node[Found]] = field(default_factory=dict)


class Suffixes(Generic[Found]):
    """Values under sequences of steps, found by the conversations that end so."""

    def __init__(self) -> None:
        self._root: _Node[Found] = _Node()
        self._size = 0

    def add(self, past: Sequence[StoryStep], value: Found) -> None:
        """Put a value under steps, oldest first."""
        node = self._root
        for step in reversed(past):
            node = node.branches.setdefault(step_key(step), _Node())
        node.entries.append((self._size, tuple(past), value))
        self._size += 1

    def ending(self, history: Sequence[Move]) -> Iterator[Found]:
        """Values whose steps the conversation ends with, in the order they were added."""
        found: list[tuple[int, tuple[StoryStep, ...], Found]] = []
        nodes = [self._root]
        for move in reversed(history):
            nodes = [node.branches[key] for node in nodes for key in move.keys if key in node.branches]
            if not nodes:
                break
            for node in nodes:
                found += node.entries
        for _, past, value in sorted(found, key=lambda entry: entry[0]):
            if ends_with(past, history):
                yield value
