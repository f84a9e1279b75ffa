"""A Bayesian last layer in closed form: how sure the learned policy is of what a story would do.

Each class has a score f = w·phi with the prior w ~ N(0, I). Of a situation in which the class is right with the
probability q, the score log(1 + q / LEAST), from 0 to 1 in units of log(1 + 1 / LEAST), is observed with Gaussian noise
(Bishop 2006, "Pattern Recognition and Machine Learning", section 3.3; the logarithm as in Milios et al. 2018,
"Dirichlet-based Gaussian Processes for Large-scale Calibrated Classification"). So the posterior is Gaussian and all
classes share one covariance. phi is the net's features beside random Fourier features of the raw situation (Rahimi and
Recht 2007, "Random Features for Large-Scale Kernel Machines"), each of length 1: a net may see a new situation as an
old one, but the second half then lies where nothing was observed, and the variance stays. The predictive is softmax(f)
averaged over draws of f. `NOISE` and `DOUBT` were chosen on stories of public projects, left out of what was learned;
to choose them for each bot by cross-validation was no better, and cost three quarters of the training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from policies.situations import Floats

WAVES = 128  # random Fourier features
SCALE = 0.8  # length scale of their kernel; two intents are sqrt(2) apart
DRAWS = 128
LEAST = 5e-4  # probability that stands for none
NOISE, DOUBT = 0.03, 0.5  # variance of an observed score; factor on the variances of what is predicted
UNIT = float(np.log1p(1 / LEAST))


@dataclass(frozen=True, slots=True)
class LastLayer:
    """The posterior of all scores.

    Attributes:
        waves, phases: of the random Fourier features [situation_width, WAVES], [WAVES].
        mean: of the weights [F, C].
        covariance: of one class's weights [F, F].
        draws: standard normal numbers [DRAWS, C], so that the same situation always gets the same answer.
    """

    waves: Floats
    phases: Floats
    mean: Floats
    covariance: Floats
    draws: Floats

    def phi(self, features: Floats, situations: Floats) -> Floats:
        """Features [..., D] and situations [..., W] as [..., F]."""
        return _phi(features, situations, self.waves, self.phases)

    def sample(self, phi: Floats) -> Floats:
        """Draws of the class probabilities [..., DRAWS, C] for features [..., F]."""
        score = phi @ self.mean  # [..., C]
        variance = np.maximum(((phi @ self.covariance) * phi).sum(axis=-1), 0) * DOUBT  # [...]
        spread = np.sqrt(variance)[..., None, None] * self.draws  # [..., DRAWS, C]
        exponent = (score[..., None, :] + spread) * np.float32(UNIT)
        odds = np.exp(exponent - exponent.max(axis=-1, keepdims=True))
        shares: Floats = odds / odds.sum(axis=-1, keepdims=True)
        return shares

    def arrays(self) -> dict[str, Floats]:
        """What is learned, by name."""
        return {name: getattr(self, name) for name in ("waves", "phases", "mean", "covariance", "draws")}

    @classmethod
    def of(cls, arrays: Mapping[str, Floats]) -> LastLayer:
        """From what `arrays` gave. Raises `KeyError` when one is missing."""
        return cls(*(arrays[name] for name in ("waves", "phases", "mean", "covariance", "draws")))


@dataclass(frozen=True, slots=True)
class Observed:
    """What the last layer learns from, as sums: phi'phi [F, F] and phi'scores [F, C]."""

    squares: NDArray[np.float64]
    products: NDArray[np.float64]
    waves: Floats
    phases: Floats
    seed: int


def observe(features: Floats, situations: Floats, shares: Floats, counts: Floats, *, seed: int) -> Observed:
    """Observations of N situations.

    Args:
        features: [N, D].
        situations: [N, W].
        shares: probability that each class is right [N, C].
        counts: how much each of them counts [N].
        seed: of waves and draws.
    """
    rng = np.random.default_rng(seed)
    waves = (rng.standard_normal((situations.shape[-1], WAVES)) / SCALE).astype(np.float32)
    phases = rng.uniform(0, 2 * np.pi, WAVES).astype(np.float32)
    phi = _phi(features, situations, waves, phases).astype(np.float64)
    scores = np.log1p(shares / LEAST) / UNIT
    counted = phi.T * counts
    return Observed(counted @ phi, counted @ scores, waves, phases, seed)


def fit(seen: Observed) -> LastLayer:
    """The posterior after the observations."""
    covariance = np.linalg.inv(seen.squares / NOISE + np.eye(len(seen.squares)))
    mean = covariance @ seen.products / NOISE
    draws = np.random.default_rng(seen.seed).standard_normal((DRAWS // 2, mean.shape[1]))
    return LastLayer(
        seen.waves,
        seen.phases,
        mean.astype(np.float32),
        covariance.astype(np.float32),
        np.concatenate([draws, -draws]).astype(np.float32),
    )


def _phi(features: Floats, situations: Floats, waves: Floats, phases: Floats) -> Floats:
    learned = features / np.float32(features.shape[-1] ** 0.5)
    raw = np.cos(situations @ waves + phases) * np.float32((2 / WAVES) ** 0.5)
    found: Floats = np.concatenate([learned, raw], axis=-1).astype(np.float32)
    return found
