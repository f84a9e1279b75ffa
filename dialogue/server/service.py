"""The bot among many users: turns together or in threads, in order within a conversation, told to whoever watches."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from dialogue import tracing
from dialogue.bot import Bot
from dialogue.errors import StarfoldError
from dialogue.message import Message
from dialogue.server.batching import Batches
from dialogue.server.feed import Feed
from dialogue.server.live import Live
from dialogue.server.logs import conversation_id
from dialogue.server.metrics import Metrics
from dialogue.server.transcript import items
from dialogue.store.mailbox import Mailbox
from dialogue.store.outbox import Outbox
from dialogue.store.records import Records
from dialogue.store.sql import SqlTrackerStore
from dialogue.turn import TurnResult

logger = logging.getLogger(__name__)

Value = TypeVar("Value")
Run: TypeAlias = Callable[[Any], Awaitable[Value]]  # is given the span of the wait, to end it


class BusyError(StarfoldError):
    """Too many turns wait already."""


class SlowTurnError(StarfoldError):
    """A turn takes longer than a client waits. It goes on: the same message sent again gets its answer."""


class BotService:
    """What every channel and API talks to. All methods belong to one event loop, which they never block.

    Args:
        live: the bot that answers.
        store: keeps its conversations; closed with the service.
        workers: turns that have to wait, for an action or whoever holds their conversation, which run at once.
        most_waiting: turns that may wait for their conversation or a thread; more are refused.
    """

    def __init__(self, live: Live, store: SqlTrackerStore, *, workers: int = 16, most_waiting: int = 1000) -> None:
        self.live = live
        self.store = store
        self.records = Records(store.database)
        self.mailbox = Mailbox(store.database)
        self.outbox = Outbox(store.database)
        self.metrics = Metrics()
        self.feed = Feed(self._items, lambda names: self.call(self.records.last, names))
        self._most_waiting = most_waiting
        self._together: Batches[_Begun, TurnResult | Future[TurnResult]] = Batches(self._run_all, "turns")
        self._reading: Batches[str, dict[str, Any]] = Batches(lambda texts: self.bot.parse_many(texts), "read")
        self._turns = ThreadPoolExecutor(workers, "turn")
        # What only reads and writes must not stand in a queue behind turns.
        self._calls = ThreadPoolExecutor(8, "store")
        self._queues: dict[str, _Queue] = {}
        self._running: set[asyncio.Task[Any]] = set()
        self.draining = False

    @property
    def bot(self) -> Bot:
        """The bot that answers just now; exchanged by `live.swap`."""
        return self.live.bot

    async def handle(self, message: Message, *, patience: float | None = None) -> TurnResult:
        """Answer a message after those of its conversation that came before.

        Once begun, a turn ends and is stored, even if whoever waits for it is cancelled.

        Args:
            message: what the user sent.
            patience: seconds to wait for the answer; None to wait as long as it takes.

        Raises:
            BusyError: if too many wait.
            SlowTurnError: if it takes longer.
            StoreError: as `Bot.handle`.
        """

        async def answer(waiting: Any) -> TurnResult:
            found = await self._together.run(_Begun(message, contextvars.copy_context(), waiting))
            return found if isinstance(found, TurnResult) else await asyncio.shield(asyncio.wrap_future(found))

        return await self._in_turn(message.sender, answer, patience)

    async def trigger(
        self, sender: str, intent: str, entities: Any = None, *, message_id: str | None = None
    ) -> TurnResult | None:
        """As `Bot.trigger`, in order with the conversation's messages."""
        return await self.take_turn(sender, lambda: self.bot.trigger(sender, intent, entities, message_id=message_id))

    async def take_turn(self, sender: str, run: Callable[[], Value]) -> Value:
        """Run something else that goes on with a conversation, in a thread, after its turns that wait.

        Raises:
            BusyError: if too many wait.
        """

        def begun(waiting: Any) -> Value:
            waiting.end()
            return run()

        return await self._in_turn(sender, lambda waiting: self._thread(self._turns, begun, waiting))

    async def parse(self, text: str) -> dict[str, Any]:
        """What a text means, as `Bot.parse`."""
        return await self._reading.run(text)

    async def call(self, function: Callable[..., Value], *arguments: Any) -> Value:
        """Run something that blocks on the store in a thread of its own."""
        return await self._thread(self._calls, function, *arguments)

    def subscribe(self, conversation: str, after: int = 0) -> AsyncIterator[dict[str, Any]]:
        """The items of a conversation after event `after`, and then as any channel adds them."""
        return self.feed.subscribe(conversation, after)

    async def export(self, conversation: str) -> dict[str, Any]:
        """All there is of a conversation, for JSON."""
        stored = await self.call(self.store.export, conversation)
        feedback = await self.call(self.records.feedback, conversation)
        return {**stored, "feedback": feedback, "mailbox": await self.call(self.mailbox.export, conversation)}

    async def delete(self, conversation: str) -> bool:
        """Forget all there is of a conversation, after the turns of it that wait. False when there was nothing."""
        return await self.take_turn(conversation, lambda: self._forget(conversation))

    @property
    def waiting(self) -> int:
        """Turns that run or wait."""
        return len(self._running)

    async def drain(self) -> None:
        """Wait until every turn that began or waits has ended."""
        self.draining = True
        self.feed.close()
        while self._running:
            await asyncio.wait(self._running)

    async def close(self) -> None:
        """Drain, and let go of threads and store."""
        await self.drain()
        self._together.close()
        self._reading.close()
        self._turns.shutdown()
        self._calls.shutdown()
        self.store.close()

    async def _in_turn(self, sender: str, run: Run[Value], patience: float | None = None) -> Value:
        if len(self._running) >= self._most_waiting:
            raise BusyError(f"{len(self._running)} turns wait already; try again in a moment")
        task = asyncio.ensure_future(self._run(sender, run))
        self._running.add(task)
        self.metrics.waiting.set(len(self._running))
        task.add_done_callback(self._ended)
        try:
            return await asyncio.wait_for(asyncio.shield(task), patience)
        except asyncio.TimeoutError as error:
            raise SlowTurnError(f"no answer within {patience:g} s; the same message sent again gets it") from error

    async def _run(self, sender: str, run: Run[Value]) -> Value:
        conversation_id.set(sender)
        waiting = tracing.begin("wait")
        async with self._queue(sender):
            begun = time.monotonic()
            try:
                result = await run(waiting)
            finally:
                self.feed.touch(sender)
        if isinstance(result, TurnResult):
            self.metrics.turn(result, time.monotonic() - begun)
        return result

    def _run_all(self, begun: Sequence[_Begun]) -> list[TurnResult | Future[TurnResult]]:
        for one in begun:
            one.waiting.end()
        return self.bot.handle_many([one.message for one in begun], [one.context for one in begun], self._turns)

    def _forget(self, conversation: str) -> bool:
        with self.store.turn(conversation):
            return self.store.delete(conversation)

    @contextlib.asynccontextmanager
    async def _queue(self, sender: str) -> AsyncIterator[None]:
        queue = self._queues.setdefault(sender, _Queue())
        queue.length += 1
        try:
            async with queue.lock:  # asyncio's lock is first in, first out
                yield
        finally:
            queue.length -= 1
            if queue.length == 0:
                del self._queues[sender]

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        self.metrics.waiting.set(len(self._running))
        if not task.cancelled():
            task.exception()  # whoever waited has it; nobody may wait any more

    async def _thread(self, pool: ThreadPoolExecutor, function: Callable[..., Value], *arguments: Any) -> Value:
        context = contextvars.copy_context()  # so that what the thread logs and traces knows what it belongs to
        return await asyncio.get_running_loop().run_in_executor(pool, context.run, function, *arguments)

    async def _items(self, conversation: str, after: int) -> tuple[list[dict[str, Any]], int]:
        return await self.call(self._read_items, conversation, after)

    def _read_items(self, conversation: str, after: int) -> tuple[list[dict[str, Any]], int]:
        events = self.store.events(conversation, after=after)
        if not events and after and self.records.last([conversation]).get(conversation, 0) < after:
            after, events = 0, self.store.events(conversation)
        if not events:
            return [], after
        return items(events, after, self.records.turns(conversation, after=after)), after + len(events)


@dataclass(frozen=True, slots=True)
class _Begun:
    """A message whose turn it is; `waiting` is the span of its wait until then."""

    message: Message
    context: contextvars.Context
    waiting: Any


class _Queue:
    """Turns of one conversation that wait for one another."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.length = 0
