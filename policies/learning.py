"""What the learned policy learns from stories: a net, over it a Bayesian last layer; and habits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from policies.episodes import UNASKED, Material, as_written, material, situations, varied
from policies.habits import habits
from policies.last_layer import Observed, fit, observe
from policies.learned import Learned
from policies.situations import Floats
from policies.transformer_forward import features
from policies.transformer_training import Shape, train
from policies.types import Story

COPIES = 3  # varied copies of each episode that the last layer observes beside the episode itself


def learn(stories: Sequence[Story], max_history: int, shape: Shape, seed: int) -> Learned:
    """Learn from stories that are `learnable`, at least one."""
    data = material(stories, max_history)
    weights = train(data, shape, seed)
    return Learned(data.words, data.classes, weights, fit(observed(data, weights, seed)), habits(stories))


def observed(data: Material, weights: Mapping[str, Floats], seed: int) -> Observed:
    """What the last layer sees by the net: each episode, some variations of it, and what no story has."""
    rng = np.random.default_rng(seed)
    batches = [as_written(data), *(varied(data, data.episodes, rng) for _ in range(COPIES))]
    parts = []
    for batch in batches:
        asked = batch.targets != UNASKED
        shares = np.zeros((int(asked.sum()), len(data.classes)), np.float32)
        shares[np.arange(len(shares)), batch.targets[asked]] = batch.sure[asked]
        shares[:, -1] += 1 - batch.sure[asked]
        counts = np.broadcast_to(batch.weights[:, None], asked.shape)[asked] / len(batches)
        found = features(weights, batch.tokens, batch.states)[asked]
        parts.append((found, situations(data, batch)[asked], shares, counts))
    found, places, shares, counts = (np.concatenate(part) for part in zip(*parts, strict=True))
    return observe(found, places, shares, counts, seed=seed)
