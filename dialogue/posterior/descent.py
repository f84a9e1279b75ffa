"""Stochastic gradient descent on small batches: how a posterior is fitted that has no closed form."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dialogue.posterior.kernel import FloatArray, IntArray

BATCH = 1024
BETAS = (0.9, 0.999)
EPSILON = 1e-8

Slope = Callable[[IntArray, float, np.random.Generator], Sequence[FloatArray]]


class Adam:
    """Moves parameters, in place, against their gradients (Kingma & Ba 2015, "Adam")."""

    def __init__(self, parameters: Sequence[NDArray[Any]]) -> None:
        self._parameters = parameters
        self._means = [np.zeros_like(p) for p in parameters]
        self._squares = [np.zeros_like(p) for p in parameters]
        self._steps = 0

    def step(self, gradients: Sequence[NDArray[Any]], rate: float) -> None:
        """One update of every parameter."""
        self._steps += 1
        rate /= 1 - BETAS[0] ** self._steps
        correction = 1 / (1 - BETAS[1] ** self._steps)
        for p, gradient, mean, square in zip(self._parameters, gradients, self._means, self._squares, strict=True):
            mean += (1 - BETAS[0]) * (gradient - mean)
            square += (1 - BETAS[1]) * (np.square(gradient) - square)
            p -= rate * mean / (np.sqrt(correction * square) + EPSILON)


def descend(parameters: Sequence[FloatArray], slope: Slope, texts: int, steps: int, rate: float, seed: int) -> None:
    """Adam against the gradients of a noisy loss; the rate falls to zero along half a cosine.

    Args:
        parameters: changed in place.
        slope: the gradient by each of them: of a batch given by the numbers of its texts, of how many texts one of
            the batch stands for, and of a generator for noise.
        texts: how many there are, N. Up to `BATCH` of them are looked at in every step.
        steps: how many.
        rate: in the beginning.
        seed: of batches and noise.
    """
    rng, optimiser = np.random.default_rng(seed), Adam(parameters)
    for step in range(steps):
        rows = np.arange(texts) if texts <= BATCH else rng.permutation(texts)[:BATCH]
        gradients = slope(rows, texts / len(rows), rng)
        optimiser.step(gradients, rate * 0.5 * (1 + math.cos(math.pi * step / steps)))
