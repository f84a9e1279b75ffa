"""What contradicts itself in training data: examples, retrieval answers, rules and stories."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from dialogue.errors import Problem, Where, error, suggestion, warning
from dialogue.training.data import TrainingData
from dialogue.training.nodes import shorten
from dialogue.training.types import Example
from policies.history import Point, points, step_key
from policies.types import Story


def check_examples(examples: Iterable[Example]) -> Iterator[Problem]:
    """The same sentence twice, in one intent or in two: then it is learned as either, with half the certainty."""
    first_of: dict[str, Example] = {}
    same: dict[tuple[str, str], Example] = {}
    for example in examples:
        text = " ".join(example.text.split())
        first = first_of.setdefault(text.casefold(), example)
        if first.intent != example.intent:
            here = f"{shorten(example.text)!r} is an example of {example.intent!r} here"
            yield warning(example.where, f"{here} and of {first.intent!r} in {first.where}; choose one")
            continue
        twin = same.setdefault((example.intent, text), example)
        if twin is not example:
            yield warning(example.where, f"{shorten(example.text)!r} is already in {example.intent!r}, in {twin.where}")


def check_retrieval(data: TrainingData) -> Iterator[Problem]:
    """Every retrieval answer has examples and a response, and its intent is nothing else besides."""
    places: dict[str, Where] = {}
    for example in data.examples:
        places.setdefault(example.intent, example.where)
    responses = [name.removeprefix("utter_") for name in data.domain.responses if "/" in name]
    for intent, where in places.items():
        if "/" in intent and intent not in responses:
            near = suggestion(f"utter_{intent}", data.domain.responses)
            yield warning(where, f"{intent!r} has examples but no response 'utter_{intent}'{near}")
        if intent in data.domain.retrieval:
            one = f"{intent}/{data.domain.retrieval[intent][0]}"
            message = f"{intent!r} has examples of its own and is the retrieval intent of {one!r}; choose one"
            yield warning(where, message)
    for intent in responses:
        if intent not in places:
            where = data.domain.responses[f"utter_{intent}"][0].where
            yield warning(where, f"response 'utter_{intent}' has no examples; nobody can ask for it")


def check_stories(stories: Sequence[Story]) -> Iterator[Problem]:
    """Rules that want two things at once, and stories that a rule keeps from ever being followed."""
    rules: dict[Any, Point] = {}
    for story in stories:
        if story.is_rule:
            for point in points(story):
                first = rules.setdefault(_situation(point), point)
                if first.action != point.action:
                    message = f"rule {story.name!r} goes on with {point.action}, but {first.where} with {first.action}"
                    yield error(place(story), f"{message} in the same situation")
    always = {step_key(point.past[0]): point for point in rules.values() if _is_unconditional(point)}
    for story in stories:
        if not story.is_rule:
            yield from _check_story(story, always)


def _check_story(story: Story, always: dict[str, Point]) -> Iterator[Problem]:
    for point in points(story):
        last = point.past[-1]
        rule = always.get(step_key(last)) if last.action is None and point.form is None else None
        if rule is not None and rule.action != point.action:
            intent = last.intent or last.text
            message = f"story {story.name!r} answers {intent!r} with {point.action}"
            yield error(place(story), f"{message}, but {rule.where} always with {rule.action}")


def _situation(point: Point) -> Any:
    """What must hold for a rule to act, in a form that can be compared."""
    past = tuple((step_key(step), tuple(map(repr, step.entities))) for step in point.past)
    slots = tuple(sorted((name, repr(value)) for name, value in point.slots.items()))
    return point.story.conversation_start, past, slots, point.says_form, point.form


def _is_unconditional(point: Point) -> bool:
    """Whether the rule reacts to one user turn, whatever came before and however slots and forms stand."""
    return (
        len(point.past) == 1
        and point.past[0].action is None
        and not point.story.conversation_start
        and point.detail == 0
    )


def place(story: Story) -> Where:
    """Where a story begins."""
    file, line, column = story.where.rsplit(":", 2)
    return Where(file, int(line), int(column))
