"""The conjugate posterior: Gaussian prior, Gaussian likelihood, closed form.

The latent functions of a text are independent Gaussians N(mean_k, amplitude * variance); their softmax at a scale
fitted to the leave-one-out predictions is the class probability (a Gaussian process on transformed labels in the
spirit of Milios et al. 2018, "Dirichlet-based Gaussian Processes for Large-scale Calibrated Classification", with one
noise for all labels so that a single factorisation serves every intent). The predictive probability is the mean over
fixed quasi-random draws.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import ndtri, softmax
from typing_extensions import Self

from dialogue.posterior.arrays import load_arrays, save_arrays
from dialogue.posterior.kernel import FloatArray, IntArray
from dialogue.posterior.process import Fit, LeftOut, Process
from dialogue.posterior.sample import balanced_sample

FILE = "conjugate.safetensors"
DEFAULT_SCALE = 16.0
CALIBRATION_TEXTS = 2000
CALIBRATION_DRAWS = 32
PRIOR_STRENGTH = 4.0


class ConjugatePosterior:
    """See the module. Learned: `scale_` of the softmax, `draws_` standard normal [S, K]."""

    scale_: float
    draws_: FloatArray

    def fit(self, fit: Fit, *, samples: int, seed: int) -> Self:
        """Choose the scale by the leave-one-out log probability of the labels, with a weak log-normal prior."""
        process = fit.process
        self.draws_ = gaussian_draws(samples, process.alpha.shape[1], seed)
        self.scale_ = calibrate(fit.example_out, process.labels, process.amplitude, seed)
        return self

    def draw(self, process: Process, rows: FloatArray) -> FloatArray:
        """Probabilities [S, B, K]."""
        deviation = np.sqrt(process.amplitude * process.variance(rows))
        return softmax_draws(process.mean(rows), deviation, self.draws_, self.scale_)

    def save(self, folder: Path) -> None:
        """Write conjugate.safetensors."""
        save_arrays(folder / FILE, {"draws": self.draws_, "scale": np.array([self.scale_])})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read conjugate.safetensors. Raises `ValueError` when it is missing or damaged."""
        posterior = cls()
        arrays = load_arrays(folder / FILE, ("draws", "scale"))
        posterior.draws_, posterior.scale_ = arrays["draws"], float(arrays["scale"][0])
        return posterior


def softmax_draws(mean: FloatArray, deviation: FloatArray, z: FloatArray, scale: float) -> FloatArray:
    """softmax(scale * (mean + deviation z)): means [B, K], deviations [B], normal draws [S, K] -> [S, B, K]."""
    latent = mean[None] + deviation[None, :, None] * z[:, None, :]
    return softmax(scale * latent, axis=2).astype(np.float32)  # type: ignore[no-any-return]


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


def calibrate(example_out: LeftOut, labels: IntArray, amplitude: float, seed: int) -> float:
    """The softmax scale of highest leave-one-out log probability, over intents of two texts or more.

    One text alone says nothing of its own intent when it is left out.
    """
    repeated = np.flatnonzero(np.bincount(labels)[labels] > 1)
    if len(np.unique(labels[repeated])) < 2:
        return DEFAULT_SCALE
    rows = balanced_sample(labels, repeated, CALIBRATION_TEXTS, seed)
    mean, deviation = example_out.mean[rows], np.sqrt(amplitude * example_out.variance[rows])
    z = gaussian_draws(CALIBRATION_DRAWS, mean.shape[1], seed)
    target = labels[rows]

    def loss(log_scale: float) -> float:
        scale, total = float(np.exp(log_scale)), 0.0
        for start in range(0, len(rows), 256):
            part = slice(start, start + 256)
            p = softmax_draws(mean[part], deviation[part], z, scale).mean(axis=0)
            total -= float(np.log(p[np.arange(len(p)), target[part]] + 1e-12).sum())
        return total + PRIOR_STRENGTH * 0.5 * float(log_scale - np.log(DEFAULT_SCALE)) ** 2

    found = minimize_scalar(loss, bounds=(np.log(2.0), np.log(100.0)), method="bounded", options={"xatol": 0.03})
    return float(np.exp(found.x))
