"""From latent functions to probabilities.

Regressed on targets 0 and 1 a latent function is itself an estimate of its intent's probability, so what turns K of
them into a distribution is their share: p_k is in proportion to softplus(f_k / knee)^power. The softplus keeps the
positive part and lets what lies a few knees below zero die out exponentially; the power sharpens. A softmax of the
latents looks at differences where this looks at ratios: it is too sure where one latent is large and too unsure where
all are small.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from dialogue.posterior.kernel import FloatArray, IntArray

DEFAULT_POWER, DEFAULT_KNEE = 3.4, 0.04
LOWEST = -15.0  # knees; below, the logarithm of the softplus is the latent itself
SMALLEST = np.float32(1e-30)
PRIOR_STRENGTH = 4.0  # texts that one standard deviation of the log-normal prior counts for


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


def fit_link(latent: FloatArray, labels: IntArray) -> Link:
    """The link of the highest log probability of the labels [N] of left-out latents [N, K], under a weak prior."""
    rows = np.arange(len(labels))
    middle = np.log([DEFAULT_POWER, DEFAULT_KNEE])

    def loss(theta: FloatArray) -> float:
        power, knee = np.exp(np.clip(theta, -6, 4))
        log_p = log_softmax(Link(power, knee).logits(latent), axis=1)[rows, labels]
        return PRIOR_STRENGTH * 0.5 * float(((theta - middle) ** 2).sum()) - float(log_p.sum(dtype=np.float64))

    found = minimize(loss, middle, method="Nelder-Mead", options={"xatol": 0.01, "fatol": 0.05, "maxfev": 80})
    power, knee = np.exp(np.clip(found.x, -6, 4))
    return Link(float(power), float(knee))
