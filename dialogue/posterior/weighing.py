"""How much each view is to be believed: type-II maximum a posteriori by leave-one-out.

The closed-form leave-one-out predictions of the process, put through the link, give each training text a probability
of its label by all the others; their mean log is the evidence that chooses the views' weights and slopes, the noise
and the link's power (Rasmussen & Williams 2006, section 5.4.2, with the log predictive probability of the class in
place of the density). It needs no held-out data, and a view that does not help ends with a weight near zero. A weak
log-normal prior carries the choice where there are few texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dialogue.posterior.kernel import IntArray, MultiViewKernel, ViewKernel, Views, cosines, take
from dialogue.posterior.link import DEFAULT_KNEE, DEFAULT_POWER, LOWEST
from dialogue.posterior.sample import balanced_sample
from encoders.adamw import AdamW

FEW_TEXTS, MOST_TEXTS, SHARE = 600, 2000, 0.2
STEPS = 25
RATE = 0.25
PRIOR_STRENGTH = 4.0  # texts that one standard deviation of the log-normal prior counts for
DEFAULT_NOISE = 0.1
SMALLEST_WEIGHT = 1e-3


@dataclass(frozen=True, slots=True)
class Weighed:
    """What the evidence chose: the kernel, the noise variance of a label, the leave-one-out evidence in nats a text."""

    kernel: MultiViewKernel
    noise: float
    evidence: float


def weigh(views: Views, labels: IntArray, start: Mapping[str, ViewKernel], *, seed: int) -> Weighed:
    """Choose weights, slopes and noise.

    Args:
        views: of N texts; of more than 600 a class-balanced sample is looked at: a fifth, 600 at least, 2,000 at most.
            With thousands of texts the best kernel is steeper and trusts the labels more than a few would tell.
        labels: [N].
        start: the prior's centre; also what is returned when no intent has two texts.
        seed: of the sample.

    Raises:
        FloatingPointError: if a view holds a NaN.
    """
    repeated = np.flatnonzero(np.bincount(labels)[labels] > 1)
    if len(repeated) < 4 or len(np.unique(labels[repeated])) < 2:
        return Weighed(normalised(start), DEFAULT_NOISE, float("nan"))
    most = min(MOST_TEXTS, max(FEW_TEXTS, int(SHARE * len(repeated))))
    rows = balanced_sample(labels, repeated, most, seed)
    some = take(views, rows)
    _, y = np.unique(labels[rows], return_inverse=True)
    names = list(start)
    cosine = torch.stack([torch.from_numpy(cosines(some[name], some[name])) for name in names])  # [V, n, n]
    if not torch.isfinite(cosine).all():
        raise FloatingPointError("a view of the training texts holds a number that is not finite")
    with torch.random.fork_rng(devices=[]):
        return maximise(cosine, torch.from_numpy(y), names, start)


def maximise(cosine: Tensor, y: Tensor, names: list[str], start: Mapping[str, ViewKernel]) -> Weighed:
    """Adam on the logarithms of weights, slopes, noise and power."""
    n = len(y)
    centre = torch.log(
        torch.tensor(
            [max(start[name].weight, SMALLEST_WEIGHT) for name in names]
            + [start[name].slope for name in names]
            + [DEFAULT_NOISE, DEFAULT_POWER]
        )
    )
    theta = centre.clone().requires_grad_(True)
    optimiser = AdamW([theta], RATE)
    best, chosen = float("inf"), centre
    for _ in range(STEPS):
        loss = leave_one_out_loss(theta, cosine, y)
        total = loss + PRIOR_STRENGTH / n * 0.5 * ((theta - centre) ** 2).sum()
        if float(total.detach()) < best:
            best, chosen, evidence = float(total.detach()), theta.detach().clone(), -float(loss.detach())
        optimiser.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    v = len(names)
    weights, slopes = torch.exp(chosen[:v]), torch.exp(chosen[v : 2 * v])
    parts = {name: ViewKernel(float(w), float(g)) for name, w, g in zip(names, weights, slopes, strict=True)}
    return Weighed(normalised(parts), float(torch.exp(chosen[2 * v])), evidence)


def leave_one_out_loss(theta: Tensor, cosine: Tensor, y: Tensor) -> Tensor:
    """Mean negative log probability, in nats, of each label by the other texts."""
    v, n = cosine.shape[:2]
    weights, slopes = torch.softmax(theta[:v], 0), torch.exp(theta[v : 2 * v])
    noise, power = torch.exp(theta[2 * v]), torch.exp(theta[2 * v + 1])
    k = (weights[:, None, None] * torch.exp(slopes[:, None, None] * (cosine - 1))).sum(0)  # [n, n]
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(k + noise * torch.eye(n)))
    targets = torch.nn.functional.one_hot(y).float()  # [n, K]
    left_out = targets - (inverse @ targets) / inverse.diagonal()[:, None]  # [n, K]
    share = torch.nn.functional.softplus((left_out / DEFAULT_KNEE).clamp(min=LOWEST))
    return torch.nn.functional.cross_entropy(power * torch.log(share), y)


def normalised(parts: Mapping[str, ViewKernel]) -> MultiViewKernel:
    """The kernel with weights that sum to 1; a weight below a thousandth of the whole is zero, and costs nothing."""
    total = sum(part.weight for part in parts.values())
    kept = {name: p for name, p in parts.items() if p.weight / total >= SMALLEST_WEIGHT}
    total = sum(part.weight for part in kept.values())
    return MultiViewKernel(
        {
            name: ViewKernel(kept[name].weight / total if name in kept else 0.0, part.slope)
            for name, part in parts.items()
        }
    )
