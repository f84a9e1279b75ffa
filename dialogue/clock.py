"""Noticing that somebody set the clock."""

from __future__ import annotations

import time


class SetClock:
    """Tells by how much a wall clock was set, against one that only runs on.

    A machine that slept counts as one whose clock was set forward.
    """

    def __init__(self) -> None:
        self._offset: float | None = None

    def moved(self, now: float | None = None) -> float:
        """Seconds by which it was set since the last call, negative for backward; 0 at the first.

        Args:
            now: the wall clock's, in seconds since 1970; by default this machine's.
        """
        offset = (time.time() if now is None else now) - time.monotonic()
        before, self._offset = self._offset, offset
        return 0.0 if before is None else offset - before
