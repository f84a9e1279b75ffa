"""Whether chains have found the posterior, and how much their draws are worth."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def split_r_hat(chains: Array) -> float:
    """Split potential scale reduction of one quantity: chains [C, T] of T >= 4 draws each.

    The chains are cut in halves; the root of their pooled variance over the mean variance within them, 1 where all
    halves look alike (Gelman et al. 2013, "Bayesian Data Analysis", section 11.4). Constant chains have 1.
    """
    halves = split(chains)
    within, pooled = variances(halves)
    return float(np.sqrt(pooled / within)) if within > 0 else (1.0 if pooled == 0 else float("inf"))


def effective_sample_size(chains: Array) -> float:
    """How many independent draws the chains [C, T] are worth, one quantity.

    Autocorrelations are summed in pairs, over the split chains, as long as the pairs are positive and fall (Geyer 1992;
    Vehtari et al. 2021, "Rank-Normalization, Folding, and Localization: An Improved R-hat", section 3).
    """
    halves = split(chains)
    count, length = halves.shape
    within, pooled = variances(halves)
    if pooled == 0:
        return float(count * length)
    centred = halves - halves.mean(axis=1, keepdims=True)
    spectrum = np.fft.rfft(centred, 2 * length, axis=1)
    covariance = np.fft.irfft(np.abs(spectrum) ** 2, axis=1)[:, :length].mean(axis=0) / length
    rho = 1 - (within - covariance * length / (length - 1)) / pooled
    total, lowest = 0.0, np.inf
    for t in range(0, length - 1, 2):
        pair = 1.0 + rho[1] if t == 0 else rho[t] + rho[t + 1]
        if pair <= 0:
            break
        lowest = min(lowest, float(pair))
        total += lowest
    tau = max(2 * total - 1, 1 / np.log10(count * length))
    return float(count * length / tau)


def split(chains: Array) -> Array:
    """Halves [2 C, T // 2] of chains [C, T], float64. Raises `ValueError` when a half has fewer than two draws."""
    half = chains.shape[1] // 2
    if half < 2:
        raise ValueError(f"chains of {chains.shape[1]} draws cannot be split; 4 are needed")
    return np.concatenate([chains[:, :half], chains[:, chains.shape[1] - half :]]).astype(np.float64)


def variances(halves: Array) -> tuple[float, float]:
    """The mean variance within chains [C, T], and the variance of all of them pooled."""
    length = halves.shape[1]
    within = float(halves.var(axis=1, ddof=1).mean())
    between = float(halves.mean(axis=1).var(ddof=1))
    return within, (length - 1) / length * within + between
