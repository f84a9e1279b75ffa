"""Stochastic gradient descent on small batches: how a posterior is fitted that has no closed form."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from dialogue.posterior.kernel import FloatArray, IntArray

BATCH = 1024
BETAS = (0.9, 0.999)
EPSILON = 1e-8

Slope = Callable[[IntArray, float, np.random.Generator], Sequence[FloatArray]]


def descend(parameters: Sequence[FloatArray], slope: Slope, texts: int, steps: int, rate: float, seed: int) -> None:
    """Adam (Kingma & Ba 2015) against the gradients of a noisy loss; the rate falls to zero along half a cosine.

    Args:
        parameters: float32, changed in place.
        slope: the gradient by each of them: of a batch given by the numbers of its texts, of how many texts one of
            the batch stands for, and of a generator for noise.
        texts: how many there are, N. Up to `BATCH` of them are looked at in every step.
        steps: how many.
        rate: in the beginning.
        seed: of batches and noise.
    """
    rng = np.random.default_rng(seed)
    means = [np.zeros_like(p) for p in parameters]
    squares = [np.zeros_like(p) for p in parameters]
    for step in range(steps):
        rows = np.arange(texts) if texts <= BATCH else rng.permutation(texts)[:BATCH]
        here = np.float32(rate * 0.5 * (1 + math.cos(math.pi * step / steps)) / (1 - BETAS[0] ** (step + 1)))
        correction = np.float32(1 / (1 - BETAS[1] ** (step + 1)))
        gradients = slope(rows, texts / len(rows), rng)
        for p, gradient, mean, square in zip(parameters, gradients, means, squares, strict=True):
            mean += np.float32(1 - BETAS[0]) * (gradient - mean)
            square += np.float32(1 - BETAS[1]) * (gradient**2 - square)
            p -= here * mean / (np.sqrt(correction * square) + np.float32(EPSILON))
