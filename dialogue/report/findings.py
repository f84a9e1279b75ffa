"""All that a report about one measurement says, worked out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dialogue.report.contributions import Contribution, contributions
from dialogue.report.labels import Suspect, Twins, left_out, repeated, suspects, twins
from dialogue.report.learning import Point, learning_curve
from dialogue.report.outcomes import Outcomes, outcomes_of
from dialogue.training.evaluate import Measurement


@dataclass(frozen=True, slots=True)
class Findings:
    """What was measured, and what was found in it.

    Attributes:
        name: of the bot.
        examples: how many it was trained on.
        outcomes: of the test messages.
        numbers: of `evaluate_nlu`.
        training: seconds by stage; `answering` median milliseconds by stage.
        contributions: of the encoders.
        suspects: examples whose label is doubted; `twins`: near duplicates of different intents.
        repeated: examples that say again what another of their intent says; `seen`: test messages among the examples.
        curve: the learning curve, empty where none was asked for.
    """

    name: str
    examples: int
    outcomes: Outcomes
    numbers: Mapping[str, Any]
    training: Mapping[str, float]
    answering: Mapping[str, float]
    contributions: Sequence[Contribution]
    suspects: Sequence[Suspect]
    twins: Sequence[Twins]
    repeated: int
    seen: int
    curve: Sequence[Point] = ()


def find(measured: Measurement, cache: Path, *, curve: bool = False) -> Findings:
    """Work everything out; the learning curve, which takes about one more training, only when asked for."""
    model, texts = measured.model, [example.text for example in measured.tested]
    again, seen = repeated(measured.taught, texts)
    return Findings(
        name=measured.config.name,
        examples=len(measured.taught),
        outcomes=outcomes_of(measured),
        numbers=measured.numbers,
        training=measured.training,
        answering=measured.answering,
        contributions=contributions(model, texts),
        suspects=suspects(left_out(model.head), model.meaning.classes, measured.taught),
        twins=twins(model.head, measured.taught),
        repeated=again,
        seen=seen,
        curve=learning_curve(measured, cache) if curve else (),
    )
