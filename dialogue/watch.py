"""How long the stages of a turn take; each is a span, too, where somebody traces."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from dialogue import tracing
from dialogue.message import EMPTY


class Watch:
    """Milliseconds per stage; a stage within another counts only once, for itself.

    Args:
        spent: what stages took already.
        traced: whether stages are spans.
    """

    def __init__(self, spent: Mapping[str, float] = EMPTY, *, traced: bool = True) -> None:
        self._spent = dict(spent)
        self._open: list[str] = []
        self._traced = traced

    @contextmanager
    def __call__(self, stage: str, **attributes: str) -> Iterator[Any]:
        """Measure a stage. The attributes are its span's."""
        self._spent.setdefault(stage, 0.0)
        self._open.append(stage)
        start = time.perf_counter()
        try:
            with tracing.span(stage, attributes) if self._traced else tracing.NOTHING as span:
                yield span
        finally:
            self._open.pop()
            self._add(stage, (time.perf_counter() - start) * 1000)

    def split(self, stages: Mapping[str, float]) -> None:
        """Take parts that were measured elsewhere, and have just ended, out of the open stage."""
        if self._traced:
            tracing.past(stages)
        for stage, milliseconds in stages.items():
            self._add(stage, milliseconds)

    def read(self) -> Mapping[str, float]:
        """Milliseconds per stage."""
        return MappingProxyType({stage: max(0.0, spent) for stage, spent in self._spent.items()})

    def share(self, number: int) -> Mapping[str, float]:
        """Milliseconds per stage for one of so many that the stages were common to."""
        return MappingProxyType({stage: spent / number for stage, spent in self.read().items()})

    def _add(self, stage: str, milliseconds: float) -> None:
        self._spent[stage] = self._spent.get(stage, 0.0) + milliseconds
        if self._open:
            self._spent[self._open[-1]] -= milliseconds
