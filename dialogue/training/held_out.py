"""How the bot does on messages it did not learn from: what a gate that promises something is set by."""

from __future__ import annotations

from pathlib import Path

from dialogue.model import Model
from dialogue.training.tables import read_examples
from policies.types import HeldOut


def held_out(model: Model, file: Path | None) -> HeldOut:
    """The messages of a file as the model answers them; without one its own examples, each left out in closed form.

    A message whose label the model does not know is out of scope: whatever it is answered is wrong.

    Raises:
        ProjectError: if the file cannot be read.
    """
    if file is None:
        scores = model.head.left_out
        return HeldOut(tuple(scores.known.tolist()), tuple(scores.right.tolist()))
    examples = read_examples(file)
    pairs = [(model.parse(example.text).answer, example.intent) for example in examples]
    return HeldOut(
        tuple(0.0 if answer is None else answer.mean for answer, _ in pairs),
        tuple(answer is not None and answer.name == intent for answer, intent in pairs),
    )
