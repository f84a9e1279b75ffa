"""The measures a report states and compares: of outcomes and the rows that count, with repetitions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from dialogue.report.intervals import bootstrap
from dialogue.report.outcomes import Ints, Outcomes
from dialogue.training import metrics

SMALLEST = 1e-12


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure: what people call it, what it says, and whether more is better. `of` gives NaN where there is none."""

    title: str
    told: str
    rising: bool
    of: Callable[[Outcomes, Ints], float]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and its interval."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Difference:
    """A measure of two models on the same messages, and of their difference, second less first, with its interval."""

    first: float
    second: float
    difference: Estimate


def accuracy(outcomes: Outcomes, rows: Ints) -> float:
    """Share of in-scope messages taken for what they are."""
    return float(outcomes.right[rows][outcomes.known[rows]].mean())


def nll(outcomes: Outcomes, rows: Ints) -> float:
    """Mean negative log probability of the true intent, in nats a message in scope."""
    return float(-np.log(outcomes.likely[rows][outcomes.known[rows]] + SMALLEST).mean())


def ece(outcomes: Outcomes, rows: Ints) -> float:
    """Expected calibration error of the messages in scope."""
    inside = rows[outcomes.known[rows]]
    return metrics.ece(outcomes.sure[inside], outcomes.right[inside])


def aurc(outcomes: Outcomes, rows: Ints) -> float:
    """Mean error over all shares of messages that could be answered."""
    return metrics.aurc(outcomes.confidence[rows], outcomes.right[rows])


def auroc(outcomes: Outcomes, rows: Ints) -> float:
    """How often a message out of scope looks more like it than one in scope (Mann and Whitney 1947)."""
    inside, none = outcomes.known[rows], outcomes.none[rows]
    low, high = np.sort(none[inside]), none[~inside]
    if not len(low) or not len(high):
        return float("nan")
    below = np.searchsorted(low, high, side="left") + np.searchsorted(low, high, side="right")
    return float(below.mean() / 2 / len(low))


MEASURES: Mapping[str, Measure] = MappingProxyType(
    {
        "accuracy": Measure("Accuracy", "in scope, taken for what they are", True, accuracy),
        "nll": Measure("Negative log likelihood", "nats a message in scope", False, nll),
        "ece": Measure("Calibration error", "in scope, 15 bins", False, ece),
        "aurc": Measure("Area under risk-coverage", "mean error over all shares answered", False, aurc),
        "oos_auroc": Measure("Out-of-scope AUROC", "told apart from in scope", True, auroc),
    }
)


def estimate(outcomes: Outcomes, measure: Measure) -> Estimate:
    """A measure on all messages, with its bootstrap interval; NaN where it has no value."""
    value = measure.of(outcomes, np.arange(len(outcomes.truth)))
    if np.isnan(value):
        return Estimate(value, value, value)
    return Estimate(value, *bootstrap(lambda rows: measure.of(outcomes, rows), outcomes.known))


def differences(first: Outcomes, second: Outcomes) -> dict[str, Difference]:
    """Every measure of two models on the same messages, those that have a value, with the paired interval."""
    everything = np.arange(len(first.truth))
    found = {}
    for name, measure in MEASURES.items():
        a, b = measure.of(first, everything), measure.of(second, everything)
        if not np.isnan(a):
            low, high = bootstrap(lambda rows, m=measure: m.of(second, rows) - m.of(first, rows), first.known)  # type: ignore[misc]
            found[name] = Difference(a, b, Estimate(b - a, low, high))
    return found
