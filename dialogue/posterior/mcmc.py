"""Markov chain Monte Carlo over the last layer.

`hmc` is Hamiltonian Monte Carlo (Neal 2011, "MCMC using Hamiltonian Dynamics"): exact up to the length of the chains.
The weights are whitened by the Kronecker factors of the Laplace approximation, W = U (S * Z) V^T with S the deviations
along the eigenvectors, so that the target is nearly a standard normal in Z and few leapfrog steps turn a chain around.
The step size is tuned in the beginning by dual averaging towards four proposals accepted in five (Hoffman & Gelman
2014, section 3.2).

`sghmc` looks at a small batch in every step (Chen et al. 2014, "Stochastic Gradient Hamiltonian Monte Carlo"): it
costs no more with more texts, and its step leaves a bias that no acceptance test takes away.

Either way four chains start from draws of the Laplace approximation, twice as wide. Split R-hat and the effective
sample size of the log posterior and of logits of the training texts are in `notes`: R-hat above 1.05 says that the
chains were too short.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from typing_extensions import Self

from dialogue.posterior.diagnostics import effective_sample_size, split_r_hat
from dialogue.posterior.ensemble import Draws
from dialogue.posterior.kernel import FloatArray
from dialogue.posterior.laplace import kronecker
from dialogue.posterior.last_layer import Arrays, LastLayer, Lesson
from dialogue.posterior.softmax_map import cross_entropy

Sampler: TypeAlias = Literal["hmc", "sghmc"]
Gradient: TypeAlias = Callable[[FloatArray], tuple[float, FloatArray]]

CHAINS = 4
WARM_UP, KEPT = 60, 40  # iterations of a chain
MOST_DRAWS = 64  # whose weights are kept
PATH = 1.5  # length of a trajectory; a quarter turn of a standard normal
MOST_LEAPS = 32
TARGET = 0.8
WATCHED = 32  # logits that the diagnostics look at
BATCH, SHORT_STEP, FRICTION, STRIDE = 512, 0.05, 0.1, 20


@dataclass(frozen=True, slots=True)
class Chains:
    """Draws of the weights with their diagnostics: `figures` [3], the worst R-hat, the least ESS, the rate accepted."""

    draws: Draws
    figures: FloatArray

    def logits(self, features: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Centre [B, K] and deviations [S, B, K] of the logits for features [B, M]."""
        return self.draws.logits(features)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All of it, by name."""
        return {**self.draws.arrays(), "figures": self.figures}

    @classmethod
    def of(cls, arrays: Arrays) -> Self:
        """What `arrays` gave."""
        return cls(Draws.of(arrays), arrays["figures"])

    def notes(self) -> dict[str, float]:
        """The diagnostics."""
        names = ("r_hat", "effective_sample_size", "accepted")
        return {**self.draws.notes(), **dict(zip(names, (float(x) for x in self.figures), strict=True))}


@dataclass(frozen=True, slots=True)
class Target:
    """The posterior in whitened coordinates: W = U (`deviation` * Z) V^T, features along U [N, M], V [K, K]."""

    x: FloatArray
    labels: NDArray[np.int64]
    outputs: FloatArray
    deviation: FloatArray
    precision: float

    def energy(self, z: FloatArray) -> tuple[float, FloatArray]:
        """Negative log posterior of Z [M, K] up to a constant, nats, and its gradient."""
        scaled: FloatArray = self.deviation * z
        logits: FloatArray = self.x @ (scaled @ self.outputs.T)
        loss, residual = cross_entropy(logits, self.labels)
        gradient = self.x.T @ residual @ self.outputs + np.float32(self.precision) * scaled
        prior = 0.5 * self.precision * float((scaled**2).sum(dtype=np.float64))
        return loss + prior, self.deviation * gradient

    def batch_gradient(self, z: FloatArray, rows: NDArray[np.int64]) -> FloatArray:
        """An unbiased estimate of that gradient from some texts."""
        scaled: FloatArray = self.deviation * z
        logits: FloatArray = self.x[rows] @ (scaled @ self.outputs.T)
        _, residual = cross_entropy(logits, self.labels[rows])
        share = np.float32(len(self.x) / len(rows))
        gradient = share * (self.x[rows].T @ residual @ self.outputs) + np.float32(self.precision) * scaled
        return self.deviation * gradient


class McmcPosterior(LastLayer[Chains]):
    """See the module."""

    file = "mcmc.safetensors"
    kind = Chains

    def __init__(self, sampler: Sampler = "hmc") -> None:
        self.sampler = sampler

    def approximate(self, lesson: Lesson, *, samples: int, seed: int) -> Chains:
        """Run the chains; keep S draws, spread evenly over them, at most 64."""
        regression = lesson.regression
        p = softmax(lesson.features @ lesson.weights, axis=1)
        outputs, variances = kronecker(regression, p, lesson.precision)
        target = Target(regression.rotated, lesson.labels, outputs, np.sqrt(variances), lesson.precision)
        start = np.matmul(regression.vectors.T @ lesson.weights, outputs) / target.deviation
        runs = [self.chain(target, start, seed + 1000 * c) for c in range(CHAINS)]
        count = min(samples, MOST_DRAWS)
        chosen = {divmod(int(i), KEPT) for i in np.linspace(0, CHAINS * KEPT - 1, count)}
        watched = np.random.default_rng(seed).integers(0, (len(lesson.labels), lesson.classes), (WATCHED, 2))
        quantities = np.empty((1 + WATCHED, CHAINS, KEPT))
        kept, accepted = [], []
        for c, run in enumerate(runs):
            for t, (z, energy, rate) in enumerate(run):
                weights = target.deviation * z @ outputs.T  # [M, K], along U
                quantities[0, c, t] = energy
                quantities[1:, c, t] = [target.x[n] @ weights[:, k] for n, k in watched]
                accepted.append(rate)
                if (c, t) in chosen:
                    kept.append(regression.vectors @ weights)
        r_hat = max(split_r_hat(q) for q in quantities)
        size = min(effective_sample_size(q) for q in quantities)
        figures = np.array([r_hat, size, np.mean(accepted)], np.float32)
        return Chains(Draws(np.stack(kept, axis=1).astype(np.float32)), figures)

    def chain(self, target: Target, start: FloatArray, seed: int) -> Iterator[tuple[FloatArray, float, float]]:
        """One chain: positions Z, energies, rates of acceptance."""
        rng = np.random.default_rng(seed)
        z = (start + 2 * rng.standard_normal(start.shape)).astype(np.float32)
        if self.sampler == "hmc":
            return hamiltonian(target.energy, z, WARM_UP, KEPT, rng)
        return stochastic(target, z, WARM_UP, KEPT, rng)


def hamiltonian(
    energy: Gradient, z: FloatArray, warm_up: int, kept: int, rng: np.random.Generator
) -> Iterator[tuple[FloatArray, float, float]]:
    """HMC from Z [...] on: after `warm_up` iterations `kept` positions with energy and probability of acceptance."""
    step = Step(0.5 * z.size**-0.25)
    here, slope = energy(z)
    for t in range(warm_up + kept):
        size = np.float32(step.size * rng.uniform(0.9, 1.1))
        momentum = rng.standard_normal(z.shape).astype(np.float32)
        before = here + 0.5 * float((momentum**2).sum(dtype=np.float64))
        new, there, gradient = z, here, slope
        for _ in range(min(MOST_LEAPS, max(1, int(np.ceil(PATH / size))))):
            momentum -= 0.5 * size * gradient
            new = new + size * momentum
            there, gradient = energy(new)
            momentum -= 0.5 * size * gradient
        after = there + 0.5 * float((momentum**2).sum(dtype=np.float64))
        rate = float(np.exp(min(0.0, before - after))) if np.isfinite(after) else 0.0
        if rng.random() < rate:
            z, here, slope = new, there, gradient
        if t < warm_up:
            step.adapt(rate)
            if t == warm_up - 1:
                step.settle()
        else:
            yield z, here, rate


class Step:
    """The leapfrog's step size, by dual averaging (Hoffman & Gelman 2014, algorithm 5)."""

    def __init__(self, size: float) -> None:
        self.size = size
        self._aim, self._error, self._mean, self._count = np.log(10 * size), 0.0, 0.0, 0

    def adapt(self, rate: float) -> None:
        """Take in how probable the last proposal was to be accepted."""
        self._count += 1
        t = self._count
        self._error += (TARGET - rate - self._error) / (t + 10)
        log_size = self._aim - np.sqrt(t) / 0.05 * self._error
        self._mean += t**-0.75 * (log_size - self._mean)
        self.size = float(np.exp(log_size))

    def settle(self) -> None:
        """From here on the average of the sizes tried."""
        self.size = float(np.exp(self._mean))


def stochastic(
    target: Target, z: FloatArray, warm_up: int, kept: int, rng: np.random.Generator
) -> Iterator[tuple[FloatArray, float, float]]:
    """SGHMC: every `STRIDE` small steps one position, as `hamiltonian` gives them; nothing is ever rejected."""
    n = len(target.x)
    velocity = np.zeros_like(z)
    noise = np.float32(np.sqrt(2 * FRICTION) * SHORT_STEP)
    for t in range(warm_up + kept):
        for _ in range(STRIDE):
            rows = np.arange(n) if n <= BATCH else rng.choice(n, BATCH, replace=False)
            gradient = target.batch_gradient(z, rows)
            random = rng.standard_normal(z.shape).astype(np.float32)
            velocity = (1 - np.float32(FRICTION)) * velocity - np.float32(SHORT_STEP**2) * gradient + noise * random
            z = z + velocity
        if t >= warm_up:
            yield z, target.energy(z)[0], 1.0
