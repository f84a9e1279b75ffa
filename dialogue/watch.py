"""How long the stages of a turn take; each is a span, too, where somebody traces."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from dialogue import tracing


class Watch:
    """Milliseconds per stage; a stage within another counts only once, for itself."""

    def __init__(self) -> None:
        self._spent: dict[str, float] = {}
        self._open: list[str] = []

    @contextmanager
    def __call__(self, stage: str, **attributes: str) -> Iterator[Any]:
        """Measure a stage. The attributes are its span's."""
        self._spent.setdefault(stage, 0.0)
        self._open.append(stage)
        start = time.perf_counter()
        try:
            with tracing.span(stage, attributes) as span:
                yield span
        finally:
            self._open.pop()
            self._add(stage, (time.perf_counter() - start) * 1000)

    def split(self, stages: Mapping[str, float]) -> None:
        """Take parts that were measured elsewhere, and have just ended, out of the open stage."""
        tracing.past(stages)
        for stage, milliseconds in stages.items():
            self._add(stage, milliseconds)

    def read(self) -> Mapping[str, float]:
        """Milliseconds per stage."""
        return MappingProxyType({stage: max(0.0, spent) for stage, spent in self._spent.items()})

    def _add(self, stage: str, milliseconds: float) -> None:
        self._spent[stage] = self._spent.get(stage, 0.0) + milliseconds
        if self._open:
            self._spent[self._open[-1]] -= milliseconds
