"""AdamW (Loshchilov & Hutter 2019, "Decoupled Weight Decay Regularization", arXiv:1711.05101) by torch's own function.

The class `torch.optim.AdamW` does the same. But its first step imports torch's compiler, which takes 1.7 s and 90 MB:
as much as all else that a small bot needs to start training.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.optim.adamw import adamw

BETAS = (0.9, 0.999)
EPSILON = 1e-8


class AdamW:
    """Moves parameters against their gradients.

    Args:
        parameters: float32; those that have no gradient at a step stay as they are.
        rate: learning rate; may be set anew before each step.
        weight_decay: share of `rate` by which a parameter shrinks a step; 0 makes it plain Adam.
    """

    def __init__(self, parameters: Iterable[Tensor], rate: float, weight_decay: float = 0.0) -> None:
        self.parameters = list(parameters)
        self.rate, self.weight_decay = rate, weight_decay
        self._means = [torch.zeros_like(p) for p in self.parameters]
        self._squares = [torch.zeros_like(p) for p in self.parameters]
        self._steps = [torch.zeros(()) for _ in self.parameters]

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for p in self.parameters:
            p.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """One update of every parameter that has a gradient."""
        at = [i for i, p in enumerate(self.parameters) if p.grad is not None]
        adamw(
            [self.parameters[i] for i in at],
            [g for i in at if (g := self.parameters[i].grad) is not None],
            [self._means[i] for i in at],
            [self._squares[i] for i in at],
            [],
            [self._steps[i] for i in at],
            fused=True,
            amsgrad=False,
            beta1=BETAS[0],
            beta2=BETAS[1],
            lr=self.rate,
            weight_decay=self.weight_decay,
            eps=EPSILON,
            maximize=False,
        )
