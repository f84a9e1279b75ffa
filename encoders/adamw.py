"""AdamW (Loshchilov & Hutter 2019, "Decoupled Weight Decay Regularization", arXiv:1711.05101, algorithm 2).

`torch.optim` has the same. But its first step imports torch's compiler, which takes 1.7 s and 90 MB: as much as all
else that a small bot needs to start training.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

BETAS = (0.9, 0.999)
EPSILON = 1e-8


class AdamW:
    """Moves parameters against their gradients.

    Args:
        parameters: those that have no gradient at a step stay as they are.
        rate: learning rate; may be set anew before each step.
        weight_decay: share of `rate` by which a parameter shrinks a step; 0 makes it plain Adam.
    """

    def __init__(self, parameters: Iterable[Tensor], rate: float, weight_decay: float = 0.0) -> None:
        self.parameters = list(parameters)
        self.rate, self.weight_decay = rate, weight_decay
        self._mean = [torch.zeros_like(p) for p in self.parameters]
        self._square = [torch.zeros_like(p) for p in self.parameters]
        self._steps = [0] * len(self.parameters)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for p in self.parameters:
            p.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """One update of every parameter that has a gradient."""
        for i, p in enumerate(self.parameters):
            if p.grad is None:
                continue
            self._steps[i] += 1
            mean, square = self._mean[i], self._square[i]
            mean.lerp_(p.grad, 1 - BETAS[0])
            square.mul_(BETAS[1]).addcmul_(p.grad, p.grad, value=1 - BETAS[1])
            first, second = (1 - beta ** self._steps[i] for beta in BETAS)
            p.mul_(1 - self.rate * self.weight_decay)
            p.addcdiv_(mean, (square / second).sqrt_().add_(EPSILON), value=-self.rate / first)
