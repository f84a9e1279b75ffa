"""A small bot for tests of the conversation: a domain, stories, a fake understanding and a store in memory."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import MappingProxyType

from dialogue.actions.base import ActionRequest, ActionResult
from dialogue.actions.dispatch import Elsewhere, all_actions
from dialogue.actions.respond import Responder
from dialogue.bot import Bot
from dialogue.domain import (
    ActionSpec,
    Domain,
    Form,
    IntentSpec,
    MappingCondition,
    ResponseVariation,
    Slot,
    SlotMapping,
)
from dialogue.events import SlotSet
from dialogue.message import Message, Reply
from dialogue.store.base import Answered, ConflictError
from policies.catalog import build
from policies.chain import Chain
from policies.testing import belief
from policies.types import Belief, Candidate, Entity
from tests.policies.worlds import action, form, rule, slot, story, user

INTENTS = ("greet", "bye", "book", "inform", "affirm", "deny", "chat", "faq", "weather", "boom", "loop", "hop")
POLICIES = ("forms", "rules", "memory", "confidence", "fallback")


def respond(text: str, **more) -> tuple[ResponseVariation, ...]:
    return (ResponseVariation(text=text, **more),)


def mapped(kind: str, **more) -> SlotMapping:
    return SlotMapping(kind, **more)


DOMAIN = Domain(
    intents={name: IntentSpec(name) for name in INTENTS},
    slots={
        "city": Slot("city", "text", mappings=(mapped("from_entity", entity="city"),)),
        "people": Slot("people", "float", mappings=(mapped("from_entity", entity="number"),)),
        "note": Slot(
            "note",
            "text",
            mappings=(
                mapped(
                    "from_intent", value="none", intents=("deny",), conditions=(MappingCondition("booking", "note"),)
                ),
                mapped("from_text", not_intents=("deny", "bye"), conditions=(MappingCondition("booking", "note"),)),
            ),
        ),
        "likes": Slot("likes", "bool", mappings=(mapped("from_intent", value=True, intents=("affirm",)),)),
    },
    responses={
        "utter_greet": respond("Hello!"),
        "utter_bye": respond("Bye."),
        "utter_chat": respond("Nice weather."),
        "utter_offer": respond("Shall I book?", buttons=({"title": "Please do", "payload": "/affirm"},)),
        "utter_fine": respond("Fine."),
        "utter_booked": respond("Booked: {city}, {people}, {note}."),
        "utter_ask_city": respond("Which city?"),
        "utter_ask_people": respond("How many?"),
        "utter_ask_booking_note": respond("Anything else?"),
        "utter_faq/wifi": respond("The wifi is free."),
        "utter_faq/pets": respond("No pets."),
    },
    actions={name: ActionSpec(name) for name in ("action_boom", "action_loop", "action_weather", "action_lost")},
    forms={"booking": Form("booking", ("city", "people", "note"))},
    retrieval={"faq": ("pets", "wifi")},
)

STORIES = (
    rule("greet", user("greet"), action("utter_greet")),
    rule("bye", user("bye"), action("utter_bye")),
    rule("affirm", user("affirm"), action("utter_fine")),
    rule("chat", user("chat"), action("utter_chat")),
    rule("faq", user("faq"), action("utter_faq")),
    rule("weather", user("weather"), action("action_weather"), action("utter_offer")),
    rule("boom", user("boom"), action("action_boom"), action("utter_greet")),
    rule("hop", user("hop"), action("action_lost")),
    rule("loop", user("loop"), action("action_loop"), wait_for_user_input=False),
    rule("again", action("action_loop"), action("action_loop"), wait_for_user_input=False),
    rule("book", user("book"), action("booking"), form("booking")),
    rule(
        "booked",
        action("booking"),
        form(None),
        slot("requested_slot", None),
        action("utter_booked"),
        condition=[form("booking")],
    ),
    story(
        "weather, book",
        user("weather"),
        action("action_weather"),
        action("utter_offer"),
        user("deny"),
        action("utter_fine"),
    ),
)

CITIES = ("Oslo", "Rome")


class FakeUnderstanding:
    """Knows intents by their name at the start of a text, cities and digits as entities; the rest is gibberish."""

    timings: Mapping[str, float] = MappingProxyType({"encode": 0.001})

    def __init__(self, beliefs: Mapping[str, Belief] | None = None) -> None:
        self.beliefs = beliefs or {}
        self.read: list[str] = []

    def parse_many(self, texts) -> list[Belief]:
        return [self.parse(text) for text in texts]

    def parse(self, text: str) -> Belief:
        self.read.append(text)
        if text in self.beliefs:
            return self.beliefs[text]
        words = text.split()
        found = [
            Entity(
                "city" if word in CITIES else "number", text.index(word), text.index(word) + len(word), value, "test"
            )
            for word in words
            if word in CITIES or word.isdigit()
            for value in [word if word in CITIES else int(word)]
        ]
        intent = words[0] if words and words[0] in INTENTS else "inform" if found else None
        seen = belief((intent, 0.95), ("other", 0.01)) if intent else belief(("greet", 0.05), ("book", 0.04))
        answers = {"faq": (Candidate("faq/wifi", 0.98, 0.9, 0.99), Candidate("faq/pets", 0.02, 0.01, 0.1))}
        return Belief(seen.intents, seen.unknown, 0.5, 0.1, answers, tuple(found))


@dataclass
class Everything:
    """The right to every conversation, whoever else has it."""

    conversations: set[str]

    def keep(self, conversation: str):
        self.conversations.remove(conversation)
        return lambda: None


class MemoryStore:
    """A store in memory."""

    def __init__(self) -> None:
        self.log: dict[str, list] = {}
        self.answers: dict[tuple[str, str, str], tuple] = {}
        self.closed = False
        self._lock = threading.Lock()

    def events(self, conversation, *, after=0):
        return self.log.get(conversation, [])[after:]

    def append(self, conversation, expected_sequence, events, *, answered: Answered | None = None):
        known = self.log.setdefault(conversation, [])
        if expected_sequence not in (None, len(known)):
            raise ConflictError("the conversation went on")
        known.extend(events)
        if answered is not None:
            self.answers[conversation, answered.message.channel, answered.message.id] = answered.replies
        return len(known)

    def append_many(self, additions):
        stored = set()
        for one in additions:
            with suppress(ConflictError):
                self.append(one.conversation, one.expected_sequence, one.events, answered=one.answered)
                stored.add(one.conversation)
        return stored

    @contextmanager
    def turn(self, conversation) -> Iterator[None]:
        with self._lock:
            yield

    @contextmanager
    def free_turns(self, conversations) -> Iterator[set[str]]:
        with self._lock:
            yield Everything(set(conversations))

    def look(self, several):
        answers = [self.answers.get((one.message.sender, one.message.channel, one.message.id)) for one in several]
        return [
            (replies, self.events(one.message.sender, after=one.after) if replies is None else [])
            for one, replies in zip(several, answers, strict=True)
        ]

    def conversations(self, *, having=None):
        return [name for name, log in self.log.items() if having is None or any(e.wire == having for e in log)]

    def delete(self, conversation):
        return self.log.pop(conversation, None) is not None

    def export(self, conversation):
        return {"conversation": conversation}

    def close(self):
        self.closed = True


class Custom:
    """The custom actions of the desk."""

    def knows(self, name: str) -> bool:
        return name in ("action_boom", "action_loop", "action_weather")

    def run(self, request: ActionRequest) -> ActionResult:
        if request.name == "action_boom":
            raise ZeroDivisionError("no weather today")
        return ActionResult()


class SlowDesk:
    """The desk's own action `action_weather`, which takes until it is let go on."""

    def __init__(self, *, at_once=True):
        self.runs = 0
        self.go_on = threading.Event()
        if at_once:
            self.go_on.set()

    def knows(self, name: str) -> bool:
        return name == "action_weather"

    def run(self, request: ActionRequest) -> ActionResult:
        self.runs += 1
        assert self.go_on.wait(20)
        return ActionResult((SlotSet("city", "Oslo"),), (Reply("Sun."),))


def chain(*more) -> Chain:
    return Chain([build(name) for name in POLICIES]).fit((*STORIES, *more))


def make_bot(*, beliefs=None, custom=None, store=None, domain=DOMAIN, policies=None, **options) -> Bot:
    actions, quick = (
        all_actions(domain, Responder(random.Random(1)), custom=(place,), language=options.get("language", "en"))
        for place in (custom or Custom(), Elsewhere(custom or Custom()))
    )
    ready, decides = FakeUnderstanding(beliefs), policies or chain()
    return Bot(ready, domain, decides, actions, store or MemoryStore(), quick=quick, **options)


class Talk:
    """A conversation with a bot, line by line."""

    def __init__(self, bot: Bot, sender: str = "ada") -> None:
        self.bot = bot
        self.sender = sender

    def turn(self, text: str, **more):
        return self.bot.handle(Message(text, self.sender, **more))

    def say(self, text: str) -> list[str]:
        return [reply.text for reply in self.turn(text).replies]

    @property
    def tracker(self):
        return self.bot.tracker(self.sender)
