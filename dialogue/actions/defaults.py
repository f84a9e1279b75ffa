"""Actions every bot has, by Rasa's names, and those of the fallback ladder. A custom action of the same name wins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from dialogue.actions.base import ActionRequest, ActionResult
from dialogue.actions.respond import Responder
from dialogue.actions.texts import text_for
from dialogue.domain import ACTION_LISTEN, REQUESTED_SLOT, Domain
from dialogue.events import (
    ActionExecuted,
    ActiveLoop,
    Event,
    Restarted,
    SessionStarted,
    SlotSet,
    UserUtteranceReverted,
)
from dialogue.message import Button, Reply
from dialogue.tracker import Tracker

ACTION_APOLOGIZE = "action_apologize"
OUT_OF_SCOPE = "/out_of_scope"
REPHRASING = ("utter_rephrase", "utter_ask_rephrase", "utter_default")


class DefaultActions:
    """Runs them.

    Args:
        responder: what says responses of the domain.
        language: of the bot, as ISO 639, for what the domain does not say itself.
    """

    def __init__(self, responder: Responder, *, language: str = "en") -> None:
        self._responder = responder
        self._language = language
        self._actions: Mapping[str, Callable[[ActionRequest], ActionResult]] = {
            ACTION_LISTEN: _nothing,
            "action_restart": self._restart,
            "action_session_start": _session_start,
            "action_default_fallback": self._default_fallback,
            "action_deactivate_loop": _deactivate_loop,
            "action_back": self._back,
            "action_default_ask_affirmation": self._ask_affirmation,
            "action_default_ask_rephrase": lambda request: self._say("utter_ask_rephrase", request),
            "action_unlikely_intent": _nothing,
            "action_extract_slots": _nothing,
            "action_validate_slot_mappings": _nothing,
            "action_rephrase": self._rephrase,
            "action_clarify": self._clarify,
            "action_hand_over": self._hand_over,
            ACTION_APOLOGIZE: lambda request: self._say("utter_error", request),
        }

    def knows(self, name: str) -> bool:
        """Whether it is one of them."""
        return name in self._actions

    def run(self, request: ActionRequest) -> ActionResult:
        """Run it."""
        return self._actions[request.name](request)

    def _restart(self, request: ActionRequest) -> ActionResult:
        return ActionResult((Restarted(),), self._if_defined("utter_restart", request))

    def _back(self, request: ActionRequest) -> ActionResult:
        # Once for the message that asked for it, once for the one before.
        return ActionResult((UserUtteranceReverted(), UserUtteranceReverted()), self._if_defined("utter_back", request))

    def _default_fallback(self, request: ActionRequest) -> ActionResult:
        return ActionResult((UserUtteranceReverted(),), self._say("utter_default", request).replies)

    def _rephrase(self, request: ActionRequest) -> ActionResult:
        """In the words that bots written for Rasa have for what is not understood, where there are none for this."""
        worded = (name for name in REPHRASING if name in request.domain.responses)
        return self._say(next(worded, REPHRASING[0]), request)

    def _clarify(self, request: ActionRequest) -> ActionResult:
        names = [candidate.name for candidate in request.decision.candidates]
        buttons = tuple(intent_button(name, request.tracker, request.domain) for name in names)
        return self._say("utter_clarify", request, buttons)

    def _hand_over(self, request: ActionRequest) -> ActionResult:
        """The last reply carries the mark by which a channel with people behind it calls them."""
        *before, last = self._say("utter_hand_over", request).replies
        return ActionResult(replies=(*before, replace(last, metadata={**last.metadata, "handoff": True})))

    def _ask_affirmation(self, request: ActionRequest) -> ActionResult:
        said = request.tracker.latest_message
        intent = None if said is None else said.intent
        if intent is None:
            return self._say("utter_ask_rephrase", request)
        meant = intent_button(intent, request.tracker, request.domain)
        buttons = (Button(meant.title, meant.payload), Button(self._text("no", request), OUT_OF_SCOPE))
        return self._say("utter_ask_affirmation", request, buttons)

    def _say(self, name: str, request: ActionRequest, buttons: tuple[Button, ...] = ()) -> ActionResult:
        """The domain's response or, where it has none, the built-in words; with buttons added."""
        first, *rest = self._if_defined(name, request) or (Reply(text=self._text(name, request)),)
        whole = Reply(
            first.text, (*first.buttons, *buttons), first.image, first.attachment, first.custom, first.metadata
        )
        return ActionResult(replies=(whole, *rest))

    def _if_defined(self, name: str, request: ActionRequest) -> tuple[Reply, ...]:
        known = name in request.domain.responses
        return self._responder.replies(name, request.tracker, request.domain) if known else ()

    def _text(self, name: str, request: ActionRequest) -> str:
        said = request.tracker.last_heard
        return text_for(name, None if said is None else said.text, self._language)


def intent_button(intent: str, tracker: Tracker, domain: Domain) -> Button:
    """A button that says `intent`, with the answer that fits best if it is a retrieval intent.

    Its title is that of a button of the domain's own with the same payload; else the `title` in the metadata of the
    answer; else the intent's description where names, being identifiers, are in another script than the bot's language;
    else the name.
    """
    name = _with_answer(intent, tracker)
    payload = f"/{name}"
    titles = {
        str(button.get("payload")): str(button["title"])
        for variations in domain.responses.values()
        for variation in variations
        for button in variation.buttons
        if "title" in button
    }
    spec = domain.intents.get(intent)
    described = spec.description if spec is not None and spec.description and not spec.description.isascii() else None
    written = [(one.metadata or {}).get("title") for one in domain.responses.get(f"utter_{name}", ())]
    plain = name.rpartition("/")[2].replace("_", " ")
    return Button(titles.get(payload) or str(next(filter(None, written), described or plain)), payload)


def _with_answer(intent: str, tracker: Tracker) -> str:
    said = tracker.latest_message
    selected = {} if said is None else said.parse_data.get("response_selector", {}).get(intent, {})
    return str(selected.get("response", {}).get("intent_response_key") or intent)


def _session_start(request: ActionRequest) -> ActionResult:
    carried: list[Event] = []
    if request.domain.carry_over_slots:
        carried = [
            SlotSet(name=name, value=value)
            for name, value in request.tracker.slots.items()
            if value is not None and name != REQUESTED_SLOT
        ]
    return ActionResult((SessionStarted(), *carried, ActionExecuted(name=ACTION_LISTEN)))


def _deactivate_loop(request: ActionRequest) -> ActionResult:
    return ActionResult((ActiveLoop(name=None), SlotSet(name=REQUESTED_SLOT, value=None)))


def _nothing(request: ActionRequest) -> ActionResult:
    return ActionResult()
