"""From latent functions to probabilities.

Regressed on targets 0 and 1 a latent function is itself an estimate of its intent's probability, so what turns K of
them into a distribution is their share: p_k is in proportion to softplus(f_k / knee)^power. The softplus keeps the
positive part and lets what lies a few knees below zero die out exponentially; the power sharpens. A softmax of the
latents looks at differences where this looks at ratios: it is too sure where one latent is large and too unsure where
all are small.

A link is fitted on texts that are left out, but serves a bot that has them all. Of an intent with n texts a left-out
text leaves n - 1: its own intent is weaker than it will be, the others are not, so left-out answers are more often
wrong and less sharp, the more so the fewer there are; of one example and a name only the name is left. So the link of
new messages is that of left-out texts with more power and a higher knee, and where few are left it is drawn towards
the default.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.special import log_softmax, softmax

from dialogue.posterior.kernel import FloatArray, IntArray

DEFAULT_POWER, DEFAULT_KNEE = 3.4, 0.04
LOWEST = -15.0  # knees; below, the logarithm of the softplus is the latent itself
SMALLEST = np.float32(1e-30)
PRIOR_STRENGTH = 4.0  # texts that one standard deviation of the log-normal prior counts for
# What the logarithms of power and knee gain on new messages for one text that is left, half as much for two. Measured
# on training and development texts of three sets, from one example an intent to ten: tests/bench/README.md.
GAIN = (0.6, 0.85)
DOUBT = 2.0  # texts that must be left for the fitted link to weigh as much as the default


@dataclass(frozen=True, slots=True)
class Link:
    """The power, and the knee in units of the latent functions."""

    power: float = DEFAULT_POWER
    knee: float = DEFAULT_KNEE

    def __call__(self, latent: FloatArray) -> FloatArray:
        """Probabilities [..., K] of latent functions [..., K]."""
        return softmax(self.logits(latent), axis=-1)  # type: ignore[no-any-return]

    def logits(self, latent: FloatArray) -> FloatArray:
        """Their logarithms up to a constant: power log softplus(latent / knee)."""
        x = latent / np.float32(self.knee)
        softplus = np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))
        return np.float32(self.power) * np.where(x < LOWEST, x, np.log(np.maximum(softplus, SMALLEST)))


@dataclass(frozen=True, slots=True)
class Links:
    """The link of texts that were left out, and that of new messages, for which every text is there."""

    left_out: Link = field(default_factory=Link)
    new: Link = field(default_factory=Link)


def fit_links(latent: FloatArray, labels: IntArray, left: IntArray) -> Links:
    """Both links by left-out latents.

    Args:
        latent: [N, K] of texts left out.
        labels: [N] their intents.
        left: [N] how many other texts their intents have, one at least.
    """
    fitted = fit_link(latent, labels)
    return Links(fitted, for_new_messages(fitted, float(np.mean(1 / left))))


def for_new_messages(fitted: Link, scarcity: float) -> Link:
    """The link of new messages by that of left-out texts, which left 1 / `scarcity` texts of an intent in the mean."""
    trust = 1 / (1 + (DOUBT * scarcity) ** 2)
    full = np.log([fitted.power, fitted.knee]) + scarcity * np.array(GAIN)
    power, knee = np.exp(trust * full + (1 - trust) * np.log([DEFAULT_POWER, DEFAULT_KNEE]))
    return Link(float(power), float(knee))


def fit_link(latent: FloatArray, labels: IntArray) -> Link:
    """The link of the highest log probability of the labels [N] of left-out latents [N, K], under a weak prior."""
    from scipy.optimize import minimize

    rows = np.arange(len(labels))
    middle = np.log([DEFAULT_POWER, DEFAULT_KNEE])

    def loss(theta: FloatArray) -> float:
        power, knee = np.exp(np.clip(theta, -6, 4))
        log_p = log_softmax(Link(power, knee).logits(latent), axis=1)[rows, labels]
        return PRIOR_STRENGTH * 0.5 * float(((theta - middle) ** 2).sum()) - float(log_p.sum(dtype=np.float64))

    found = minimize(loss, middle, method="Nelder-Mead", options={"xatol": 0.01, "fatol": 0.05, "maxfev": 80})
    power, knee = np.exp(np.clip(found.x, -6, 4))
    return Link(float(power), float(knee))
