"""One turn of a conversation, without I/O: from a message and its belief to events and replies.

`Engine.turn` is a generator. It yields each action it wants run and is sent what came of it; its return value is the
whole turn. Who drives it runs the actions, keeps the events and sends the replies.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from typing_extensions import Self

from dialogue.actions.base import ActionError, ActionOutcome, ActionRejected, ActionRequest, ActionResult
from dialogue.actions.defaults import ACTION_APOLOGIZE
from dialogue.domain import ACTION_LISTEN, Domain
from dialogue.events import (
    ActionExecuted,
    ActionExecutionRejected,
    ActionReverted,
    BotUttered,
    Event,
    SessionStarted,
    SlotSet,
    UserUtteranceReverted,
    UserUttered,
)
from dialogue.extraction import Heard, extract_slots
from dialogue.message import Message, Reply
from dialogue.tracker import Tracker
from dialogue.understanding import parse_data
from policies.chain import Chain
from policies.types import Belief, Decision, Kind

logger = logging.getLogger(__name__)

SESSION_START = "action_session_start"
SESSION_METADATA = "session_started_metadata"
RESTART = "restart"
ENGINE = "engine"
MOST_ACTIONS = 10


@dataclass(frozen=True, slots=True)
class Turned:
    """A whole turn.

    Attributes:
        events: all that happened, in order.
        decision: the first that was not refused.
        tracker: the conversation after it.
    """

    events: tuple[Event, ...]
    replies: tuple[Reply, ...]
    decision: Decision
    tracker: Tracker


Steps = Generator[ActionRequest, ActionOutcome, Turned]
Run = Generator[ActionRequest, ActionOutcome, ActionOutcome]


@dataclass(slots=True)
class _Draft:
    """A turn while it is under way."""

    tracker: Tracker
    clock: Callable[[], float]
    events: list[Event] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    decision: Decision | None = None

    def add(self, *events: Event) -> Self:
        self.events.extend(events)
        self.tracker = self.tracker.apply(events)
        return self

    def say(self, replies: Iterable[Reply]) -> None:
        self.replies.extend(replies)
        self.add(*(_uttered(reply, self.clock()) for reply in replies))


class Engine:
    """Runs turns.

    Args:
        domain: of the bot.
        policies: decide what to do.
        language: of the bot, as ISO 639.
        most_actions: in one turn; then it ends, whatever the policies say.
    """

    def __init__(
        self, domain: Domain, policies: Chain, *, language: str = "en", most_actions: int = MOST_ACTIONS
    ) -> None:
        self._domain = domain
        self._language = language
        self._policies = policies
        self._most_actions = most_actions

    def turn(self, tracker: Tracker, message: Message, belief: Belief, clock: Callable[[], float]) -> Steps:
        """The turn that answers a message.

        Args:
            tracker: the conversation before it.
            message: what the user sent.
            belief: what the message means.
            clock: gives the time in seconds since 1970.

        Yields:
            An action to run; send what came of it.
        """
        draft = _Draft(tracker, clock)
        if self._session_is_over(tracker, clock()):
            yield from self._begin_session(draft, message)
        draft.add(self._heard(message, belief, clock()))
        if draft.tracker.paused and (belief.top is None or belief.top.name != RESTART):
            _listen(draft, "the conversation is paused")
        else:
            self._extract(draft, message, belief)
            yield from self._act(draft, belief)
        decision = draft.decision or _engine_decision(ACTION_LISTEN, "nothing was decided")
        return Turned(tuple(draft.events), tuple(draft.replies), decision, draft.tracker)

    def _heard(self, message: Message, belief: Belief, now: float) -> UserUttered:
        metadata = dict(message.metadata)
        parse = parse_data(message.text, belief, self._domain, language=self._language)
        return UserUttered(
            timestamp=now,
            metadata=metadata,
            text=message.text,
            parse_data={**parse, "message_id": message.id, "metadata": metadata},
            input_channel=message.channel,
            message_id=message.id,
        )

    def _session_is_over(self, tracker: Tracker, now: float) -> bool:
        if tracker.fresh or tracker.ended:
            return True
        expiration = self._domain.session_expiration_minutes * 60
        last = tracker.last_heard
        return expiration > 0 and last is not None and now - last.timestamp > expiration

    def _begin_session(self, draft: _Draft, message: Message) -> Generator[ActionRequest, ActionOutcome, None]:
        if message.metadata:
            draft.add(SlotSet(timestamp=draft.clock(), name=SESSION_METADATA, value=dict(message.metadata)))
        outcome = yield from self._run(draft, _engine_decision(SESSION_START, "a new session begins"))
        if not isinstance(outcome, ActionResult):
            draft.add(SessionStarted(timestamp=draft.clock()))
        if draft.tracker.latest_action != ACTION_LISTEN:
            draft.add(ActionExecuted(timestamp=draft.clock(), name=ACTION_LISTEN))

    def _extract(self, draft: _Draft, message: Message, belief: Belief) -> None:
        """Fill slots. An intent that no gate lets through fills none."""
        doubt = self._policies.doubt(belief, draft.tracker.state())
        intent = belief.top.name if belief.top is not None and doubt is None else None
        found = extract_slots(self._domain, draft.tracker, Heard(message.text, intent, belief.entities))
        draft.add(*(replace(event, timestamp=draft.clock()) for event in found))

    def _act(self, draft: _Draft, belief: Belief) -> Generator[ActionRequest, ActionOutcome, None]:
        for _ in range(self._most_actions):
            decision = self._decide(draft, belief)
            if decision.action == ACTION_LISTEN:
                draft.decision = draft.decision or decision
                draft.add(_executed(decision, draft.clock()))
                return
            outcome = yield from self._run(draft, decision)
            if isinstance(outcome, ActionRejected):
                continue
            draft.decision = draft.decision or decision
            if isinstance(outcome, ActionError):
                yield from self._run(draft, _engine_decision(ACTION_APOLOGIZE, f"{decision.action} failed"))
                return _listen(draft, "the turn is over after an error")
            if draft.tracker.latest_action == ACTION_LISTEN and draft.tracker.followup_action is None:
                return None
            if _went_back(outcome):
                return _listen(draft, f"{decision.action} took back the turn")
        conversation = draft.tracker.conversation
        logger.warning("conversation %s: the turn was ended after %d actions", conversation, self._most_actions)
        return _listen(draft, f"the turn was ended after {self._most_actions} actions")

    def _decide(self, draft: _Draft, belief: Belief) -> Decision:
        followup = draft.tracker.followup_action
        if followup is not None:
            return _engine_decision(followup, "the action before asked for it")
        return self._policies.decide(belief, draft.tracker.state())

    def _run(self, draft: _Draft, decision: Decision) -> Run:
        """Have an action run and record what came of it."""
        name = decision.action
        outcome = yield ActionRequest(name, draft.tracker, self._domain, decision)
        now = draft.clock()
        if isinstance(outcome, ActionRejected):
            draft.add(
                ActionExecutionRejected(
                    timestamp=now, name=name, policy=decision.policy, confidence=decision.confidence
                )
            )
        elif isinstance(outcome, ActionError):
            draft.add(_executed(decision, now, error=str(outcome)))
        else:
            draft.add(_executed(decision, now))
            draft.say(outcome.replies)
            draft.add(*outcome.events)
        return outcome


def _engine_decision(action: str, reason: str) -> Decision:
    return Decision(Kind.LISTEN if action == ACTION_LISTEN else Kind.ACT, action, 1.0, ENGINE, reason)


def _listen(draft: _Draft, reason: str) -> None:
    """End the turn."""
    decision = _engine_decision(ACTION_LISTEN, reason)
    draft.decision = draft.decision or decision
    draft.add(_executed(decision, draft.clock()))


def _went_back(result: ActionResult) -> bool:
    """Whether the user's message no longer counts, so that there is nothing left to answer."""
    return any(isinstance(event, (UserUtteranceReverted, ActionReverted)) for event in result.events)


def _executed(decision: Decision, now: float, **more: Any) -> ActionExecuted:
    """The record of a decision that was followed."""
    metadata: dict[str, Any] = {"kind": decision.kind.value, "reason": decision.reason, **more}
    if decision.candidates:
        metadata["candidates"] = [candidate.name for candidate in decision.candidates]
    if decision.passed:
        metadata["passed"] = [list(entry) for entry in decision.passed]
    return ActionExecuted(
        timestamp=now, metadata=metadata, name=decision.action, policy=decision.policy, confidence=decision.confidence
    )


def _uttered(reply: Reply, now: float) -> BotUttered:
    buttons = [{"title": button.title, "payload": button.payload} for button in reply.buttons]
    data = {
        "elements": None,
        "quick_replies": None,
        "buttons": buttons or None,
        "attachment": reply.attachment,
        "image": reply.image,
        "custom": reply.custom,
    }
    return BotUttered(timestamp=now, metadata=dict(reply.metadata), text=reply.text, data=data)
