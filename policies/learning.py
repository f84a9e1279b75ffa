"""What the learned policy learns from stories: a net, over it a last layer, calibrated on others; and habits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from policies.calibration import View, calibrate
from policies.episodes import UNASKED, Batch, Material, as_written, material, situations, varied
from policies.habits import habits
from policies.last_layer import fit, observe
from policies.learned import Learned
from policies.situations import Floats
from policies.transformer_forward import features
from policies.transformer_training import Shape, train
from policies.types import Story

FOLDS = 3
COPIES = 3  # varied copies of each episode that the last layer observes beside the episode itself


def learn(stories: Sequence[Story], max_history: int, shape: Shape, seed: int) -> Learned:
    """Learn from stories that are `learnable`, at least one."""
    data = material(stories, max_history)
    count = min(FOLDS, len(stories)) if len(stories) > 1 else 0
    folds = []
    for fold in range(count):
        parts = [
            [story for number, story in enumerate(stories) if (number % count == fold) is out] for out in (False, True)
        ]
        known, held = (material(part, max_history, data.words) for part in parts)
        folds.append((_view(known, train(known, shape, seed + 1 + fold), seed), known, held))
    weights = train(data, shape, seed)
    layer = fit(_view(data, weights, seed).observed, calibrate(folds, seed))
    return Learned(data.words, data.classes, weights, layer, habits(stories))


def _view(data: Material, weights: Mapping[str, Floats], seed: int) -> View:
    """How a net sees the material it was trained on: each episode, some variations of it, and what no story has."""

    def see(batch: Batch) -> Floats:
        return features(weights, batch.tokens, batch.states)

    rng = np.random.default_rng(seed)
    batches = [as_written(data), *(varied(data, data.episodes, rng) for _ in range(COPIES))]
    parts = []
    for batch in batches:
        asked = batch.targets != UNASKED
        shares = np.zeros((int(asked.sum()), len(data.classes)), np.float32)
        shares[np.arange(len(shares)), batch.targets[asked]] = batch.sure[asked]
        shares[:, -1] += 1 - batch.sure[asked]
        counts = np.broadcast_to(batch.weights[:, None], asked.shape)[asked] / len(batches)
        parts.append((see(batch)[asked], situations(data, batch)[asked], shares, counts))
    found, places, shares, counts = (np.concatenate(part) for part in zip(*parts, strict=True))
    return View(see, observe(found, places, shares, counts, seed=seed))
