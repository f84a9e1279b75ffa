"""What comes at the same time is done at once, in one thread.

Who comes while the thread is busy waits, and is taken along next time. One of many costs less than one alone, so when
the thread is free it waits a moment for those it has just served: they are likely to come again. One alone waits for
nobody, under load the batches grow by themselves, and when it is over one of them waits in vain.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

MOMENT = 0.004  # seconds; there is other work for the processor meanwhile, or little load
MOST = 32

Item = TypeVar("Item")
Value = TypeVar("Value")


class Batches(Generic[Item, Value]):
    """Gives items to a function, as many at a time as there are. Belongs to one event loop, which it never blocks.

    Args:
        work: returns a value for each of several items. What it raises all of them raise.
        name: of the thread.
        most: items at a time.
    """

    def __init__(self, work: Callable[[Sequence[Item]], Sequence[Value]], name: str, *, most: int = MOST) -> None:
        self._work = work
        self._most = most
        self._thread = ThreadPoolExecutor(1, name)
        self._waiting: list[tuple[Item, asyncio.Future[Value]]] = []
        self._expected = 1  # are enough to begin
        self._busy = False
        self._timer: asyncio.TimerHandle | None = None

    async def run(self, item: Item) -> Value:
        """The value of one item."""
        future: asyncio.Future[Value] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        self._begin()
        return await future

    def close(self) -> None:
        """Let go of the thread, once it has done what waits."""
        self._thread.shutdown()

    def _begin(self) -> None:
        """Begin, or have it begun in a moment if more are expected."""
        if self._busy or not self._waiting:
            return
        loop = asyncio.get_running_loop()
        if len(self._waiting) < self._expected:
            self._timer = self._timer or loop.call_later(MOMENT, self._begin_anyhow)
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._busy = True
        batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
        loop.run_in_executor(self._thread, self._done, loop, batch)

    def _begin_anyhow(self) -> None:
        self._timer, self._expected = None, 1
        self._begin()

    def _done(self, loop: asyncio.AbstractEventLoop, batch: Sequence[tuple[Item, asyncio.Future[Value]]]) -> None:
        """In the thread: do it, and have it told."""
        values: Sequence[Value] = ()
        error = None
        try:
            values = self._work([item for item, _ in batch])
        except Exception as problem:  # each of those who wait raises it
            error = problem
        loop.call_soon_threadsafe(self._tell, [future for _, future in batch], values, error)

    def _tell(self, futures: Sequence[asyncio.Future[Value]], values: Sequence[Value], error: Exception | None) -> None:
        self._busy = False
        self._expected = min(self._most, len(futures) + len(self._waiting))
        for place, future in enumerate(futures):
            if future.done():  # whoever waited was cancelled
                continue
            if error is None:
                future.set_result(values[place])
            else:
                future.set_exception(error)
        self._begin()
