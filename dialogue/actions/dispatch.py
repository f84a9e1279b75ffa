"""Finds the place that runs an action."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

from dialogue.actions.base import ActionError, ActionRequest, ActionResult, Actions, Outside
from dialogue.actions.defaults import DefaultActions
from dialogue.actions.forms import FormActions
from dialogue.actions.respond import Responder, ResponseActions
from dialogue.actions.two_stage import TwoStageFallback
from dialogue.domain import Domain
from dialogue.errors import suggestion


class Dispatcher:
    """Several places as one: the first that knows an action runs it."""

    def __init__(self, places: Sequence[Actions]) -> None:
        self._places = tuple(places)

    def knows(self, name: str) -> bool:
        """Whether any of them knows it."""
        return any(place.knows(name) for place in self._places)

    def run(self, request: ActionRequest) -> ActionResult:
        """Run it where it is known. Raises `ActionError` when it is known nowhere."""
        for place in self._places:
            if place.knows(request.name):
                return place.run(request)
        if request.name in request.domain.actions:
            raise ActionError(
                f"action {request.name!r} is custom, and neither a file nor a server of the bot's runs it"
            )
        hint = suggestion(request.name, (*request.domain.actions, *request.domain.responses))
        raise ActionError(f"nothing here runs the action {request.name!r}{hint}")


class Elsewhere:
    """Stands for a place whose actions take their time: it knows what that one knows, and runs nothing."""

    def __init__(self, place: Actions) -> None:
        self._place = place

    def knows(self, name: str) -> bool:
        """Whether the place knows it."""
        return self._place.knows(name)

    def run(self, request: ActionRequest) -> ActionResult:
        """Raises `Outside`."""
        raise Outside(request.name)


def all_actions(
    domain: Domain, responder: Responder | None = None, *, custom: Iterable[Actions] = (), language: str = "en"
) -> Dispatcher:
    """A bot's actions: custom ones, forms, responses, and those that every bot has.

    Args:
        domain: of the bot.
        responder: what says responses; by default with a random number generator of its own.
        custom: places that run the project's own actions; they come first, so that they may replace any other.
        language: of the bot, as ISO 639.
    """
    responder = responder or Responder(random.Random())  # noqa: S311  # words, not secrets
    own = Dispatcher(tuple(custom))
    said = ResponseActions(responder, domain)
    forms = FormActions(domain, Dispatcher((own, said)))
    defaults = DefaultActions(responder, language=language)
    fallback = TwoStageFallback(Dispatcher((own, said, defaults)))
    return Dispatcher((own, forms, said, fallback, defaults))
