"""A sample of texts that is fair to every intent."""

from __future__ import annotations

import numpy as np

from dialogue.posterior.kernel import IntArray


def balanced_sample(labels: IntArray, rows: IntArray, most: int, seed: int) -> IntArray:
    """At most about `most` of `rows`, the same number of each intent as far as there are, two at least."""
    if len(rows) <= most:
        return rows
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(rows)
    order = np.argsort(labels[shuffled], kind="stable")
    grouped = shuffled[order]
    first = np.searchsorted(labels[grouped], labels[grouped], side="left")
    rank = np.arange(len(grouped)) - first
    each = max(2, most // len(np.unique(labels[rows])))
    return np.sort(grouped[rank < each])
