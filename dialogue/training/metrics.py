"""Numbers that say how good a model is: numpy arrays in, plain floats out, None where nothing can be measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Spans: TypeAlias = frozenset[tuple[str, int, int]]
BINS = 15


def macro_f1(truth: Array, guess: Array) -> float:
    """Mean over the classes of `truth` and `guess` of the harmonic mean of precision and recall."""
    scores = []
    for label in np.union1d(truth, guess):
        hit = float(((truth == label) & (guess == label)).sum())
        both = float((truth == label).sum() + (guess == label).sum())
        scores.append(2 * hit / both)
    return float(np.mean(scores))


def report(truth: Sequence[str], guess: Sequence[str]) -> dict[str, Any]:
    """Rasa's evaluation of labels: weighted `precision` and `f1_score`, `accuracy`, and under `report` each label.

    A label has `precision`, `recall`, `f1-score`, `support`, and `confused_with`: the labels it was most taken for.
    """
    from sklearn.metrics import classification_report

    found: dict[str, Any] = classification_report(truth, guess, output_dict=True, zero_division=0)
    taken: dict[str, Counter[str]] = {}
    for meant, seen in zip(truth, guess, strict=True):
        if meant != seen:
            taken.setdefault(meant, Counter())[seen] += 1
    for label in set(truth):
        found[label]["confused_with"] = dict(taken.get(label, Counter()).most_common(3))
    right = sum(meant == seen for meant, seen in zip(truth, guess, strict=True))
    weighted = found["weighted avg"]
    return {
        "report": found,
        "precision": weighted["precision"],
        "f1_score": weighted["f1-score"],
        "accuracy": right / len(truth),
    }


def ece(confidence: Array, right: Array) -> float:
    """Expected calibration error (Guo et al. 2017): mean gap of confidence and accuracy over 15 equal bins."""
    bins = np.clip((confidence * BINS).astype(int), 0, BINS - 1)
    gaps = [
        abs(confidence[bins == b].mean() - right[bins == b].mean()) * (bins == b).mean()
        for b in range(BINS)
        if (bins == b).any()
    ]
    return float(sum(gaps))


def ranking(unknown_in: Array, unknown_out: Array) -> dict[str, float | None]:
    """How well P(unknown) tells out-of-scope (positive) from in-scope messages.

    AUROC and average precision; FPR95: the share of in-scope messages taken for unknown where 95 % of the others are.
    """
    if not len(unknown_out) or not len(unknown_in):
        return {"oos_auroc": None, "oos_aupr": None, "oos_fpr95": None}
    from sklearn.metrics import average_precision_score, roc_auc_score

    truth = np.concatenate([np.zeros(len(unknown_in)), np.ones(len(unknown_out))])
    score = np.concatenate([unknown_in, unknown_out])
    threshold = np.sort(unknown_out)[len(unknown_out) // 20]  # the highest that 95 % reach
    return {
        "oos_auroc": float(roc_auc_score(truth, score)),
        "oos_aupr": float(average_precision_score(truth, score)),
        "oos_fpr95": float((unknown_in >= threshold).mean()),
    }


def best_threshold(known: Array, right: Array, unknown: Array) -> float:
    """The score from which to answer with the highest mean of in-scope accuracy and out-of-scope recall.

    The highest such score: without out-of-scope scores it is the lowest of a right answer.
    """
    steps = np.unique(np.concatenate([known, unknown]))
    hits = np.sort(known[right])
    accuracy = (len(hits) - np.searchsorted(hits, steps, side="left")) / len(known)
    recall = np.searchsorted(np.sort(unknown), steps, side="left") / max(1, len(unknown))
    total = accuracy + recall
    return float(steps[np.flatnonzero(total == total.max())[-1]])


def threshold_for_error(score: Array, right: Array, most: float) -> float:
    """The lowest score from which answers err at most so often; above every score when there is none."""
    order = np.argsort(-score, kind="stable")
    falling = score[order]
    errors = np.cumsum(~right[order]) / np.arange(1, len(order) + 1)
    whole = np.append(falling[1:] < falling[:-1], True)  # equal scores are answered together or not at all
    fine = np.flatnonzero(whole & (errors <= most))
    return float(falling[fine[-1]]) if len(fine) else float("inf")


def aurc(score: Array, right: Array) -> float:
    """Area under the risk-coverage curve (Geifman and El-Yaniv 2017): mean error over all coverages."""
    wrong = ~right[np.argsort(-score, kind="stable")]
    return float((np.cumsum(wrong) / np.arange(1, len(wrong) + 1)).mean())


def percentiles(milliseconds: Sequence[float]) -> tuple[float, float]:
    """Median and 95th percentile."""
    return float(np.percentile(milliseconds, 50)), float(np.percentile(milliseconds, 95))


def span_f1(guessed: Sequence[Spans], truth: Sequence[Spans]) -> float | None:
    """Micro F1 of whole spans, as conlleval counts them: right when kind, start and end are; None without any span."""
    hits = sum(len(ours & theirs) for ours, theirs in zip(guessed, truth, strict=True))
    both = sum(map(len, guessed)) + sum(map(len, truth))
    return 2 * hits / both if both else None
