"""Talking and correcting: what a person says wins, and becomes a story and examples."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from dialogue.actions.dispatch import all_actions
from dialogue.actions.respond import Responder
from dialogue.bot import Bot
from dialogue.interactive import SENDER, AskedChain, AskedUnderstanding, converse, keep, learn_interactively, recorded
from dialogue.project import train
from dialogue.training.data import read_data
from policies.types import FILLED, StoryStep
from tests.dialogue.desk import DOMAIN, Custom, FakeUnderstanding, MemoryStore, chain
from tests.dialogue.small import write_small
from tests.policies.worlds import action, form, user


class Person:
    """Answers in turn; an empty answer takes what is offered; leaves when nothing is left to say."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str]] = []
        self.told: list[str] = []

    def ask(self, question: str, default: str, names) -> str:
        self.asked.append((question, default))
        if not self.answers:
            raise EOFError
        return self.answers.pop(0) or default

    def say(self, text: str) -> None:
        self.told.append(text)


def talk(person: Person):
    heard = AskedUnderstanding(FakeUnderstanding(), DOMAIN, person.ask, person.say)
    asked = AskedChain(chain(), DOMAIN, person.ask, person.say)
    places = all_actions(DOMAIN, Responder(random.Random(1)), custom=(Custom(),))
    bot = Bot(heard, DOMAIN, asked, places, MemoryStore())
    converse(bot, person.ask, person.say)
    return recorded(bot.tracker(SENDER).applied_events, DOMAIN), heard.heard


def test_what_is_right_is_taken_with_enter():
    person = Person("greet", "", "", "", "")
    steps, heard = talk(person)
    assert steps == (user("greet"), action("utter_greet"))
    assert heard == {"greet": ("greet", ())}
    assert person.asked == [
        *(("you", ""), ("intent", "greet"), ("entities", "greet")),
        *(("next action", "utter_greet"), ("next action", "action_listen"), ("you", "")),
    ]
    assert "bot › Hello!" in person.told


def test_intent_and_next_action_are_corrected():
    person = Person("mumble", "bye", "", "utter_offer", "utter_bye", "action_listen")
    steps, heard = talk(person)
    assert steps == (user("bye"), action("utter_offer"), action("utter_bye"))
    assert heard["mumble"] == ("bye", ())
    assert [line for line in person.told if line.startswith("bot")] == ["bot › Shall I book?", "bot › Bye."]


def test_unknown_names_are_asked_for_again():
    person = Person("mumble", "buy", "bye", "", "utter_by", "utter_bye", "")
    steps, _ = talk(person)
    assert steps == (user("bye"), action("utter_bye"))
    assert "there is no intent 'buy'; did you mean 'bye'?" in person.told
    assert "there is no next action 'utter_by'; did you mean 'utter_bye'?" in person.told


def test_entities_are_marked_in_the_message_itself():
    person = Person("to Lima", "book", "to [Lima](city) now", "to [Lima](city)", "", "", "")
    steps, heard = talk(person)
    assert "only mark words of the message, as in [Rome](city)" in person.told
    (lima,) = heard["to Lima"][1]
    assert (lima.entity, lima.start, lima.end, lima.value) == ("city", 3, 7, "Lima")
    said, *rest = steps
    assert (said.intent, [one.entity for one in said.entities]) == ("book", ["city"])
    assert rest == [StoryStep(slots={"city": FILLED}), action("booking"), form("booking")]


def test_an_answer_of_a_retrieval_intent_is_a_story_of_that_answer():
    steps, _ = talk(Person("faq", "", "", "", ""))
    assert steps == (user("faq/wifi"), action("utter_faq"))


def test_who_leaves_in_the_middle_of_a_turn_leaves_whole_turns():
    steps, _ = talk(Person("greet", "", "", "", "", "bye", ""))
    assert steps == (user("greet"), action("utter_greet"))


def test_story_and_examples_are_kept_only_as_wanted(tmp_path):
    file = write_small(tmp_path / "small") / "data"
    before = {path: path.read_text() for path in file.iterdir()}
    steps, heard = (user("greet"), action("utter_greet")), {"howdy": ("greet", ()), "hello": ("greet", ())}
    for person in (Person(), Person(""), Person("", "no")):
        keep([file], steps, heard, person.ask, person.say)
        assert {path: path.read_text() for path in file.iterdir()} == before
    person = Person("hi", "yes")
    keep([file], steps, heard, person.ask, person.say)
    assert person.asked[-1][0] == "1 new examples: keep them?"
    data = read_data([file])
    assert [(told.name, told.steps) for told in data.stories if not told.is_rule] == [("hi", steps)]
    assert [one.text for one in data.examples if one.text == "howdy"] == ["howdy"]


def test_with_a_project(tmp_path):
    project = write_small(tmp_path / "small")
    train(project)
    person = Person("hello there", "", "", "", "", "so long", "goodbye", "", "utter_goodbye", "action_listen")
    answers = iter([*person.answers, None, "polite", "yes"])

    def ask(question: str, default: str, names) -> str:
        answer = next(answers)
        if answer is None:
            raise EOFError
        return answer or default

    learn_interactively(project, ask, person.say)
    told = [story for story in read_data([project / "data"]).stories if story.name == "polite"]
    wanted = (user("greet"), action("utter_greet"), user("goodbye"), action("utter_goodbye"))
    assert [story.steps for story in told] == [wanted]
    assert any("example of goodbye written to" in line for line in person.told)


@pytest.mark.parametrize("name", ["learn_interactively"])
def test_the_command_is_wired(name, tmp_path, monkeypatch):
    from typer.testing import CliRunner

    import dialogue.interactive
    from dialogue.cli import app

    project = write_small(tmp_path / "small")
    seen: list[Path] = []
    monkeypatch.setattr(dialogue.interactive, name, lambda folder, ask, say: seen.append(folder))
    result = CliRunner().invoke(app, ["interactive", "-p", str(project)])
    assert (result.exit_code, seen) == (0, [project]), result.output
