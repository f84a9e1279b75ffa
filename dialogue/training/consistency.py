"""What contradicts itself in training data: examples and retrieval answers. Stories: `dialogue.training.conflicts`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dialogue.errors import Problem, Where, suggestion, warning
from dialogue.training.data import TrainingData
from dialogue.training.nodes import shorten
from dialogue.training.types import Example


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
