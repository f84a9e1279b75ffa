"""Turns of several conversations at once, in one thread.

They share a look at the store, a pass of the encoders and a transaction, and no thread waits for another: under load
that is a third of what a turn costs. So nothing here may wait for long. A conversation that somebody else goes on with
is left to a turn by itself. An action that runs the project's own code or asks a server runs in another thread: if it
is back in a moment its turn goes on with the others, else by itself, with the right to its conversation until then.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextvars import Context
from dataclasses import dataclass, field
from typing import TypeAlias

from dialogue import tracing
from dialogue.actions.base import ActionRequest, Actions
from dialogue.domain import Domain
from dialogue.engine import Engine, Steps, Turned
from dialogue.events import ActionExecuted
from dialogue.message import Message
from dialogue.store.base import Addition, Answered, Rights, TrackerStore
from dialogue.store.recent import Recent
from dialogue.tracker import Tracker
from dialogue.turn import REPEATED, Read, TurnResult, Waits, attributes_of, beliefs_of, drive
from dialogue.understanding import Understanding
from dialogue.watch import Watch
from policies.types import Belief

logger = logging.getLogger(__name__)

MOMENT = 0.004  # seconds that turns wait for an action of one of them
MOST_LATE = 8  # turns that go on by themselves; each may hold a connection to the database

Outcome: TypeAlias = "TurnResult | Future[TurnResult]"
Found: TypeAlias = "dict[str, Outcome | Read]"  # by conversation; what a message means, while there is no more
Alone: TypeAlias = Callable[[Message, "Read | None"], TurnResult]


@dataclass(slots=True)
class _Turn:
    """A turn under way.

    Attributes:
        waits: the action that another thread is asked for.
        turned: what came of it, once it is over.
        back: whether the other thread has come to the end of it.
        release: of the right to its conversation, where the others do not wait for it.
        promise: what came of it, where it goes on by itself or fails.
    """

    message: Message
    context: Context
    tracker: Tracker
    belief: Belief
    steps: Steps
    watch: Watch
    waits: ActionRequest | None = None
    turned: Turned | None = None
    back: bool = False
    release: Callable[[], None] | None = None
    promise: Future[TurnResult] = field(default_factory=Future)

    def addition(self) -> Addition:
        """What it adds to its conversation, once it is over."""
        assert self.turned is not None
        answered = Answered(self.message, self.turned.replies, self.watch.read())
        return Addition(self.message.sender, self.tracker.length, self.turned.events, answered)

    def result(self, storing: Mapping[str, float]) -> TurnResult:
        """What came of it, once it is stored, which took so many milliseconds."""
        assert self.turned is not None
        turned, milliseconds = self.turned, {**self.watch.read(), **storing}
        return TurnResult(self.message, turned.replies, turned.decision, self.belief, turned.events, milliseconds)


class TurnsTogether:
    """Runs turns of several conversations.

    Args:
        store: keeps the conversations.
        memory: of that store.
        understanding: reads messages.
        domain: of the bot.
        engine: decides.
        actions: the bot's.
        quick: the same, but what has to wait raises `Outside`.
        alone: runs a turn by itself.
        clock: gives the time in seconds since 1970.
    """

    def __init__(
        self,
        store: TrackerStore,
        memory: Recent,
        understanding: Understanding,
        domain: Domain,
        engine: Engine,
        actions: Actions,
        quick: Actions,
        alone: Alone,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._memory = memory
        self._understanding = understanding
        self._domain = domain
        self._engine = engine
        self._actions = actions
        self._quick = quick
        self._alone = alone
        self._clock = clock
        self._back = threading.Condition()
        self._late = 0
        self._took: dict[str, float] = {}  # seconds of the last run of each action that waits

    def run(self, messages: Sequence[Message], contexts: Sequence[Context], elsewhere: Executor) -> list[Outcome]:
        """The turn of each message, stored; or what its turn will be that goes on by itself.

        Args:
            messages: of conversations of their own.
            contexts: what is logged and traced of a message alone belongs to its own.
            elsewhere: runs what has to wait.
        """
        found: Found = {}
        try:
            with self._store.free_turns([message.sender for message in messages]) as rights:
                pairs = zip(messages, contexts, strict=True)
                mine = [pair for pair in pairs if pair[0].sender in rights.conversations]
                if mine:
                    self._run(mine, rights, elsewhere, found)
        except Exception as problem:
            # Each by itself says what is wrong with it. What was stored all the same is found to be answered then.
            logger.warning("%d turns are run one by one: %s: %s", len(messages), type(problem).__name__, problem)
        outcomes: list[Outcome] = []
        for message, context in zip(messages, contexts, strict=True):
            one = found.get(message.sender)
            if one is None or isinstance(one, Read):
                one = elsewhere.submit(context.run, self._alone, message, one)
            outcomes.append(one)
        return outcomes

    def _run(
        self,
        mine: Sequence[tuple[Message, Context]],
        rights: Rights,
        elsewhere: Executor,
        found: Found,
    ) -> None:
        watch = Watch(traced=False)
        messages = [message for message, _ in mine]
        with watch("load"):
            met = self._memory.meet(messages)
        with watch("understand"):
            beliefs = beliefs_of([message.text for message in messages], self._understanding, self._domain, watch)
        shared = watch.share(len(mine))
        turns = []
        for (message, context), (replies, tracker), belief in zip(mine, met, beliefs, strict=True):
            if tracker is None:
                found[message.sender] = TurnResult(message, replies or (), REPEATED, belief, (), shared)
                continue
            found[message.sender] = Read(belief, shared)
            steps = self._engine.turn(tracker, message, belief, self._clock)
            turns.append(_Turn(message, context, tracker, belief, steps, Watch(shared, traced=False)))
            context.run(self._decide, turns[-1])
        waiting = [turn for turn in turns if turn.waits is not None]
        if waiting:
            self._wait(waiting, rights, elsewhere, found)
        self._keep([turn for turn in turns if turn.turned is not None and turn.release is None], found)

    def _decide(self, turn: _Turn) -> None:
        with turn.watch("decide"):
            try:
                turn.turned = drive(turn.steps, self._quick, turn.watch)
            except Waits as waits:
                turn.waits = waits.request

    def _wait(self, turns: Sequence[_Turn], rights: Rights, elsewhere: Executor, found: Found) -> None:
        """Have turns go on in other threads, and wait a moment for those that are likely to be back by then."""
        gone = turns[: max(0, MOST_LATE - self._late)]
        for turn in gone:
            elsewhere.submit(self._go_on, turn)
        soon = [turn for turn in gone if turn.waits and self._took.get(turn.waits.name, 0.0) < MOMENT]
        with self._back:
            self._back.wait_for(lambda: all(turn.back for turn in soon), MOMENT)
            for turn in gone:
                if not turn.back:
                    turn.release = rights.keep(turn.message.sender)
                    self._late += 1
                if turn.turned is None:
                    found[turn.message.sender] = turn.promise

    def _go_on(self, turn: _Turn) -> None:
        """In another thread: run the rest of a turn. Whoever does not wait for it any more has it stored here."""
        turned = None
        try:
            turned = turn.context.run(self._rest, turn)
        except Exception as problem:
            turn.promise.set_exception(problem)
        with self._back:
            turn.turned, turn.back = turned, True
            self._back.notify()
            release = turn.release
        if release is not None:
            turn.context.run(self._end, turn, release)

    def _rest(self, turn: _Turn) -> Turned:
        assert turn.waits is not None
        begun = time.monotonic()
        with turn.watch("decide"):
            turned = drive(turn.steps, self._actions, turn.watch, turn.waits)
        self._took[turn.waits.name] = time.monotonic() - begun
        return turned

    def _end(self, turn: _Turn, release: Callable[[], None]) -> None:
        """Store a turn by itself."""
        try:
            if turn.turned is not None:
                watch, addition = Watch(traced=False), turn.addition()
                with watch("store"):
                    self._store.append(
                        addition.conversation,
                        addition.expected_sequence,
                        addition.events,
                        answered=addition.answered,
                    )
                self._memory.went_on(turn.turned.tracker, turn.turned.events)
                result = turn.result(watch.read())
                _trace(result)
                turn.promise.set_result(result)
        except Exception as problem:
            turn.promise.set_exception(problem)
        finally:
            with self._back:
                self._late -= 1
            release()

    def _keep(self, turns: Sequence[_Turn], found: Found) -> None:
        """Store turns together."""
        if not turns:
            return
        watch = Watch(traced=False)
        with watch("store"):
            stored = self._store.append_many([turn.addition() for turn in turns])
        for turn in turns:
            if turn.turned is not None and turn.message.sender in stored:
                self._memory.went_on(turn.turned.tracker, turn.turned.events)
                found[turn.message.sender] = result = turn.result(watch.share(len(turns)))
                turn.context.run(_trace, result)


def _trace(result: TurnResult) -> None:
    """The span of a turn that has just ended, with its stages one after the other."""
    attributes = {"starfold.channel": result.message.channel, **attributes_of(result.decision, result.belief)}
    if any(isinstance(event, ActionExecuted) and "error" in event.metadata for event in result.events):
        attributes["error.type"] = "ActionError"
    tracing.ended("turn", result.milliseconds, attributes)
