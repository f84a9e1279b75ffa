"""Stochastic-gradient Hamiltonian Monte Carlo: it finds a Gaussian whose mean and covariance are known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from dialogue.posterior.cyclical import Cycles, sample

CHAINS = 4000
MEAN = np.array([1.0, -2.0, 0.5], np.float32)
ROOT = np.array([[1.0, 0.0, 0.0], [0.6, 0.5, 0.0], [-0.3, 0.2, 0.8]], np.float32)
COVARIANCE = ROOT @ ROOT.T
PRECISION: Any = np.linalg.inv(COVARIANCE).astype(np.float32)


def last(steps: Iterator[tuple[int, bool]]) -> None:
    for _ in steps:
        pass


def close(z: Any, temperature: float = 1.0) -> None:
    """Mean and covariance within four standard errors of as many independent draws, and a hundredth for the steps."""
    error = np.sqrt(temperature * COVARIANCE.diagonal() / len(z))
    assert (np.abs(z.mean(axis=0) - MEAN) < 4 * error).all()
    variances = np.outer(COVARIANCE.diagonal(), COVARIANCE.diagonal())
    of_covariance = np.sqrt((variances + COVARIANCE**2) / len(z))
    assert (np.abs(np.cov(z.T) / temperature - COVARIANCE) < 4 * of_covariance + 0.01).all()


@pytest.mark.parametrize("temperature", [1.0, 0.25])
def test_many_chains_side_by_side_end_as_draws_of_a_gaussian(temperature: float) -> None:
    z = np.zeros((CHAINS, 3), np.float32)
    cycles = Cycles(1, 800, temperature=temperature)
    last(sample([z], lambda: [(z - MEAN) @ PRECISION], [1.0], cycles, np.random.default_rng(0)))
    close(z, temperature)


def test_gradients_of_batches_do_as_well() -> None:
    z, noise = np.zeros((CHAINS, 3), np.float32), np.random.default_rng(1)

    def slope() -> list[Any]:
        return [(z - MEAN) @ PRECISION + noise.standard_normal(z.shape, np.float32)]

    last(sample([z], slope, [1.0], Cycles(1, 800, peak=0.1), np.random.default_rng(0)))
    assert np.abs(z.mean(axis=0) - MEAN).max() < 0.1
    assert np.abs(np.cov(z.T) - COVARIANCE).max() < 0.25


def test_scales_are_a_change_of_coordinates() -> None:
    """A wide and a narrow parameter in two arrays, each in its own units, are sampled like two of the same width."""
    wide, narrow = np.zeros((CHAINS, 1), np.float32), np.zeros((CHAINS, 1), np.float32)
    cycles = Cycles(1, 400)
    last(sample([wide, narrow], lambda: [wide / 100, narrow * 100], [10.0, 0.1], cycles, np.random.default_rng(0)))
    assert wide.std() == pytest.approx(10, rel=0.06)
    assert narrow.std() == pytest.approx(0.1, rel=0.06)


def test_draws_of_one_chain_s_cycles_are_of_the_same_gaussian() -> None:
    z, drawn = np.zeros((400, 3), np.float32), []
    for number, _ in enumerate(sample([z], lambda: [(z - MEAN) @ PRECISION], [1.0], Cycles(10, 800), rng()), start=1):
        if number % 800 == 0:
            drawn.append(z.copy())
    close(np.concatenate(drawn))


@pytest.mark.parametrize(
    ("options", "left", "variance"),
    [({}, 0.26, 1.05), ({"peak": 0.2, "friction": 0.1, "exploration": 0.5}, 0.0, 0.039)],
)
def test_eighteen_steps_are_enough_if_they_are_large(options: dict[str, float], left: float, variance: float) -> None:
    """In a standard normal, from 3 on; smaller steps end where exploration did."""
    z = np.full((CHAINS, 2), 3.0, np.float32)
    last(sample([z], lambda: [z], [1.0], Cycles(1, 18, **options), rng()))  # type: ignore[arg-type]
    assert np.abs(z.mean(axis=0) - left).max() < 0.1
    assert z.var(axis=0) == pytest.approx([variance] * 2, rel=0.1)


def test_exploration_goes_to_the_mode_without_noise() -> None:
    z = np.zeros(3, np.float32)
    told = list(sample([z], lambda: [PRECISION @ (z - MEAN)], [1.0], Cycles(2, 200, exploration=1.0), rng()))
    assert told == [(0, False)] * 200 + [(1, False)] * 200
    assert np.allclose(z, MEAN, atol=1e-3)


def test_what_is_past_exploration_is_told() -> None:
    z = np.zeros(1, np.float32)
    told = [sampling for _, sampling in sample([z], lambda: [z], [1.0], Cycles(1, 8, exploration=0.25), rng())]
    assert told == [False] * 2 + [True] * 6


def test_the_seed_decides() -> None:
    found = []
    for seed in (0, 0, 1):
        z = np.zeros(3, np.float32)
        last(sample([z], lambda z=z: [z], [1.0], Cycles(2, 10), np.random.default_rng(seed)))  # type: ignore[misc]
        found.append(z)
    assert np.array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])


def rng() -> np.random.Generator:
    return np.random.default_rng(0)
