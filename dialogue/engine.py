"""One turn of a conversation, without I/O: from a message and its belief to events and replies.

`Engine.turn` is a generator. It yields each action it wants run and is sent what came of it; its return value is the
whole turn. Who drives it runs the actions, keeps the events and sends the replies.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from dialogue.actions.base import ActionError, ActionOutcome, ActionRejected, ActionRequest, ActionResult
from dialogue.actions.defaults import ACTION_APOLOGIZE
from dialogue.domain import ACTION_LISTEN, Domain
from dialogue.draft import Draft, executed
from dialogue.events import (
    EXTERNAL,
    ActionExecuted,
    ActionExecutionRejected,
    ActionReverted,
    Event,
    LoopInterrupted,
    SessionStarted,
    SlotSet,
    UserUtteranceReverted,
    UserUttered,
)
from dialogue.extraction import hear
from dialogue.filling import fill_slots
from dialogue.message import Message, Reply
from dialogue.slots import seen_state
from dialogue.tracker import Tracker
from dialogue.understanding import belief_in, parse_data
from policies.chain import Chain
from policies.forms import left_for
from policies.types import Belief, Decision, DialogueState, Kind

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
        draft = Draft(tracker, clock)
        external = bool(message.metadata.get(EXTERNAL))
        if self._session_is_over(tracker, clock(), external):
            yield from self._begin_session(draft, {} if external else message.metadata)
        self._hear(draft, message, belief)
        if draft.tracker.paused and (belief.top is None or belief.top.name != RESTART):
            _listen(draft, "the conversation is paused")
        else:
            yield from self._fill(draft, belief)
            yield from self._act(draft, belief)
        return _turned(draft)

    def listen(self, tracker: Tracker, message: Message, belief: Belief, clock: Callable[[], float]) -> Steps:
        """Write a message down, in a session of its own where one must begin, and do nothing about it. See `turn`."""
        draft = Draft(tracker, clock)
        if self._session_is_over(tracker, clock(), external=False):
            yield from self._begin_session(draft, message.metadata)
        self._hear(draft, message, belief)
        return _turned(draft)

    def begin(self, tracker: Tracker, clock: Callable[[], float]) -> Steps:
        """Begin the session of a conversation that has none, and nothing else. See `turn`."""
        draft = Draft(tracker, clock)
        if tracker.fresh:
            yield from self._begin_session(draft, {})
        return _turned(draft)

    def execute(self, tracker: Tracker, decision: Decision, clock: Callable[[], float]) -> Steps:
        """Run one action whatever the policies say, and record what came of it. See `turn`."""
        draft = Draft(tracker, clock, decision=decision)
        yield from self._run(draft, decision)
        return _turned(draft)

    def predict(self, tracker: Tracker) -> Decision:
        """What would be done next, going by what the last message was taken for."""
        said, turns = tracker.latest_message, tracker.state().turns
        belief = belief_in({} if said is None else said.parse_data, turns[-1].entities if turns else ())
        return self._decide(Draft(tracker, float), belief)

    def _hear(self, draft: Draft, message: Message, belief: Belief) -> None:
        """Write the message down with what it was taken for, and a gate's doubt if there is one."""
        metadata = dict(message.metadata)
        parse = parse_data(message.text, belief, self._domain, language=self._language)
        said = UserUttered(
            timestamp=draft.clock(),
            metadata=metadata,
            text=message.text,
            parse_data={**parse, "message_id": message.id, "metadata": metadata},
            input_channel=message.channel,
            message_id=message.id,
        )
        doubt = self._policies.doubt(belief, self._state(draft.tracker.apply([said])))
        if doubt is not None:
            told = {"kind": doubt.kind.value, "reason": doubt.reason}
            said = replace(said, parse_data={**said.parse_data, "doubt": told})
        draft.add(said)

    def _state(self, tracker: Tracker) -> DialogueState:
        return seen_state(self._domain.slots, tracker.state())

    def _session_is_over(self, tracker: Tracker, now: float, external: bool) -> bool:
        """Whether a new session begins. What no person says goes on with the session there is, however old."""
        if tracker.fresh or tracker.ended or external:
            return tracker.fresh or tracker.ended
        expiration = self._domain.session_expiration_minutes * 60
        last = tracker.last_heard
        return expiration > 0 and last is not None and now - last.timestamp > expiration

    def _begin_session(
        self, draft: Draft, metadata: Mapping[str, Any]
    ) -> Generator[ActionRequest, ActionOutcome, None]:
        if metadata:
            draft.add(SlotSet(timestamp=draft.clock(), name=SESSION_METADATA, value=dict(metadata)))
        outcome = yield from self._run(draft, _engine_decision(SESSION_START, "a new session begins"))
        if not isinstance(outcome, ActionResult):
            draft.add(SessionStarted(timestamp=draft.clock()))
        if draft.tracker.latest_action != ACTION_LISTEN:
            draft.add(ActionExecuted(timestamp=draft.clock(), name=ACTION_LISTEN))

    def _fill(self, draft: Draft, belief: Belief) -> Generator[ActionRequest, ActionOutcome, None]:
        """Fill slots. An intent that no gate lets through fills none; a button or what no person said is no text."""
        said = draft.tracker.latest_message
        if said is None:
            return
        left = left_for(draft.tracker.state()) is not None
        if left:
            draft.add(LoopInterrupted(timestamp=draft.clock(), is_interrupted=True))
        filled = yield from fill_slots(self._domain, draft.tracker, hear(said, belief.entities))
        draft.say(filled.replies)
        draft.add(*(replace(event, timestamp=draft.clock()) for event in filled.events))
        if left and left_for(draft.tracker.state()) is None:
            draft.add(LoopInterrupted(timestamp=draft.clock(), is_interrupted=False))

    def _act(self, draft: Draft, belief: Belief) -> Generator[ActionRequest, ActionOutcome, None]:
        for _ in range(self._most_actions):
            decision = self._decide(draft, belief)
            if decision.action == ACTION_LISTEN:
                draft.decision = draft.decision or decision
                draft.add(executed(decision, draft.clock()))
                return
            outcome = yield from self._run(draft, decision)
            if isinstance(outcome, ActionRejected):
                continue
            draft.decision = draft.decision or decision
            if isinstance(outcome, ActionError):
                yield from self._run(draft, _engine_decision(ACTION_APOLOGIZE, f"{decision.action} failed"))
                return _listen(draft, "the turn is over after an error")
            if isinstance(last := draft.events[-1], UserUttered):
                belief = belief_in(last.parse_data, draft.tracker.state().turns[-1].entities)
                yield from self._fill(draft, belief)
            elif draft.tracker.latest_action == ACTION_LISTEN and draft.tracker.followup_action is None:
                return None
            elif _went_back(outcome):
                return _listen(draft, f"{decision.action} took back the turn")
        conversation = draft.tracker.conversation
        logger.warning("conversation %s: the turn was ended after %d actions", conversation, self._most_actions)
        return _listen(draft, f"the turn was ended after {self._most_actions} actions")

    def _decide(self, draft: Draft, belief: Belief) -> Decision:
        followup = draft.tracker.followup_action
        if followup is not None and followup not in draft.tracker.state().rejected:
            return _engine_decision(followup, "the action before asked for it")
        return self._policies.decide(belief, self._state(draft.tracker))

    def _run(self, draft: Draft, decision: Decision) -> Run:
        """Have an action run and record what came of it. An event may tell of its refusal, too."""
        name = decision.action
        outcome = yield ActionRequest(name, draft.tracker, self._domain, decision)
        now = draft.clock()
        refusal = ActionExecutionRejected(
            timestamp=now, name=name, policy=decision.policy, confidence=decision.confidence
        )
        if isinstance(outcome, ActionRejected):
            draft.add(refusal)
        elif isinstance(outcome, ActionError):
            draft.add(executed(decision, now, error=str(outcome)))
        elif any(isinstance(event, ActionExecutionRejected) for event in outcome.events):
            draft.say(outcome.replies)
            draft.add(*outcome.events)
            if name not in draft.tracker.state().rejected:
                draft.add(refusal)
            return ActionRejected(f"{name} refused")
        else:
            draft.add(executed(decision, now))
            draft.say(outcome.replies)
            draft.add(*outcome.events)
        return outcome


def _turned(draft: Draft) -> Turned:
    decision = draft.decision or _engine_decision(ACTION_LISTEN, "nothing was decided")
    return Turned(tuple(draft.events), tuple(draft.replies), decision, draft.tracker)


def _engine_decision(action: str, reason: str) -> Decision:
    return Decision(Kind.LISTEN if action == ACTION_LISTEN else Kind.ACT, action, 1.0, ENGINE, reason)


def _listen(draft: Draft, reason: str) -> None:
    """End the turn."""
    decision = _engine_decision(ACTION_LISTEN, reason)
    draft.decision = draft.decision or decision
    draft.add(executed(decision, draft.clock()))


def _went_back(result: ActionResult) -> bool:
    """Whether the user's message no longer counts, so that there is nothing left to answer."""
    return any(isinstance(event, (UserUtteranceReverted, ActionReverted)) for event in result.events)
