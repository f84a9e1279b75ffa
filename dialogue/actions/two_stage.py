"""The two-stage fallback of Rasa: "did you mean this?", then "say it again", then once more, then no further.

A loop like a form: a rule starts it for `nlu_fallback`, and every message goes to it until it is clear what is meant.
Then all that was asked meanwhile is taken back, and the last message counts as if it had been said at once.
"""

from __future__ import annotations

from dataclasses import replace

from dialogue.actions.base import ActionRequest, ActionResult, Actions
from dialogue.domain import ACTION_LISTEN, ACTION_TWO_STAGE_FALLBACK
from dialogue.events import (
    ActionExecuted,
    ActiveLoop,
    Event,
    Restarted,
    SessionStarted,
    UserUtteranceReverted,
    UserUttered,
)
from dialogue.tracker import Tracker

ASK_AFFIRMATION = "action_default_ask_affirmation"
ASK_REPHRASE = "action_default_ask_rephrase"
DEFAULT_FALLBACK = "action_default_fallback"
REVERT = "action_revert_fallback_events"
FALLBACK, OUT_OF_SCOPE = "nlu_fallback", "out_of_scope"


class TwoStageFallback:
    """Runs `action_two_stage_fallback`, and `action_revert_fallback_events` for rules that spell the stages out.

    Args:
        asks: runs what asks the user, and the fallback that gives up.
    """

    def __init__(self, asks: Actions) -> None:
        self._asks = asks

    def knows(self, name: str) -> bool:
        """Whether it is one of the two."""
        return name in (ACTION_TWO_STAGE_FALLBACK, REVERT)

    def run(self, request: ActionRequest) -> ActionResult:
        """Ask what is meant, or end: with the message made clear, or with the fallback."""
        tracker = request.tracker
        if request.name == REVERT:
            return ActionResult(clarified(tracker, _asked(tracker)))
        begins = tracker.active_form != ACTION_TWO_STAGE_FALLBACK
        events: tuple[Event, ...] = (ActiveLoop(name=ACTION_TWO_STAGE_FALLBACK),) if begins else ()
        said = _last_intents(tracker, 3)
        if said[:2] == [FALLBACK, FALLBACK] or said == [OUT_OF_SCOPE, FALLBACK, OUT_OF_SCOPE]:
            return self._ask(DEFAULT_FALLBACK, request, (*events, ActiveLoop(name=None)))
        if not said or said[0] not in (FALLBACK, OUT_OF_SCOPE):
            # What was said since the loop began left no trace but in the log: one step back is before it all.
            return ActionResult((*events, ActiveLoop(name=None), *clarified(tracker, 1)))
        return self._ask(ASK_AFFIRMATION if begins or said[0] == FALLBACK else ASK_REPHRASE, request, events)

    def _ask(self, name: str, request: ActionRequest, events: tuple[Event, ...]) -> ActionResult:
        asked = self._asks.run(replace(request, name=name))
        return ActionResult((*events, *asked.events), asked.replies)


def clarified(tracker: Tracker, messages: int) -> tuple[Event, ...]:
    """Take back so many of the user's messages and let the last of them count; nothing, for none."""
    said = tracker.latest_message
    if said is None or messages < 1:
        return ()
    parse = {key: value for key, value in said.parse_data.items() if key != "doubt"}
    back = [UserUtteranceReverted(timestamp=said.timestamp) for _ in range(messages)]
    listens = ActionExecuted(timestamp=said.timestamp, name=ACTION_LISTEN)
    return (*back, listens, replace(said, parse_data=parse))


def _last_intents(tracker: Tracker, most: int) -> list[str | None]:
    """What the user meant last, latest first: `nlu_fallback` for a doubted message, None for one taken back."""
    found: list[str | None] = []
    for event in tracker.backwards():
        if isinstance(event, (Restarted, SessionStarted)) or len(found) == most:
            break
        if isinstance(event, UserUtteranceReverted):
            found.append(None)
        elif isinstance(event, UserUttered):
            found.append(event.intent if event.understood else FALLBACK)
    return found


def _asked(tracker: Tracker) -> int:
    """How many messages, the last among them, have been about a question of the fallback; 0 when none was asked."""
    count, answered = 0, False
    for event in tracker.backwards():
        if isinstance(event, UserUttered):
            count, answered = count + 1, False
        elif isinstance(event, ActionExecuted) and event.name != ACTION_LISTEN and not answered:
            answered = True
            if count and event.name not in (ASK_AFFIRMATION, ASK_REPHRASE):
                break
    return count if count > 1 else 0
