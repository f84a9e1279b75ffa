"""From draws to numbers: mean, credible interval, entropy and mutual information."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.special import expit, logit

from dialogue.posterior.base import BLOCK, Predictive
from dialogue.posterior.kernel import FloatArray, Views, count, take

TINY = 1e-12
REFIT = np.sqrt(2)


def in_blocks(
    views: Views,
    predict: Callable[[Views, FloatArray | None], Predictive],
    keep_draws: bool,
    lean: FloatArray | None = None,
) -> Predictive:
    """The posterior predictive of B texts, some at a time, each with its rows of `lean` [B, K]."""
    blocks = [slice(i, i + BLOCK) for i in range(0, max(count(views), 1), BLOCK)]
    found = (predict(take(views, rows), None if lean is None else lean[rows]) for rows in blocks)
    parts = [part if keep_draws else replace(part, draws=part.draws[:0]) for part in found]
    joined = {
        name: np.concatenate([getattr(part, name) for part in parts], axis=1 if name == "draws" else 0)
        for name in Predictive.__slots__
    }
    return Predictive(**joined)


def predictive(
    known: FloatArray, unknown: FloatArray, interval: float | None, lean: FloatArray | None = None
) -> Predictive:
    """Mean, interval, entropy and mutual information.

    Args:
        known: draws [S, B, K] of the intents' probabilities given that it is one of them.
        unknown: draws [S, B] of the probability that it is none.
        interval: probability that the credible interval covers; None where nobody asks for one.
        lean: [B, K] nats that other evidence adds to each intent, in every draw.
    """
    if lean is not None:
        known = known * np.exp(lean - lean.max(axis=1, keepdims=True))
        known /= np.maximum(known.sum(axis=2, keepdims=True), TINY)
    draws = (1 - unknown[:, :, None]) * known
    mean, none = draws.mean(axis=0), unknown.mean(axis=0)
    lower, upper = (mean, mean) if interval is None else bounds(draws, interval)
    whole = entropy(mean) + entropy(none[:, None])
    each = (entropy(draws) + entropy(unknown[:, :, None])).mean(axis=0)
    return Predictive(
        mean=mean,
        lower=lower,
        upper=upper,
        known=known.mean(axis=0),
        draws=draws,
        unknown=none,
        entropy=np.maximum(whole, 0),
        mutual_information=np.maximum(whole - each, 0),
    )


def bounds(draws: FloatArray, interval: float) -> tuple[FloatArray, FloatArray]:
    """The credible interval around the mean of draws [S, ...] of a probability.

    It is as wide, in log odds, as the central interval of the draws, times the root of two: it promises to hold what a
    bot trained on as many other examples would say, and that one strays as far as this one has. The mean lies in it.
    """
    if len(draws) == 1:
        return draws[0], draws[0]
    mean, ordered = draws.mean(axis=0), np.sort(draws, axis=0)
    low, half, high = (quantile(ordered, share) for share in ((1 - interval) / 2, 0.5, (1 + interval) / 2))
    odds, middle, centre = (log_odds(x) for x in (np.stack([low, high]), half, mean))
    lower, upper = expit(centre + REFIT * (odds - middle)).astype(np.float32)
    return np.minimum(lower, mean), np.maximum(upper, mean)


def log_odds(p: FloatArray) -> FloatArray:
    """Of probabilities, as far as double precision tells them from 0 and 1."""
    return logit(np.clip(p.astype(np.float64), TINY, 1 - TINY))  # type: ignore[no-any-return]


def quantile(ordered: FloatArray, share: float) -> FloatArray:
    """The value below which that share of the first axis of sorted values [S, ...] lies, between two of them linear."""
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + np.float32(place - below) * (ordered[above] - ordered[below])  # type: ignore[no-any-return]


def entropy(p: FloatArray) -> FloatArray:
    """-sum p log p over the last axis, nats; the probabilities need not sum to 1."""
    return -np.einsum("...k,...k->...", p, np.log(p + TINY))  # type: ignore[no-any-return]
