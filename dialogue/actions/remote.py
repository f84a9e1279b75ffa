"""Custom actions on a server: the HTTP contract of rasa-sdk's action server, as Rasa 3 calls it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dialogue.actions.base import ActionError, ActionRejected, ActionRequest, ActionResult
from dialogue.actions.http import Answer, Endpoint, JsonServer
from dialogue.actions.respond import Responder
from dialogue.actions.sdk import read_result, tracker_state
from dialogue.domain import Domain

CONTRACT = "3.6.21"  # the release of Rasa whose requests these are; servers of other releases warn, no more
OK, REFUSED, UNKNOWN, DOMAIN_WANTED = 200, 400, 404, 449


@dataclass(frozen=True, slots=True)
class ActionServer(Endpoint):
    """An action server.

    Attributes:
        selective_domain: send the domain only for actions that ask for it (`send_domain`) or when the server does.
    """

    selective_domain: bool = False


class RemoteActions:
    """Runs the actions that the domain lists on an action server.

    Args:
        server: where.
        domain: of the bot; what it says itself, its responses and forms, is not asked of the server.
        responder: renders the responses that actions name.
    """

    def __init__(self, server: ActionServer, domain: Domain, responder: Responder) -> None:
        self._domain = domain
        self._selective = server.selective_domain
        self._responder = responder
        self._server = JsonServer(server, "action server")
        self._wire_domain = domain.as_dict()
        self._digest = hashlib.sha256(json.dumps(self._wire_domain, sort_keys=True).encode()).hexdigest()

    def knows(self, name: str) -> bool:
        """Whether the domain lists it under `actions` and does not say it itself."""
        return name in self._domain.actions and name not in self._domain.forms and not self._domain.says(name)

    def run(self, request: ActionRequest) -> ActionResult:
        """Have it run.

        Raises:
            ActionRejected: if the server says that the action refused.
            ActionError: if the server does not answer, or answers anything but the result of an action.
        """
        spec = self._domain.actions.get(request.name)
        wanted = not self._selective or (spec is not None and spec.send_domain)
        answer = self._server.post(self._payload(request, with_domain=wanted))
        if answer.status == DOMAIN_WANTED and not wanted:
            answer = self._server.post(self._payload(request, with_domain=True))
        if answer.status != OK:
            raise self._refusal(request.name, answer)
        result = self._read(request.name, answer)
        if not isinstance(result, Mapping):
            raise ActionError(f"{self._server.name}, action {request.name!r}: expected an object, got {result!r:.80}")
        events, responses = (result.get(key) or [] for key in ("events", "responses"))
        for key, found in (("events", events), ("responses", responses)):
            if not isinstance(found, list):
                expected = f"expected {key!r} to be a list, got {found!r:.80}"
                raise ActionError(f"{self._server.name}, action {request.name!r}: {expected}")
        return read_result(request, events, responses, self._responder)

    def _payload(self, request: ActionRequest, *, with_domain: bool) -> dict[str, Any]:
        payload = {
            "next_action": request.name,
            "sender_id": request.tracker.conversation,
            "tracker": tracker_state(request),
            "version": CONTRACT,
            "domain_digest": self._digest,
        }
        return payload | ({"domain": self._wire_domain} if with_domain else {})

    def _read(self, name: str, answer: Answer) -> Any:
        try:
            return answer.json()
        except ValueError as problem:
            told = answer.body[:60].decode("utf-8", "replace")
            raise ActionError(
                f"{self._server.name}, action {name!r}: the answer is not JSON ({problem}): {told!r}"
            ) from problem

    def _refusal(self, name: str, answer: Answer) -> ActionRejected | ActionError:
        """What a status other than 200 means. A refusal names the action; any other 400 is a fault."""
        try:
            told = answer.json()
        except ValueError:
            told = None
        said = told if isinstance(told, Mapping) else {}
        reason = f": {said['error']}" if said.get("error") else ""
        if answer.status == REFUSED and said.get("action_name"):
            return ActionRejected(str(said.get("error") or f"{name} refused"))
        if answer.status == UNKNOWN and said.get("action_name"):
            return ActionError(f"{self._server.name} has no action {name!r}{reason}")
        if answer.status == UNKNOWN:
            return ActionError(f"{self._server.name}: there is nothing at this address (404)")
        return ActionError(f"{self._server.name}, action {name!r}: status {answer.status}{reason}")
