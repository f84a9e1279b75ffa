"""Which intents are taken for which, the worst first, with the messages."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from dialogue.report.outcomes import Ints, Outcomes


@dataclass(frozen=True, slots=True)
class Confusion:
    """Messages of one intent taken for another: `rows` of them, the surest first, of `of` messages of the intent."""

    truth: str
    guess: str
    rows: tuple[int, ...]
    of: int


def confusions(outcomes: Outcomes) -> list[Confusion]:
    """Every pair of intents that were confused: the most messages first, then the larger share of the intent."""
    found: dict[tuple[str, str], list[int]] = {}
    for row, (truth, guess) in enumerate(zip(outcomes.truth, outcomes.guess, strict=True)):
        if truth is not None and truth != guess:
            found.setdefault((truth, guess), []).append(row)
    asked = Counter(outcomes.truth)
    pairs = [
        Confusion(truth, guess, tuple(sorted(rows, key=lambda row: -outcomes.confidence[row])), asked[truth])
        for (truth, guess), rows in found.items()
    ]
    return sorted(pairs, key=lambda pair: (-len(pair.rows), pair.of, pair.truth, pair.guess))


def mistaken(outcomes: Outcomes) -> list[int]:
    """Messages out of scope that were taken for an intent, the surest first; not those seen to be out of scope."""
    rows = np.flatnonzero(~outcomes.known & ~outcomes.right)
    return [int(row) for row in rows[np.argsort(-outcomes.confidence[rows], kind="stable")]]


def matrix(outcomes: Outcomes, pairs: list[Confusion], most: int) -> tuple[list[str], Ints, Ints]:
    """The confusion matrix of the intents in the worst pairs.

    Returns:
        At most so many names [n], the counts [n, n] of messages by truth and guess, and all messages of each truth [n].
    """
    names = list(dict.fromkeys(name for pair in pairs for name in (pair.truth, pair.guess)))[:most]
    place = {name: i for i, name in enumerate(names)}
    counts = np.zeros((len(names), len(names)), np.int64)
    for truth, guess in zip(outcomes.truth, outcomes.guess, strict=True):
        if truth in place and guess in place:
            counts[place[truth], place[guess]] += 1
    asked = Counter(outcomes.truth)
    return names, counts, np.array([asked[name] for name in names], np.int64)
