"""What became of each test message: all that the charts draw, and what two measurements are compared by."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dialogue.errors import ProjectError, Where, error
from dialogue.training.evaluate import Measurement

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

KEYS = ("text", "intent", "guess", "right", "confidence", "lower", "upper", "none", "sure", "likely")


@dataclass(frozen=True, slots=True)
class Outcomes:
    """N messages and what a model made of them.

    Attributes:
        texts: [N].
        truth: [N] the intent of each, None for out of scope.
        guess: [N] the most probable intent.
        right: [N] whether that is the intent; out of scope, whether it is the intent `out_of_scope`.
        confidence, lower, upper: [N] its posterior mean and credible interval.
        none: [N] probability that the message is not the bot's business.
        sure: [N] probability of the guess given that it is one of the intents.
        likely: [N] probability of the truth given the same; NaN out of scope.
    """

    texts: tuple[str, ...]
    truth: tuple[str | None, ...]
    guess: tuple[str, ...]
    right: Bools
    confidence: Floats
    lower: Floats
    upper: Floats
    none: Floats
    sure: Floats
    likely: Floats

    @property
    def known(self) -> Bools:
        """Which messages are in scope: [N]."""
        return np.array([name is not None for name in self.truth], bool)


def outcomes_of(measured: Measurement) -> Outcomes:
    """What a measurement says of each message."""
    scored, classes = measured.scored, measured.model.meaning.classes
    p, truth = scored.predictive, scored.truth
    rows, guess = np.arange(len(truth)), p.known.argmax(axis=1)
    return Outcomes(
        texts=tuple(example.text for example in measured.tested),
        truth=tuple(classes[i] if i >= 0 else None for i in truth),
        guess=tuple(classes[i] for i in guess),
        right=np.where(scored.known, guess == truth, guess == scored.elsewhere),
        confidence=p.mean[rows, guess].astype(float),
        lower=p.lower[rows, guess].astype(float),
        upper=p.upper[rows, guess].astype(float),
        none=scored.none.astype(float),
        sure=p.known[rows, guess].astype(float),
        likely=np.where(scored.known, p.known[rows, truth], np.nan).astype(float),
    )


def as_rows(outcomes: Outcomes) -> list[dict[str, Any]]:
    """A mapping a message, ready for JSON."""
    columns = zip(
        outcomes.texts,
        outcomes.truth,
        outcomes.guess,
        outcomes.right.tolist(),
        *(getattr(outcomes, name).tolist() for name in KEYS[4:-1]),
        [None if np.isnan(p) else p for p in outcomes.likely.tolist()],
        strict=True,
    )
    return [dict(zip(KEYS, row, strict=True)) for row in columns]


def from_rows(rows: Sequence[Mapping[str, Any]]) -> Outcomes:
    """What `as_rows` gave. Raises `KeyError`, `TypeError` or `ValueError` when it is not that."""
    numbers = {name: np.array([row[name] for row in rows], float) for name in KEYS[4:]}  # None becomes NaN
    outcomes = Outcomes(
        texts=tuple(str(row["text"]) for row in rows),
        truth=tuple(row["intent"] for row in rows),
        guess=tuple(str(row["guess"]) for row in rows),
        right=np.array([row["right"] for row in rows], bool),
        **numbers,
    )
    missing = [name for name in KEYS[4:-1] if not np.isfinite(numbers[name]).all()]
    if missing or not np.isfinite(outcomes.likely[outcomes.known]).all():
        raise ValueError(f"{', '.join(missing) or 'likely'}: a number is missing")
    return outcomes


def read_result(file: Path) -> Outcomes:
    """The messages of a result that `starfold test nlu --json` wrote.

    Raises:
        ProjectError: if the file is not one.
    """
    try:
        rows = json.loads(file.read_text("utf-8"))["messages"]
        outcomes = from_rows(rows)
    except (OSError, KeyError, TypeError, ValueError) as cause:
        message = f"expected a result of `starfold test nlu --json`: {cause if str(cause) else type(cause).__name__}"
        raise ProjectError([error(Where(str(file)), message)]) from cause
    if not outcomes.known.any():
        raise ProjectError([error(Where(str(file)), "no message is in scope")])
    return outcomes
