"""The learning curve: how the share that is right grows with the examples, and whether more of them would pay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dialogue.report.outcomes import Ints
from dialogue.training.evaluate import Measurement, corpus_of, score
from dialogue.training.trainer import train_model
from dialogue.training.types import Example

SHARES = (0.125, 0.25, 0.5)  # together less than one more training


@dataclass(frozen=True, slots=True)
class Point:
    """So many examples, and how many of the messages in scope are right after them."""

    examples: int
    right: int
    of: int


def learning_curve(measured: Measurement, cache: Path) -> list[Point]:
    """Train on an eighth, a quarter and half of the examples, each part of the next, and ask the same messages.

    Every intent keeps one example at least, so in a small set two parts may be the same. `cache` is the folder of
    features of the first training.
    """
    config = measured.config.model_copy(update={"cache": str(cache)})
    known = measured.scored.known
    inside = [example for example, asked in zip(measured.tested, known, strict=True) if asked]
    parts = {len(rows): rows for rows in (part(measured.taught, share, config.seed) for share in SHARES)}
    parts.pop(len(measured.taught), None)
    points: list[Point] = []
    for size, rows in parts.items():
        model = train_model(config, corpus_of([measured.taught[i] for i in rows]))
        points.append(Point(size, int(score(model, inside, cache).right.sum()), len(inside)))
    whole = int(measured.scored.right[known].sum())
    return [*points, Point(len(measured.taught), whole, len(inside))]


def part(examples: Sequence[Example], share: float, seed: int) -> Ints:
    """Rows of so large a share of each intent's examples, one at least; those of a smaller share are among them."""
    order = np.random.default_rng(seed).permutation(len(examples))
    by_intent: dict[str, list[int]] = {}
    for row in order:
        by_intent.setdefault(examples[row].intent, []).append(int(row))
    kept = [row for rows in by_intent.values() for row in rows[: max(1, round(share * len(rows)))]]
    return np.array(sorted(kept), np.int64)
