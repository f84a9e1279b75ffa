"""Actions that only say a response of the domain: `utter_greet`, and `utter_faq` for the answers of intent `faq`."""

from __future__ import annotations

import logging
import random
from typing import Any

from dialogue.actions.base import ActionRequest, ActionResult
from dialogue.domain import Domain
from dialogue.errors import suggestion
from dialogue.message import Reply
from dialogue.responses import choose, render
from dialogue.tracker import Tracker

logger = logging.getLogger(__name__)


class Responder:
    """Says responses of the domain.

    Args:
        rng: chooses among variations; seeded, the bot always says the same.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def replies(self, name: str, tracker: Tracker, domain: Domain, /, **values: Any) -> tuple[Reply, ...]:
        """What response `name` says in this conversation.

        Nothing, and a warning, when the domain has no such response or no variation of it may be said, as in Rasa.

        Args:
            name: of the response.
            tracker: the conversation; its slots are filled in, its last message tells the channel.
            domain: where the response stands.
            values: to fill in besides the slots; they win.
        """
        if name not in domain.responses:
            near = suggestion(name, domain.responses)
            logger.warning("conversation %s: the domain has no response %r%s", tracker.conversation, name, near)
            return ()
        channel = channel_of(tracker)
        variation = choose(domain.responses[name], tracker.slots, channel, self._rng)
        if variation is None:
            logger.warning("no variation of %s may be said in channel %s", name, channel)
            return ()
        return render(name, variation, {**tracker.slots, **values})


class ResponseActions:
    """Runs the actions that are responses.

    Args:
        responder: what says them.
        domain: whose responses these are.
    """

    def __init__(self, responder: Responder, domain: Domain) -> None:
        self._responder = responder
        self._domain = domain

    def knows(self, name: str) -> bool:
        """Whether it is a response, one that has no words, or the answers of a retrieval intent."""
        return self._domain.says(name)

    def run(self, request: ActionRequest) -> ActionResult:
        """Say it. What has no words is not said, unless a server has some, and the conversation goes on, as in Rasa."""
        intent = None if request.name in request.domain.responses else request.domain.answers(request.name)
        name = request.name if intent is None else chosen_answer(intent, request.tracker)
        if name is None:
            logger.warning("conversation %s: %s: no answer was chosen", request.tracker.conversation, request.name)
            return ActionResult()
        return ActionResult(replies=self._responder.replies(name, request.tracker, request.domain))


def channel_of(tracker: Tracker) -> str | None:
    """The channel the user spoke in last."""
    said = tracker.last_heard
    return None if said is None else said.input_channel


def chosen_answer(intent: str, tracker: Tracker) -> str | None:
    """Name of the response that fits the last message best among the answers of a retrieval intent.

    None where the message was not compared with them, such as a shortcut that names none.
    """
    said = tracker.latest_message
    selected = {} if said is None else said.parse_data.get("response_selector", {}).get(intent, {})
    key = selected.get("response", {}).get("intent_response_key")
    return f"utter_{key}" if key else None
