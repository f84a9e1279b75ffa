"""Responses from a server: the callback contract of Rasa's `nlg:`."""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping
from typing import Any

from dialogue.actions.base import ActionError, Outside
from dialogue.actions.http import Endpoint, JsonServer
from dialogue.actions.respond import Responder, channel_of
from dialogue.actions.sdk import read_response
from dialogue.domain import Domain
from dialogue.message import Reply
from dialogue.responses import choose
from dialogue.tracker import Tracker

logger = logging.getLogger(__name__)


class CallbackResponder(Responder):
    """Has a server word the responses; the domain's own words stand in for a server that does not.

    Args:
        endpoint: where.
        rng: chooses among the domain's variations.
    """

    def __init__(self, endpoint: Endpoint, rng: random.Random) -> None:
        super().__init__(rng)
        self._server = JsonServer(endpoint, "response server")

    def replies(self, name: str, tracker: Tracker, domain: Domain, /, **values: Any) -> tuple[Reply, ...]:
        """What the server says for response `name`; see `Responder.replies`."""
        variation = choose(domain.responses.get(name, ()), tracker.slots, channel_of(tracker), self._rng)
        try:
            answer = self._server.post(
                {
                    "response": name,
                    "id": None if variation is None else variation.id,
                    "arguments": values,
                    "tracker": tracker.as_dict("ALL"),
                    "channel": {"name": channel_of(tracker)},
                }
            )
            return self._read(name, answer.status, answer.json())
        except (ActionError, ValueError) as problem:
            logger.warning("conversation %s: response %s: %s", tracker.conversation, name, problem)
            return super().replies(name, tracker, domain, **values)

    def _read(self, name: str, status: int, said: Any) -> tuple[Reply, ...]:
        if status != 200 or not isinstance(said, Mapping):
            raise ActionError(f"{self._server.name}: expected status 200 and an object, got {status} and {said!r:.80}")
        metadata = {"utter_action": name} | ({"id": said["id"]} if said.get("id") else {})
        replies = read_response(said, Reply(metadata=metadata))
        if not replies:
            raise ActionError(f"{self._server.name}: the answer says nothing")
        return replies


class SilentResponder(Responder):
    """Stands for one that asks a server, where nothing may wait for it."""

    def replies(self, name: str, tracker: Tracker, domain: Domain, /, **values: Any) -> tuple[Reply, ...]:
        """Raises `Outside`."""
        raise Outside(name)
