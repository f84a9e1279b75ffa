"""The conjugate posterior: Gaussian prior, Gaussian likelihood, closed form.

The latent mean of a text, through the link that the leave-one-out predictions tell, is the predictive probability of
each intent, so no draw is needed for it: what is calibrated is what is said. How far another bot's would lie from
it is drawn beside it. Bots trained on other examples of the same intents differ, in log odds, by about as much
whatever they say: with a deviation of `SPREAD` times the root of the process's variance (its share of the prior's that
the examples left), and as much more as the link is sharper than that of left-out texts. So the draws are logistic
normal around the mean, with fixed quasi-random numbers, and shifted until their mean is that mean.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.special import ndtri
from typing_extensions import Self

from dialogue.posterior.arrays import load_arrays, save_arrays
from dialogue.posterior.kernel import FloatArray, IntArray
from dialogue.posterior.link import Link, Links, fit_links
from dialogue.posterior.process import Fit, Latent, LeftOut
from dialogue.posterior.sample import balanced_sample

FILE = "conjugate.safetensors"
SPREAD = 3.0  # measured by refits: tests/bench/README.md, coverage
MUTE = 0.9  # beyond, the examples explain less than a tenth of what is a text's own
SHIFTS = 8
SMALLEST, LARGEST = np.float32(1e-12), np.float32(1 - 1e-7)
CALIBRATION_TEXTS = 2000


class ConjugatePosterior:
    """See the module.

    Learned: `link_`, `width_` (deviation of the logits per root of the variance), `draws_` standard normal [S, K], and
    until it is saved `left_out_link_`.
    """

    link_: Link
    left_out_link_: Link
    width_: float
    draws_: FloatArray

    def fit(self, fit: Fit, *, samples: int, seed: int) -> Self:
        """Choose the links by the leave-one-out log probability of the labels."""
        process = fit.process
        self.draws_ = gaussian_draws(samples, process.alpha.shape[1], seed)
        links = calibrate(fit.example_out, process.labels, seed)
        self.link_, self.left_out_link_ = links.new, links.left_out
        self.width_ = SPREAD * links.new.power / links.left_out.power
        return self

    def draw(self, latent: Latent) -> FloatArray:
        """Probabilities [S, B, K]."""
        share = latent.variance / (1 - latent.process.kernel.floor)
        mean = levelled(self.link_(latent.mean), share)
        return spread(mean, np.float32(self.width_) * np.sqrt(latent.variance), self.draws_)

    def notes(self) -> dict[str, float]:
        """The link and the width."""
        return {"power": self.link_.power, "knee": self.link_.knee, "width": self.width_}

    def save(self, folder: Path) -> None:
        """Write conjugate.safetensors."""
        link = np.array([self.link_.power, self.link_.knee])
        save_arrays(folder / FILE, {"draws": self.draws_, "link": link, "width": np.array([self.width_])})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read conjugate.safetensors. Raises `ValueError` when it is missing or damaged."""
        posterior = cls()
        arrays = load_arrays(folder / FILE, ("draws", "link", "width"))
        power, knee = (float(x) for x in arrays["link"])
        posterior.draws_, posterior.link_ = arrays["draws"], Link(power, knee)
        posterior.width_ = float(arrays["width"][0])
        return posterior


def levelled(mean: FloatArray, variance: FloatArray) -> FloatArray:
    """Probabilities [B, K], level where the examples say nothing of a text: shares of nothing are no probabilities.

    They stay as they are up to a variance [B] of `MUTE`, and are all alike at 1: that of a text which has nothing in
    common with any example, where of the prior's only what all texts share is explained.
    """
    level = np.clip((variance - MUTE) / (1 - MUTE), 0, 1)[:, None]
    found: FloatArray = (1 - level) * mean + level / np.float32(mean.shape[1])
    return found


def spread(mean: FloatArray, deviation: FloatArray, z: FloatArray) -> FloatArray:
    """Logistic normal draws [S, B, K] around probabilities [B, K]: deviations [B] of the logits, normal draws z [S, K].

    Each step of a fixed point shifts the logits of a text by how far the mean of its draws still is from `mean`.
    """
    if len(z) == 1:
        return mean[None].astype(np.float32)
    odds = np.exp(deviation[:, None, None] * z)  # [B, S, K], so that sums are products of matrices
    mean, deviation = mean[:, :, None] + SMALLEST, deviation[:, None, None]
    # far below the rest a logit gains the mean of exp(noise), exp(deviation^2 / 2): the first guess takes it off
    weight = mean * np.exp(-0.5 * deviation**2 * (1 - mean))  # [B, K, 1]
    for _ in range(SHIFTS):
        found = odds.transpose(0, 2, 1) @ (1 / (odds @ weight))
        weight = mean * np.float32(len(z)) / found
    odds /= odds @ weight
    odds *= weight.transpose(0, 2, 1)
    return odds.transpose(1, 0, 2)  # type: ignore[no-any-return]


def spread_one(p: FloatArray, deviation: FloatArray, z: FloatArray) -> FloatArray:
    """`spread` of one probability against all else, p [B] with normal draws z [S]: [S, B]."""
    p, deviation = np.clip(p, SMALLEST, LARGEST)[:, None], deviation[:, None]
    odds = np.exp(deviation * z)  # [B, S]
    target = p / (1 - p)
    weight = target * np.exp(-0.5 * deviation**2 * (1 - 2 * p))
    for _ in range(SHIFTS):
        rest = (1 / (1 + weight * odds)).mean(axis=1, keepdims=True)
        weight *= target * rest / np.maximum(1 - rest, SMALLEST)
    odds *= weight
    return (odds / (1 + odds)).T  # type: ignore[no-any-return]


@lru_cache(maxsize=8)
def gaussian_draws(samples: int, classes: int, seed: int) -> FloatArray:
    """Standard normal draws [S, K]: scrambled Sobol points with their mirror images, so that their mean is zero.

    Where S is odd one draw is zero itself.
    """
    from torch.quasirandom import SobolEngine

    half = samples // 2
    columns = min(classes, SobolEngine.MAXDIM)
    engine = SobolEngine(columns, scramble=True, seed=seed)  # type: ignore[no-untyped-call]
    points = engine.draw(1 << (half - 1).bit_length())[:half].numpy()
    z = ndtri(np.clip(points.astype(np.float64), 1e-6, 1 - 1e-6))
    if classes > columns:
        z = np.concatenate([z, np.random.default_rng(seed).standard_normal((half, classes - columns))], axis=1)
    return np.concatenate([z, -z, np.zeros((samples % 2, classes))]).astype(np.float32)


def calibrate(example_out: LeftOut, labels: IntArray, seed: int) -> Links:
    """The links by the leave-one-out log probability, over intents of two texts or more.

    One text alone says nothing of its own intent when it is left out.
    """
    texts = np.bincount(labels)[labels]
    repeated = np.flatnonzero(texts > 1)
    if len(np.unique(labels[repeated])) < 2:
        return Links()
    rows = balanced_sample(labels, repeated, CALIBRATION_TEXTS, seed)
    return fit_links(example_out.mean[rows], labels[rows], texts[rows] - 1)
