"""Nova's test stories, held for real: forms, actions and policies run, only the understanding is told."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from dialogue import events as ev
from dialogue.actions.dispatch import all_actions
from dialogue.actions.local import LocalActions
from dialogue.actions.respond import Responder
from dialogue.bot import Bot
from dialogue.training.data import read_data
from policies.catalog import build
from policies.chain import Chain
from policies.testing import belief
from policies.types import Belief, Candidate, Entity
from tests.conversations.nova import CLOCK, LANGUAGES, ROOT, STOPPED
from tests.dialogue.desk import POLICIES, MemoryStore, Talk

ANNOTATED = r"\[([^\]]+)\]\((\w+)\)"


class Told:
    """Understands every message as it was told."""

    timings: Mapping[str, float] = {}

    def __init__(self) -> None:
        self.belief: Belief = belief()

    def parse_many(self, texts) -> list[Belief]:
        return [self.belief for _ in texts]

    def tell(self, written: str, intent: str) -> str:
        """The plain text of an annotated one, which will be understood as the intent."""
        name, _, key = intent.partition("/")
        entities = tuple(Entity(kind, 0, 0, value, "told") for value, kind in re.findall(ANNOTATED, written))
        sure = belief((name, 1.0))
        answers = {name: (Candidate(intent, 1.0, 1.0, 1.0),)} if key else {}
        self.belief = Belief(sure.intents, 0.0, 0.0, 0.0, answers, entities)
        return re.sub(ANNOTATED, r"\1", written)


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Path:
    """Nova's actions on a Wednesday that never ends."""
    file = tmp_path_factory.mktemp("nova") / "actions.py"
    source = (ROOT / "data" / "actions.py").read_text("utf-8")
    assert CLOCK in source
    file.write_text(source.replace(CLOCK, STOPPED), "utf-8")
    return file


def nova(language: str, file: Path) -> tuple[Talk, Told]:
    data = read_data([ROOT / "data" / language])
    responder = Responder(random.Random(1))
    places = all_actions(data.domain, responder, custom=[LocalActions(file, responder)], language=language)
    told = Told()
    chain = Chain([build(name) for name in POLICIES]).fit(data.stories)
    return Talk(Bot(told, data.domain, chain, places, MemoryStore(), language=language)), told


def stories(language: str) -> list[dict[str, Any]]:
    text = (ROOT / "data" / language / "test_stories.yml").read_text("utf-8")
    found: list[dict[str, Any]] = yaml.safe_load(text)["stories"]
    return found


ALL = [(language, story["story"]) for language in LANGUAGES for story in stories(language)]


def turns(story: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Each user step with what follows it."""
    steps = [*story["steps"], {"user": None}]
    starts = [index for index, step in enumerate(steps) if "user" in step]
    for start, end in pairwise(starts):
        yield steps[start], steps[start + 1 : end]


@pytest.mark.parametrize(("language", "name"), ALL, ids=[name for _, name in ALL])
def test_a_story_goes_as_it_is_told(language, name, served):
    talk, told = nova(language, served)
    (story,) = [one for one in stories(language) if one["story"] == name]
    for said, following in turns(story):
        result = talk.turn(told.tell(said["user"], said["intent"]))
        ran = [e.name for e in result.events if isinstance(e, ev.ActionExecuted) and not e.metadata.get("error")]
        asked = [one for one in ran if one not in ("action_session_start", "action_listen")]
        assert asked == [step["action"] for step in following if "action" in step], said
        for step in following:
            for slot in step.get("slot_was_set", ()):
                ((slot_name, value),) = slot.items()
                if slot_name != "requested_slot" or step is following[-1]:
                    assert talk.tracker.slots[slot_name] in (value, None), slot_name
            if "active_loop" in step:
                assert talk.tracker.active_form == step["active_loop"]
        assert result.replies
    assert not any(event.metadata.get("error") for event in talk.tracker.events)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_detail_that_cannot_be_is_asked_for_again(language, served):
    talk, told = nova(language, served)
    wrong = {
        "visit_date": ["[Monday](date)", "[2020-01-01](date)"],
        "party_size": ["[many](people)", "[99](people)", "[0](people)"],
        "email": ["[nobody@](email)"],
    }
    talk.turn(told.tell("book", "book_visit"))
    for slot, right in (
        ("visit_date", "[2026-10-17](date)"),
        ("party_size", "[七位](people)"),
        ("email", "[a@b.c](email)"),
    ):
        for words in wrong[slot]:
            result = talk.turn(told.tell(words, "inform"))
            assert len(result.replies) == 2, "why not, and the question again"
            assert talk.tracker.slots[slot] is None
            assert talk.tracker.requested_slot == slot
        talk.turn(told.tell(right, "inform"))
    assert talk.tracker.active_form is None
    ((_, booking),) = talk.tracker.slots["bookings"].items()
    assert booking == {"date": "2026-10-17", "people": "7"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_booking_that_was_called_off_leaves_nothing_for_the_next(language, served):
    talk, told = nova(language, served)
    for words, intent in (("book", "book_visit"), ("[2026-10-17](date)", "inform"), ("no", "cancel_booking")):
        talk.turn(told.tell(words, intent))
    assert talk.tracker.active_form is None
    talk.turn(told.tell("book", "book_visit"))
    assert talk.tracker.requested_slot == "visit_date"
