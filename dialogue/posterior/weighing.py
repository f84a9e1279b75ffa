"""How much each view is to be believed: type-II maximum a posteriori by leave-one-out.

The closed-form leave-one-out predictions of the process, put through the link, give each training text a probability
of its label by all the others; their mean log is the evidence that chooses the views' weights and slopes, the noise
and the link's power (Rasmussen & Williams 2006, section 5.4.2, with the log predictive probability of the class in
place of the density). It needs no held-out data, and a view that does not help ends with a weight near zero. A weak
log-normal prior carries the choice where there are few texts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from dialogue.posterior.descent import Adam
from dialogue.posterior.evidence import Theta, leave_one_out_loss
from dialogue.posterior.kernel import FloatArray, IntArray, MultiViewKernel, ViewKernel, Views, cosines, take
from dialogue.posterior.link import DEFAULT_POWER
from dialogue.posterior.neighbours import neighbourhoods, neighbours_loss
from dialogue.posterior.sample import balanced_sample

FEW_TEXTS = 1000  # up to so many that have another of their intent, those of a sample are left out of it exactly
FEWEST, MOST, SHARE = 600, 2000, 0.2  # of them are left out
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
        views: of N texts. A class-balanced sample is left out, text by text: a fifth of them, 600 at least, 2,000 at
            most. Up to a thousand the texts of the sample answer for one another, beyond the nearest of all for each.
        labels: [N].
        start: the prior's centre; also what is returned when no intent has two texts.
        seed: of the sample.

    Raises:
        FloatingPointError: if a view holds a NaN.
    """
    repeated = np.flatnonzero(np.bincount(labels)[labels] > 1)
    if len(repeated) < 4 or len(np.unique(labels[repeated])) < 2:
        return Weighed(normalised(start), DEFAULT_NOISE, float("nan"))
    most = min(MOST, max(FEWEST, int(SHARE * len(repeated))))
    rows = balanced_sample(labels, repeated, most, seed)
    ordered = {name: views[name] for name in start}
    if len(repeated) <= FEW_TEXTS:
        some = take(ordered, rows)
        cosine = np.stack([cosines(view, view) for view in some.values()])  # [V, n, n]
        _, y = np.unique(labels[rows], return_inverse=True)
        refuse_nan(cosine)
        return maximise(lambda theta: leave_one_out_loss(theta, cosine, y), len(rows), start)
    seen = neighbourhoods(ordered, labels, rows, normalised(start))
    refuse_nan(seen.cosine)
    return maximise(lambda theta: neighbours_loss(theta, seen), len(rows), start)


def refuse_nan(cosine: FloatArray) -> None:
    """Raises `FloatingPointError` where a number is not finite."""
    if not np.isfinite(cosine).all():
        raise FloatingPointError("a view of the training texts holds a number that is not finite")


def maximise(loss_of: Callable[[Theta], tuple[float, Theta]], texts: int, start: Mapping[str, ViewKernel]) -> Weighed:
    """Adam on the logarithms of weights, slopes, noise and power; the loss is a mean over so many texts."""
    v, parts = len(start), list(start.values())
    centre = np.log(
        [max(part.weight, SMALLEST_WEIGHT) for part in parts]
        + [part.slope for part in parts]
        + [DEFAULT_NOISE, DEFAULT_POWER]
    )
    theta = centre.copy()
    optimiser = Adam([theta])
    best, chosen, evidence = np.inf, centre, np.nan
    for _ in range(STEPS):
        loss, gradient = loss_of(theta)
        strayed = PRIOR_STRENGTH / texts * (theta - centre)
        total = loss + 0.5 * float(strayed @ (theta - centre))
        if total < best:
            best, chosen, evidence = total, theta.copy(), -loss
        optimiser.step([gradient + strayed], RATE)
    weights, slopes, noise = np.exp(chosen[:v]), np.exp(chosen[v : 2 * v]), np.exp(chosen[2 * v])
    found = {name: ViewKernel(float(w), float(g)) for name, w, g in zip(start, weights, slopes, strict=True)}
    return Weighed(normalised(found), float(noise), evidence)


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
