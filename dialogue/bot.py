"""The bot: an understanding, a domain, policies, actions and a store, and the turn that brings them together."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextvars import Context
from typing import Any

from dialogue import tracing
from dialogue.actions.base import Actions
from dialogue.domain import REQUESTED_SLOT, Domain
from dialogue.engine import MOST_ACTIONS, SESSION_METADATA, Engine, Steps, Turned
from dialogue.events import EXTERNAL, Event, ReminderScheduled
from dialogue.message import Message
from dialogue.reminders import overdue
from dialogue.store.base import Answered, TrackerStore
from dialogue.store.recent import Recent
from dialogue.together import TurnsTogether
from dialogue.tracker import Tracker
from dialogue.turn import REPEATED, Read, TurnResult, attributes_of, beliefs_of, drive
from dialogue.understanding import Understanding, belief_in, entities_of, found_in, parse_data, told
from dialogue.watch import Watch
from policies.chain import Chain
from policies.types import Belief, Decision, Kind

logger = logging.getLogger(__name__)

OUTSIDE = "outside"


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
        quick: the same actions, but those that have to wait raise `Outside`; by default none has to.
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
        quick: Actions | None = None,
        clock: Callable[[], float] = time.time,
        most_actions: int = MOST_ACTIONS,
    ) -> None:
        self.name = name
        self.language = language
        self._understanding = understanding
        self._domain = domain
        self._policies = policies
        self._engine = Engine(domain, policies, language=language, most_actions=most_actions)
        self._actions = actions
        self._store = store
        self._clock = clock
        automatic = dict.fromkeys((REQUESTED_SLOT, SESSION_METADATA))
        slots = {**automatic, **{slot.name: slot.initial_value for slot in domain.slots.values()}}
        self._slots = slots
        self._memory = Recent(store, slots)
        self._together = TurnsTogether(
            store, self._memory, understanding, domain, self._engine, actions, quick or actions, self.handle, clock
        )

    @property
    def domain(self) -> Domain:
        """What the bot knows of its world."""
        return self._domain

    @property
    def policies(self) -> Chain:
        """What decides."""
        return self._policies

    @property
    def understanding(self) -> Understanding:
        """What reads messages."""
        return self._understanding

    @property
    def intents(self) -> tuple[str, ...]:
        """Every intent of the domain, in its order; a retrieval intent as its answers, such as `faq/wifi`."""
        answers = self._domain.retrieval
        return tuple(
            full
            for name in self._domain.intents
            for full in ([f"{name}/{key}" for key in answers[name]] if name in answers else [name])
        )

    def handle(self, message: Message, read: Read | None = None) -> TurnResult:
        """Run the turn that answers a message and store it whole, or not at all.

        A message that was answered before gets the same replies again, and nothing else happens.

        Args:
            message: what the user sent.
            read: what it means, where that is known.

        Raises:
            StoreError: if the store cannot be reached, or something else has taken the conversation on meanwhile.
        """
        watch = Watch() if read is None else Watch(read.milliseconds)
        with tracing.span("turn", {"starfold.channel": message.channel}), self._store.turn(message.sender):
            with watch("load"):
                ((replies, tracker),) = self._memory.meet([message])
            with watch("understand"):
                belief = self._believe(message.text, watch) if read is None else read.belief
            if tracker is None:
                return TurnResult(message, replies or (), REPEATED, belief, (), watch.read())
            return self._turn(tracker, message, belief, watch)

    def handle_many(
        self, messages: Sequence[Message], contexts: Sequence[Context], elsewhere: Executor
    ) -> list[TurnResult | Future[TurnResult]]:
        """Run the turns of several messages at once.

        Args:
            messages: of conversations of their own.
            contexts: for each what it is logged and traced in.
            elsewhere: runs actions that take their time, and turns that wait for their conversation.

        Returns:
            For each what came of it, or what will; see `handle`.
        """
        return self._together.run(messages, contexts, elsewhere)

    def trigger(
        self, sender: str, intent: str, entities: Any = None, *, message_id: str | None = None
    ) -> TurnResult | None:
        """Let an intent come in that nobody said; it is answered in the channel the user spoke in last.

        Args:
            sender: whose conversation it is.
            intent: its name.
            entities: `{"name": value}` or a list in the parse shape.
            message_id: with the id of a reminder, nothing happens unless that reminder waits.

        Returns:
            The turn, or None if the reminder does not wait any more.

        Raises:
            ValueError: if the entities have another shape.
            StoreError: as `handle`.
        """
        found = entities_of(entities)
        if found is None:
            raise ValueError(f"entities of {intent!r}: expected a mapping or a list of mappings, got {entities!r:.80}")
        watch = Watch()
        with tracing.span("turn", {"starfold.trigger": intent}), self._store.turn(sender):
            with watch("load"):
                tracker = self._memory.tracker(sender)
            if message_id is not None and message_id not in [one.message_id for one in tracker.reminders.values()]:
                return None
            said = tracker.last_heard
            message = Message(
                f"EXTERNAL: {intent}",
                sender=sender,
                channel=(said.input_channel if said is not None else None) or Message("").channel,
                id=message_id or uuid.uuid4().hex,
                metadata={EXTERNAL: True},
            )
            return self._turn(tracker, message, told(intent, entities=found), watch)

    def due(self, now: float | None = None, *, sender: str | None = None) -> list[TurnResult]:
        """Run the turns of all reminders that are due, each once and for ever, the earliest of a conversation first.

        Args:
            now: in seconds since 1970; by default the bot's clock.
            sender: only this conversation's; else every one's.

        Raises:
            StoreError: as `handle`; the reminders not yet run still wait.
        """
        now = self._clock() if now is None else now
        senders = self._store.conversations(having=ReminderScheduled.wire) if sender is None else [sender]
        turns = []
        for one in senders:
            for reminder in overdue(self.tracker(one).reminders, now):
                entities = reminder.event.entities
                if entities_of(entities) is None:
                    logger.warning("conversation %s: entities of a reminder are ignored: %.80r", one, entities)
                    entities = None
                turn = self.trigger(one, reminder.event.intent, entities, message_id=reminder.message_id)
                turns += [] if turn is None else [turn]
        return turns

    def parse(self, text: str) -> dict[str, Any]:
        """What a text means, in the parse shape of Rasa with the belief's numbers under `belief`. Changes nothing."""
        return self.parse_many([text])[0]

    def parse_many(self, texts: Sequence[str]) -> list[dict[str, Any]]:
        """The same of several texts at once."""
        beliefs = beliefs_of(texts, self._understanding, self._domain, Watch())
        return [
            parse_data(text, belief, self._domain, language=self.language)
            for text, belief in zip(texts, beliefs, strict=True)
        ]

    def tracker(self, sender: str) -> Tracker:
        """The conversation with a user; an empty one if there was none yet."""
        return self._memory.tracker(sender)

    def fold(self, sender: str, events: Iterable[Event]) -> Tracker:
        """The conversation with a user as it would be after these events alone. Stores nothing."""
        return Tracker(sender, self._slots).apply(events)

    def predict(self, tracker: Tracker) -> Decision:
        """What the bot would do next. Changes nothing."""
        return self._engine.predict(tracker)

    def append(self, sender: str, events: Sequence[Event], *, anew: bool = False) -> Tracker:
        """Add events that something else tells of, after the start of a session where there is none.

        With `anew` they take the place of all there was.

        Raises:
            StoreError: if the store cannot be reached.
        """
        with self._store.turn(sender):
            if anew:
                self._store.delete(sender)
            else:
                begun = self._drive(self._engine.begin(self._memory.tracker(sender), self._clock), Watch())
                events = [*begun.events, *events]
            self._store.append(sender, None, events)
            return self._memory.tracker(sender)

    def listen(self, message: Message, parse: Mapping[str, Any] | None = None) -> Tracker:
        """Write a message down without answering it.

        Args:
            message: what the user sent.
            parse: what it means, in the parse shape; by default it is read.

        Raises:
            StoreError: as `handle`.
        """
        watch = Watch()
        belief = self._believe(message.text, watch) if parse is None else belief_in(parse, found_in(parse))
        with self._store.turn(message.sender):
            tracker = self._memory.tracker(message.sender)
            turned = self._drive(self._engine.listen(tracker, message, belief, self._clock), watch)
            self._store.append(message.sender, tracker.length, turned.events)
        return turned.tracker

    def execute(self, sender: str, action: str, *, policy: str | None = None, confidence: float = 1.0) -> Turned:
        """Run an action whatever the policies say, and store what came of it.

        Raises:
            ValueError: if the confidence is none.
            StoreError: as `handle`.
        """
        decision = Decision(Kind.ACT, action, confidence, policy or OUTSIDE, "it was asked for from outside")
        with self._store.turn(sender):
            tracker = self._memory.tracker(sender)
            turned = self._drive(self._engine.execute(tracker, decision, self._clock), Watch())
            self._store.append(sender, tracker.length, turned.events)
        return turned

    def reset(self, sender: str) -> None:
        """Forget the conversation with a user."""
        with self._store.turn(sender):
            self._store.delete(sender)

    def close(self) -> None:
        """Let go of the store. Nothing may be called afterwards."""
        self._store.close()

    def _turn(self, tracker: Tracker, message: Message, belief: Belief, watch: Watch) -> TurnResult:
        """Run a turn and store it. The right to the conversation is the caller's."""
        with watch("decide") as span:
            turned = self._drive(self._engine.turn(tracker, message, belief, self._clock), watch)
            span.set_attributes(attributes_of(turned.decision, belief))
        with watch("store"):
            answered = Answered(message, turned.replies, watch.read())
            self._store.append(message.sender, tracker.length, turned.events, answered=answered)
            self._memory.went_on(turned.tracker, turned.events)
        return TurnResult(message, turned.replies, turned.decision, belief, turned.events, watch.read())

    def _believe(self, text: str, watch: Watch) -> Belief:
        (belief,) = beliefs_of([text], self._understanding, self._domain, watch)
        return belief

    def _drive(self, steps: Steps, watch: Watch) -> Turned:
        return drive(steps, self._actions, watch)
