"""`starfold discover`: what the bot did not understand, sorted into intents it might be taught."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dialogue.errors import TrainingError
from dialogue.learning.heard import Said
from dialogue.learning.mixture import cluster
from dialogue.learning.naming import name_for, words_of
from dialogue.learning.space import dense, space_of
from dialogue.model import Model
from dialogue.training.written import scalar
from encoders.tokenizer import tokenize

MOST_MESSAGES = 3000  # the most frequent; the sampler takes a second for some hundred
RESTARTS = 2


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Messages that belong together.

    Attributes:
        intent: a name for a new intent, or the bot's own intent they look like.
        new: whether it is new.
        messages: the surest first.
        together: mean probability that two of them mean the same, over the sampled partitions.
    """

    intent: str
    new: bool
    messages: tuple[Said, ...]
    together: float

    @property
    def times(self) -> int:
        """How often something of it was said."""
        return sum(message.times for message in self.messages)


def discover(
    model: Model, texts: Sequence[str], classes: Sequence[str], said: Sequence[Said], *, least: int = 3, seed: int = 0
) -> list[Suggestion]:
    """Cluster messages beside the bot's own intents; the most frequent suggestion first.

    Args:
        model: of the bot.
        texts: its examples.
        classes: their intents.
        said: messages nobody has labelled.
        least: fewest different messages of a suggestion.
        seed: of the sampler.

    Raises:
        TrainingError: if the bot has no encoder whose vectors can be clustered.
    """
    said = list(said)[:MOST_MESSAGES]
    if not said:
        return []
    names = sorted(set(classes))
    labels = np.array([names.index(name) for name in classes], np.int64)
    try:
        vectors = dense(
            model.views([tokenize(text, model.language) for text in (*texts, *(s.text for s in said))]),
            model.head.process.kernel,
        )
    except ValueError as cause:
        raise TrainingError(str(cause)) from cause
    space = space_of(vectors[: len(texts)], labels, vectors[len(texts) :])
    found = max(
        (cluster(space.points, space.spread, space.known, seed=seed + number) for number in range(RESTARTS)),
        key=lambda clustering: clustering.log_posterior,
    )
    everything = Counter(word for text in (*texts, *(s.text for s in said)) for word in words_of(text, model.language))
    suggestions: list[Suggestion] = []
    taken = set(names)
    for number in np.unique(found.labels):
        members = sorted(np.flatnonzero(found.labels == number), key=lambda i: -found.together[i])
        if len(members) < least:
            continue
        messages = tuple(said[i] for i in members)
        new = number >= len(names)
        intent = name_for([m.text for m in messages], everything, model.language, taken) if new else names[number]
        taken.add(intent)
        suggestions.append(Suggestion(intent, bool(new), messages, float(found.together[members].mean())))
    return sorted(suggestions, key=lambda one: (-one.times, one.intent))


def as_yaml(suggestions: Sequence[Suggestion]) -> str:
    """The new intents as training data, to be read over and put among the bot's own."""
    lines = ['version: "3.1"', "nlu:"]
    for one in suggestions:
        if one.new:
            lines += [f"- intent: {scalar(one.intent)}", "  examples:"]
            lines += [f"  - text: {scalar(message.text)}" for message in one.messages]
    return "\n".join(lines) + "\n"


def write_yaml(suggestions: Sequence[Suggestion], file: Path) -> None:
    """Write `as_yaml` to a file."""
    file.write_text(as_yaml(suggestions), encoding="utf-8")
