"""A space in which every intent is a round cloud of one size, learned from the intents the bot has.

The two-covariance model (Ioffe 2006, "Probabilistic Linear Discriminant Analysis"): a text is the mean of its intent
plus what tells wordings of one intent apart. The second covariance, W, is seen within the bot's own intents, and the
bot's messages as a whole show the sum of both. In the generalised eigenvectors of the two, W is the identity and the
covariance of means is diagonal; directions in which means hardly differ are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh
from scipy.sparse import issparse

from dialogue.learning.mixture import Floats, Ints, Known
from dialogue.posterior.kernel import MultiViewKernel, View

WIDEST = 48  # principal components looked at
SHRINKAGE = 0.2  # least, of W towards a sphere; all of it where there are far fewer texts than directions
LEAST_SPREAD = 1.0  # variance of means, in units of that within, below which a direction tells nothing
FALLBACK_RATIO = 4.0  # of the two variances, where no intent has two texts


@dataclass(frozen=True, slots=True)
class Space:
    """Texts as points: `points` of the new messages [N, D], `spread` [D] of means, `known` the bot's own clusters."""

    points: Floats
    spread: Floats
    known: Known


def dense(views: Mapping[str, View], kernel: MultiViewKernel) -> Floats:
    """Texts as rows [N, D]: their dense views side by side, each as large as its share in the kernel."""
    parts = [
        np.sqrt(kernel.parts[name].weight * kernel.parts[name].slope) * np.asarray(view, np.float64)
        for name, view in views.items()
        if not issparse(view) and kernel.parts[name].weight > 0
    ]
    if not parts:
        raise ValueError("no encoder of this bot gives dense vectors, which clustering needs")
    return np.concatenate(parts, axis=1)


def space_of(taught: Floats, labels: Ints, messages: Floats) -> Space:
    """The space of a bot's taught texts [M, D] with labels [M] in 0..K-1, and of new messages [N, D]."""
    both = np.concatenate([taught, messages])
    centre = both.mean(axis=0)
    _, values, directions = np.linalg.svd(both - centre, full_matrices=False)
    directions = directions[: min(WIDEST, int((values > 1e-6 * values[0]).sum()))].T
    x, u = (taught - centre) @ directions, (messages - centre) @ directions
    total = np.cov(np.concatenate([x, u]).T, bias=True).reshape(directions.shape[1], -1)
    inside = within(x, labels, total)
    spread, basis = eigh(total - inside, inside)
    kept = np.flatnonzero(spread > LEAST_SPREAD)[::-1]
    if not len(kept):
        kept = np.array([len(spread) - 1])
    x, u = x @ basis[:, kept], u @ basis[:, kept]
    classes = int(labels.max(initial=-1)) + 1
    sums = np.zeros((classes, len(kept)))
    np.add.at(sums, labels, x)
    known = Known(sums, np.bincount(labels, minlength=classes).astype(np.int64))
    return Space(u, np.maximum(spread[kept], LEAST_SPREAD), known)


def within(x: Floats, labels: Ints, total: Floats) -> Floats:
    """The covariance within intents [D, D], shrunk; where no intent has two texts, a share of the total's."""
    sizes = np.bincount(labels)
    means = np.zeros((len(sizes), x.shape[1]))
    np.add.at(means, labels, x)
    rest = x - (means / np.maximum(sizes, 1)[:, None])[labels]
    freedom = int((sizes - 1).clip(0).sum())
    scale = float(np.trace(total)) / len(total)
    if freedom == 0:
        return np.eye(len(total)) * scale / (1 + FALLBACK_RATIO)
    found = rest.T @ rest / freedom
    sphere = np.eye(len(found)) * np.trace(found) / len(found)
    share = SHRINKAGE + (1 - SHRINKAGE) * len(found) / (len(found) + freedom)
    shrunk: Floats = (1 - share) * found + share * sphere
    return shrunk
