"""Stochastic-gradient Hamiltonian Monte Carlo with a cyclical step size.

Positions z and momenta m of an energy U follow (Chen et al. 2014, "Stochastic Gradient Hamiltonian Monte Carlo")

    m <- (1 - f) m - s grad U(z) + sqrt(2 f T) noise,    z <- z + s m,

whose stationary distribution nears exp(-U / T) as the step s gets small; the gradient may be that of a small batch.
In every cycle the step falls from its peak to zero along half a cosine (Zhang et al. 2020, arXiv:1902.03932): first
large steps without noise go down into a mode, then noise is added, and what is reached at the end, where the step and
with it its bias is gone, is a draw. Coordinates are in units of the deviations that parameters are expected to have.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dialogue.posterior.kernel import FloatArray


@dataclass(frozen=True, slots=True)
class Cycles:
    """So many cycles of so many steps.

    Attributes:
        count: cycles.
        steps: of each.
        peak: step size that a cycle begins with; steps diverge beyond about 1.8 over the root of the largest curvature.
        friction: f, share of the momentum lost in a step.
        temperature: T; 1 is the posterior as it is, below it is colder.
        exploration: share of a cycle before noise is added.
    """

    count: int
    steps: int
    peak: float = 0.6
    friction: float = 0.3
    temperature: float = 1.0
    exploration: float = 0.25


def sample(
    parameters: Sequence[FloatArray],
    slope: Callable[[], Sequence[FloatArray]],
    scales: Sequence[float],
    cycles: Cycles,
    rng: np.random.Generator,
) -> Iterator[tuple[int, bool]]:
    """Move parameters in place; after each step tell the number of its cycle, and whether it is past exploration.

    Args:
        parameters: any arrays, where the first cycle starts.
        slope: the gradient of U by each of them where they are now, or an estimate without bias.
        scales: the deviation that each one's entries are expected to have.
        cycles: how many and how.
        rng: of the noise.
    """
    momenta = [np.zeros_like(p) for p in parameters]
    kept, noise = np.float32(1 - cycles.friction), np.float32(math.sqrt(2 * cycles.friction * cycles.temperature))
    for cycle in range(cycles.count):
        for done in range(cycles.steps):
            step = cycles.peak * 0.5 * (1 + math.cos(math.pi * done / cycles.steps))
            sampling = done >= cycles.exploration * cycles.steps
            for p, m, scale, gradient in zip(parameters, momenta, scales, slope(), strict=True):
                m *= kept
                m -= np.float32(step * scale) * gradient
                if sampling:
                    m += noise * rng.standard_normal(m.shape, np.float32)
                p += np.float32(step * scale) * m
            yield cycle, sampling
