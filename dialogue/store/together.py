"""Transactions of several threads as one: they share the fsync, which on many disks takes longest of all.

Whoever comes first commits; who comes meanwhile waits, and the next one takes the work of all that wait along. So one
thread alone waits for nobody, and on a slow disk more are stored at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar, cast

from dialogue.store.driver import Straight

Value = TypeVar("Value")
Work = Callable[[Straight], Any]
Write = Callable[[], AbstractContextManager[Straight]]


class _Wanted:
    """Work that somebody waits for, and in the end what came of it."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.done = False
        self.value: Any = None
        self.error: Exception | None = None

    def run(self, write: Write) -> None:
        """In a transaction of its own."""
        try:
            with write() as straight:
                self.value = self.work(straight)
        except Exception as error:  # whoever waits for it raises it
            self.error = error
        self.done = True


class Together:
    """Runs work of several threads in one transaction.

    Args:
        write: opens a transaction, which is committed when its block ends well.
    """

    def __init__(self, write: Write) -> None:
        self._write = write
        self._waiting: list[_Wanted] = []
        self._gate = threading.Lock()
        self._committing = threading.Lock()

    def run(self, work: Callable[[Straight], Value]) -> Value:
        """What `work` returns, once it is committed. It may be run a second time, if other work failed beside it.

        Raises:
            Exception: what `work` raises; then nothing of it is stored, and other work is not touched.
        """
        mine = _Wanted(work)
        with self._gate:
            self._waiting.append(mine)
        with self._committing:
            if not mine.done:
                self._commit(mine)
        if mine.error is not None:
            raise mine.error
        return cast("Value", mine.value)

    def _commit(self, mine: _Wanted) -> None:
        """Mine and all that waits; after a failure each by itself, so that only those fail whose fault it was."""
        batch = [mine]
        try:
            with self._write() as straight:
                batch = self._take(mine)
                values = [one.work(straight) for one in batch]
        except Exception as error:
            if len(batch) > 1:
                for one in batch:
                    one.run(self._write)
            else:
                self._take(mine, alone=True)
                mine.error = error
            return
        for one, value in zip(batch, values, strict=True):
            one.value, one.done = value, True

    def _take(self, mine: _Wanted, *, alone: bool = False) -> list[_Wanted]:
        """Mine and, unless alone, all that waits, which then waits no more."""
        with self._gate:
            others = [one for one in self._waiting if one is not mine]
            self._waiting = others if alone else []
        return [mine] if alone else [mine, *others]
