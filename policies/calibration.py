"""How sharp and how doubtful the learned policy may be: cross-validated over stories.

The stories are dealt into folds. For each fold a net and a last layer learn from the others; what they give to the
stories of the fold is what the policy gives to conversations that no story has. Half of the weight is on those, half
on the stories they learned from, since a conversation may be either; to listen is left out, it is nearly always plain.
Of a small grid the tuning with the highest mean log probability is taken; the grid is a prior, for a handful of stories
would recommend to be all too sure. What a story does that has an action or
intent no other story has cannot be known: there `ELSEWHERE` is right.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from policies.episodes import UNASKED, Batch, Material, as_written, situations
from policies.history import LISTEN
from policies.last_layer import LastLayer, Observed, Tuning, fit
from policies.moves import Numbers
from policies.situations import Floats

NOISES, SHARPNESSES, DOUBTS = (0.03, 0.1), (0.8, 1.0, 1.25), (0.5, 1.0, 2.0, 4.0, 8.0)
MOST_SITUATIONS = 150  # in each of both halves, of each fold
EVERY = 4  # of the draws one in so many is enough to compare tunings


@dataclass(frozen=True, slots=True)
class View:
    """How a net sees situations: the features of a batch, and what its last layer observes."""

    features: Callable[[Batch], Floats]
    observed: Observed


def calibrate(folds: Sequence[tuple[View, Material, Material]], seed: int) -> Tuning:
    """The best tuning for (view, what it learned from, what was held out); the default without folds."""
    rng = np.random.default_rng(seed)
    halves = [(view, [_asked(view, part, known, rng) for part in (known, held)]) for view, known, held in folds]
    if not halves:
        return Tuning()
    best = max(product(NOISES, SHARPNESSES, DOUBTS), key=lambda numbers: _score(halves, Tuning(*numbers)))
    return Tuning(*best)


def _score(halves: Sequence[tuple[View, list[tuple[Floats, Numbers]]]], tuning: Tuning) -> float:
    total = 0.0
    for view, parts in halves:
        layer = fit(view.observed, tuning)
        layer = replace(layer, draws=layer.draws[::EVERY])
        total += sum(_log_probability(layer, phi, labels) for phi, labels in parts if len(labels))
    return total


def _log_probability(layer: LastLayer, phi: Floats, labels: Numbers) -> float:
    shares = layer.sample(phi).mean(axis=-2)  # [N, C]
    return float(np.log(np.maximum(shares[np.arange(len(labels)), labels], 1e-9)).mean())


def _asked(view: View, part: Material, known: Material, rng: np.random.Generator) -> tuple[Floats, Numbers]:
    """Phi [N, F] and right classes [N] of the situations to be judged, at most so many."""
    batch = as_written(part)
    targets = np.where(_unheard_of(part, batch, known), len(known.classes) - 1, batch.targets)
    rows, places = np.nonzero((targets != UNASKED) & (targets != part.classes.index(LISTEN)))
    if len(rows) > MOST_SITUATIONS:
        chosen = np.sort(rng.choice(len(rows), MOST_SITUATIONS, replace=False))
        rows, places = rows[chosen], places[chosen]
    features = view.features(batch)[rows, places]
    observed = view.observed
    layer = LastLayer(Tuning(), observed.waves, observed.phases, *[np.zeros((0, 0), np.float32)] * 3)
    return layer.phi(features, situations(part, batch)[rows, places]), targets[rows, places]


def _unheard_of(part: Material, batch: Batch, known: Material) -> NDArray[np.bool_]:
    """Where something is asked that no known story could tell: an intent, or action, that none has [B, L]."""
    said = {int(known.table.intents[row]) for episode in known.episodes for row in episode.moves}
    done = np.unique(np.concatenate([episode.targets for episode in known.episodes]))
    strange = np.zeros(batch.targets.shape, bool)
    for number, episode in enumerate(part.episodes):
        new = [bool(part.table.users[row]) and int(part.table.intents[row]) not in said for row in episode.moves]
        strange[number, : len(new)] = np.maximum.accumulate(new)
    found: NDArray[np.bool_] = (batch.targets != UNASKED) & (strange | ~np.isin(batch.targets, done))
    return found
