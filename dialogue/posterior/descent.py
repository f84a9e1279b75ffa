"""Stochastic gradient descent on small batches: how a posterior is fitted that has no closed form."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from encoders.adamw import AdamW

BATCH = 1024


def descend(
    parameters: Sequence[Tensor],
    loss: Callable[[Tensor, Tensor], Tensor],
    texts: int,
    steps: int,
    rate: float,
    seed: int,
) -> None:
    """Move parameters against the gradients of a noisy loss; the rate falls to zero along half a cosine.

    Args:
        parameters: leaves that require gradients, changed in place.
        loss: of a batch: numbers of its texts, and noise's own generator is torch's.
        texts: how many there are, N. Up to `BATCH` of them are looked at in every step.
        steps: how many.
        rate: of Adam, in the beginning.
        seed: of batches and noise. The caller's random state is left alone.
    """
    optimiser = AdamW(parameters, rate)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for step in range(steps):
            rows = torch.arange(texts) if texts <= BATCH else torch.randperm(texts)[:BATCH]
            optimiser.rate = rate * 0.5 * (1 + math.cos(math.pi * step / steps))
            optimiser.zero_grad()
            loss(rows, torch.tensor(texts / len(rows))).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
