"""The probability of "none of these".

Whole intents left out of the process are stand-ins for what the bot was never taught: their texts, seen by a process
that lacks the intent, are a sample of the unknown; the same texts with only themselves left out are a sample of the
known. Both come in closed form, so no out-of-scope message is needed. Two pieces of evidence tell them apart, the
highest latent mean and the covariance with the nearest training text; logistic regression turns them into log odds,
and the prior probability of the unknown is added.

Bots that learned from other examples differ in it, too, and more than the variance of the process says: whether a text
has a near neighbour is luck. Their log odds differ in proportion to the highest latent mean, on every set alike, and
less the more examples there are, as the root of the variance falls (`STRAY`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import expit, logit, ndtri

from dialogue.posterior.conjugate import spread_one
from dialogue.posterior.kernel import FloatArray, IntArray
from dialogue.posterior.process import Fit, Latent

# Where a bot is too small to fit its own: log odds at even prior as fitted on CLINC150's ten texts an intent.
DEFAULT_WEIGHTS = (7.0, -9.0, -6.0)
FEWEST_INTENTS = 4
PRIOR_STRENGTH = 0.05
# Deviation of the log odds between bots per highest latent mean and root of the variance: tests/bench/README.md.
STRAY = 4.0
TOGETHER = 0.75  # correlation between bots of "it is known" and "it is this intent", in log odds, by the same refits


@dataclass(frozen=True, slots=True)
class Unknown:
    """Log odds of the unknown at even prior: bias + weight . (highest latent mean, nearest covariance)."""

    weights: tuple[float, float, float]

    def __call__(self, latent: Latent, prior: float) -> FloatArray:
        """Probability [B] of none of the intents."""
        return expit(self.log_odds(latent, prior)).astype(np.float32)  # type: ignore[no-any-return]

    def draw(self, latent: Latent, prior: float, known: FloatArray) -> FloatArray:
        """Draws [S, B] of that probability, whose mean it is: what bots would say that learned from other examples.

        Their log odds are normal, by quantiles, and go along with the draws `known` [S, B, K] over intents: a bot that
        is surer of the intent is mostly surer that it is one. One sample is the probability itself.
        """
        p = self(latent, prior)
        if len(known) == 1:
            return p[None]
        highest = np.maximum(latent.mean.max(axis=1), 0)
        deviation = np.float32(STRAY) * highest * np.sqrt(latent.variance)  # [B]
        draws = spread_one(p, deviation, quantiles(len(known)))
        found: FloatArray = np.take_along_axis(draws, len(known) - 1 - ranks(known), axis=0)
        return found

    def at(self, mean: FloatArray, nearest: FloatArray, prior: float) -> FloatArray:
        """Probability [B] of none of the intents from latent means [B, K] and nearest covariances [B]."""
        return expit(features(mean, nearest) @ np.array(self.weights) + logit(prior))  # type: ignore[no-any-return]

    def log_odds(self, latent: Latent, prior: float) -> FloatArray:
        """Log odds [B] of none of the intents."""
        evidence = features(latent.mean, latent.rows.max(axis=1))
        return evidence @ np.array(self.weights) + logit(prior)  # type: ignore[no-any-return]


@lru_cache(maxsize=8)
def quantiles(samples: int) -> FloatArray:
    """Standard normal numbers [S] in rising order, as many below as above."""
    return ndtri((np.arange(samples) + 0.5) / samples).astype(np.float32)  # type: ignore[no-any-return]


def ranks(known: FloatArray) -> IntArray:
    """Places [S, B] for draws that go with those of the best intent of `known` [S, B, K], by Iman and Conover 1982.

    ("A distribution-free approach to inducing rank correlation among input variables".) Highest where that is highest,
    up to noise, the same on every call.
    """
    samples = len(known)
    z = quantiles(samples)
    best = np.take_along_axis(known, known.mean(axis=0).argmax(axis=1)[None, :, None], axis=2)[:, :, 0]  # [S, B]
    return ranked(TOGETHER * z[ranked(best)] + np.sqrt(1 - TOGETHER**2) * shuffled_quantiles(samples)[:, None])


@lru_cache(maxsize=8)
def shuffled_quantiles(samples: int) -> FloatArray:
    """`quantiles` in an order of no meaning, always the same."""
    return quantiles(samples)[np.random.default_rng(samples).permutation(samples)]


def ranked(values: FloatArray) -> IntArray:
    """The place of each value in its column [S, B], from 0 on."""
    found = np.empty(values.shape, np.int64)
    np.put_along_axis(found, values.argsort(axis=0, kind="stable"), np.arange(len(values))[:, None], axis=0)
    return found


def features(mean: FloatArray, nearest: FloatArray) -> FloatArray:
    """[B, 3]: one, the highest latent mean, the covariance with the nearest training text."""
    return np.stack([np.ones(len(mean)), mean.max(axis=1), nearest], axis=1)


def fit_unknown(fit: Fit) -> Unknown:
    """Logistic regression of left-out intents against left-out examples, pulled towards the default weights.

    Neither evidence may ever speak for the unknown: more alike is never less known.
    """
    from scipy.optimize import minimize

    labels: IntArray = fit.process.labels
    known = np.bincount(labels)[labels] > 1  # an example alone in its intent is left out as unknown already
    if len(np.unique(labels[known])) < FEWEST_INTENTS:
        return Unknown(DEFAULT_WEIGHTS)
    x = np.concatenate(
        [
            features(fit.example_out.mean[known], fit.example_out.nearest[known]),
            features(fit.intent_out.mean, fit.intent_out.nearest),
        ]
    )
    sign = np.concatenate([np.ones(known.sum()), -np.ones(len(labels))])  # +1 known
    weight = np.where(sign > 0, 0.5 / known.sum(), 0.5 / len(labels)) * len(labels)
    centre = np.array(DEFAULT_WEIGHTS)

    def loss(w: FloatArray) -> tuple[float, FloatArray]:
        margin = sign * (x @ w)
        value = float((weight * np.logaddexp(0, margin)).sum())
        gradient = x.T @ (weight * sign * expit(margin))
        pull = w - centre
        return value + 0.5 * PRIOR_STRENGTH * float(pull @ pull), gradient + PRIOR_STRENGTH * pull

    found = minimize(loss, centre, jac=True, method="L-BFGS-B", bounds=((None, None), (None, 0), (None, 0)))
    return Unknown((float(found.x[0]), float(found.x[1]), float(found.x[2])))
