"""Concurrent turns share one pass through the encoders.

Whoever comes first reads; who comes while it reads waits, and the next reader takes all that wait along. A text costs
less in a batch, so the next reader waits a moment until there are as many as last time. A message alone waits for
nobody, under load the batches grow by themselves, and when it is over one of them waits in vain.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from dialogue.message import EMPTY
from policies.types import Belief

MOMENT = 0.004  # seconds; there is other work for the processor meanwhile, or little load


class BatchReader(Protocol):
    """An understanding that can read several texts at once."""

    @property
    def timings(self) -> Mapping[str, float]:
        """Milliseconds per stage of this thread's last call, for all its texts together."""
        ...

    def parse_many(self, texts: Sequence[str]) -> list[Belief]:
        """What each text means."""
        ...


@dataclass(slots=True)
class _Wanted:
    """A text somebody waits for, and in the end its belief or what went wrong."""

    text: str
    belief: Belief | None = None
    error: BaseException | None = None
    timings: Mapping[str, float] = field(default_factory=lambda: EMPTY)


class Batched:
    """An understanding for many threads on top of one that reads several texts at once.

    Args:
        reader: reads.
        most: texts in a batch.
    """

    def __init__(self, reader: BatchReader, *, most: int = 32) -> None:
        self._reader = reader
        self._most = most
        self._waiting: list[_Wanted] = []
        self._size = 1  # of the last batch
        self._gate = threading.Condition()
        self._reading = threading.Lock()
        self._last = threading.local()

    @property
    def timings(self) -> Mapping[str, float]:
        """Milliseconds of each stage of this thread's last text: its share of the batch it was read in."""
        found: Mapping[str, float] = getattr(self._last, "timings", EMPTY)
        return found

    def parse(self, text: str) -> Belief:
        """What the text means."""
        mine = _Wanted(text)
        with self._gate:
            self._waiting.append(mine)
            if len(self._waiting) >= self._size:
                self._gate.notify()
        with self._reading:
            while mine.belief is None and mine.error is None:
                self._read()
        self._last.timings = mine.timings
        if mine.belief is None:
            raise RuntimeError(f"the message could not be read: {mine.error}") from mine.error
        return mine.belief

    def _read(self) -> None:
        """Read the texts that have waited longest, a batch of them."""
        with self._gate:
            self._gate.wait_for(lambda: len(self._waiting) >= self._size, MOMENT)
            batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            self._size = len(batch)
        try:
            beliefs = self._reader.parse_many([wanted.text for wanted in batch])
        except Exception as error:  # each of those who wait raises it
            for wanted in batch:
                wanted.error = error
            return
        shares = {stage: spent / len(batch) for stage, spent in self._reader.timings.items()}
        for wanted, belief in zip(batch, beliefs, strict=True):
            wanted.belief, wanted.timings = belief, shares
