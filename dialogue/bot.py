"""The bot: an understanding, a domain, policies, actions and a store, and the turn that brings them together."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from dialogue.actions.base import ActionError, ActionOutcome, ActionRejected, ActionRequest, Actions
from dialogue.domain import ACTION_LISTEN, REQUESTED_SLOT, Domain
from dialogue.engine import SESSION_METADATA, Engine, Steps, Turned
from dialogue.events import Event
from dialogue.message import Message, Reply
from dialogue.store.base import Answered, TrackerStore
from dialogue.tracker import Tracker
from dialogue.understanding import Understanding, parse_data, shortcut
from policies.chain import Chain
from policies.types import Belief, Decision, Kind

logger = logging.getLogger(__name__)

REPEATED = Decision(Kind.LISTEN, ACTION_LISTEN, 1.0, "store", "this message was answered before")


@dataclass(frozen=True, slots=True)
class TurnResult:
    """What came of a message.

    Attributes:
        decision: the turn's first that was not refused.
        events: the turn's, in order; none for a message that was answered before.
        milliseconds: what each stage took by itself: load, understand beside the model's own stages, decide, act,
            store.
    """

    message: Message
    replies: tuple[Reply, ...]
    decision: Decision
    belief: Belief
    events: tuple[Event, ...]
    milliseconds: Mapping[str, float]


class Bot:
    """Answers messages. Several threads may use it if they may use its understanding and actions.

    Args:
        understanding: reads messages.
        domain: what the bot knows of its world.
        policies: decide what to do.
        actions: run what was decided.
        store: keeps conversations.
        name: how it is called in the terminal and in logs.
        language: its main one, as ISO 639.
        clock: gives the time in seconds since 1970.
        most_actions: in one turn; then it ends, whatever the policies say.
    """

    def __init__(
        self,
        understanding: Understanding,
        domain: Domain,
        policies: Chain,
        actions: Actions,
        store: TrackerStore,
        *,
        name: str = "bot",
        language: str = "en",
        clock: Callable[[], float] = time.time,
        most_actions: int = MOST_ACTIONS,
    ) -> None:
        self.name = name
        self.language = language
        self._understanding = understanding
        self._domain = domain
        self._engine = Engine(domain, policies, language=language)
        self._actions = actions
        self._store = store
        self._clock = clock
        automatic = dict.fromkeys((REQUESTED_SLOT, SESSION_METADATA))
        self._slots = {**automatic, **{slot.name: slot.initial_value for slot in domain.slots.values()}}

    @property
    def intents(self) -> tuple[str, ...]:
        """Every intent of the domain, in its order; a retrieval intent as its answers, such as `faq/wifi`."""
        answers = self._domain.retrieval
        return tuple(
            full
            for name in self._domain.intents
            for full in ([f"{name}/{key}" for key in answers[name]] if name in answers else [name])
        )

    def handle(self, message: Message) -> TurnResult:
        """Run the turn that answers a message and store it whole, or not at all.

        A message that was answered before gets the same replies again, and nothing else happens.

        Raises:
            StoreError: if the store cannot be reached, or something else has taken the conversation on meanwhile.
        """
        watch = _Watch()
        with self._store.turn(message.sender):
            with watch("load"):
                replies = self._store.seen(message.sender, message)
                events = self._store.events(message.sender) if replies is None else []
                tracker = Tracker(message.sender, self._slots).apply(events)
            with watch("understand"):
                belief = self._believe(message.text, watch)
            if replies is not None:
                return TurnResult(message, replies, REPEATED, belief, (), watch.read())
            with watch("decide"):
                turned = self._drive(self._engine.turn(tracker, message, belief, self._clock), watch)
            with watch("store"):
                answered = Answered(message, turned.replies)
                self._store.append(message.sender, len(events), turned.events, answered=answered)
        return TurnResult(message, turned.replies, turned.decision, belief, turned.events, watch.read())

    def parse(self, text: str) -> dict[str, Any]:
        """What a text means, in the parse shape of Rasa with the belief's numbers under `belief`. Changes nothing."""
        return parse_data(text, self._believe(text, _Watch()), self._domain, language=self.language)

    def tracker(self, sender: str) -> Tracker:
        """The conversation with a user; an empty one if there was none yet."""
        return Tracker(sender, self._slots).apply(self._store.events(sender))

    def reset(self, sender: str) -> None:
        """Forget the conversation with a user."""
        with self._store.turn(sender):
            self._store.delete(sender)

    def close(self) -> None:
        """Let go of the store. Nothing may be called afterwards."""
        self._store.close()

    def _believe(self, text: str, watch: _Watch) -> Belief:
        belief = shortcut(text, self._domain)
        if belief is None:
            belief = self._understanding.parse(text)
            watch.split(self._understanding.timings)
        return belief

    def _drive(self, steps: Steps, watch: _Watch) -> Turned:
        """Run what the engine asks for until the turn is over."""
        try:
            request = next(steps)
            while True:
                with watch("act"):
                    outcome = self._run(request)
                request = steps.send(outcome)
        except StopIteration as stop:
            turned: Turned = stop.value
            return turned

    def _run(self, request: ActionRequest) -> ActionOutcome:
        """Run an action. Whatever it raises is a failure of that action alone: the turn must end all the same."""
        try:
            return self._actions.run(request)
        except ActionRejected as refusal:
            return refusal
        except Exception as problem:
            logger.exception("conversation %s: action %s failed", request.tracker.conversation, request.name)
            if isinstance(problem, ActionError):
                return problem
            return ActionError(f"{type(problem).__name__}: {problem}")


class _Watch:
    """Milliseconds per stage; a stage within another counts only once, for itself."""

    def __init__(self) -> None:
        self._spent: dict[str, float] = {}
        self._open: list[str] = []

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        self._spent.setdefault(stage, 0.0)
        self._open.append(stage)
        start = time.perf_counter()
        try:
            yield
        finally:
            self._open.pop()
            self._add(stage, (time.perf_counter() - start) * 1000)

    def split(self, stages: Mapping[str, float]) -> None:
        """Take parts that were measured elsewhere out of the open stage."""
        for stage, milliseconds in stages.items():
            self._add(stage, milliseconds)

    def read(self) -> Mapping[str, float]:
        return MappingProxyType({stage: max(0.0, spent) for stage, spent in self._spent.items()})

    def _add(self, stage: str, milliseconds: float) -> None:
        self._spent[stage] = self._spent.get(stage, 0.0) + milliseconds
        if self._open:
            self._spent[self._open[-1]] -= milliseconds
