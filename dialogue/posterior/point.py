"""No posterior at all: one weight vector, one number, no interval. The control that the others are measured against.

Multinomial logistic regression on kernel features, with a temperature (Guo et al. 2017, "On Calibration of Modern
Neural Networks") fitted to out-of-fold logits.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.special import log_softmax, softmax
from typing_extensions import Self

from dialogue.posterior.arrays import load_arrays, save_arrays
from dialogue.posterior.kernel import FloatArray, IntArray
from dialogue.posterior.landmarks import Landmarks, choose_landmarks, training_features
from dialogue.posterior.process import Fit, Latent
from dialogue.posterior.softmax_map import Regression, cross_fit

FILE = "point.safetensors"
STORED = ("rows", "factor", "weights", "temperature")
MOST_LANDMARKS = 1024
DEFAULT_TEMPERATURE = 0.5
PRIOR_STRENGTH = 4.0  # texts that one standard deviation of the log-normal prior counts for


class PointPosterior:
    """See the module. Learned: `landmarks_`, `weights_` [M, K], `temperature_`."""

    landmarks_: Landmarks
    weights_: FloatArray
    temperature_: float

    def fit(self, fit: Fit, *, samples: int, seed: int) -> Self:
        """Maximum a posteriori weights and a temperature. `samples` is of no use here: there is one draw."""
        process = fit.process
        self.landmarks_ = choose_landmarks(process, MOST_LANDMARKS)
        features, classes = training_features(process, self.landmarks_), process.alpha.shape[1]
        crossed = cross_fit(features, process.labels, classes, seed)
        self.weights_ = Regression(features, process.labels, classes).fit(crossed.precision)
        self.temperature_ = fit_temperature(crossed.logits[crossed.rows], process.labels[crossed.rows])
        return self

    def draw(self, latent: Latent) -> FloatArray:
        """Probabilities [1, B, K]."""
        logits = self.landmarks_(latent.rows) @ self.weights_ / self.temperature_
        return softmax(logits, axis=1)[None].astype(np.float32)  # type: ignore[no-any-return]

    def notes(self) -> dict[str, float]:
        """The temperature."""
        return {"temperature": self.temperature_}

    def save(self, folder: Path) -> None:
        """Write point.safetensors."""
        temperature = np.array([self.temperature_], np.float64)
        values = (self.landmarks_.rows, self.landmarks_.factor, self.weights_, temperature)
        save_arrays(folder / FILE, dict(zip(STORED, values, strict=True)))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read point.safetensors. Raises `ValueError` when it is missing or damaged."""
        posterior = cls()
        arrays = load_arrays(folder / FILE, STORED)
        posterior.landmarks_ = Landmarks(arrays["rows"], arrays["factor"])
        posterior.weights_, posterior.temperature_ = arrays["weights"], float(arrays["temperature"][0])
        return posterior


def fit_temperature(logits: FloatArray, labels: IntArray) -> float:
    """The divisor of logits [N, K] that makes the labels most probable, with a weak log-normal prior."""
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        log_p = log_softmax(logits / np.exp(log_temperature), axis=1)
        prior = PRIOR_STRENGTH * 0.5 * (log_temperature - np.log(DEFAULT_TEMPERATURE)) ** 2
        return float(prior - log_p[np.arange(len(labels)), labels].sum())

    found = minimize_scalar(loss, bounds=(-4.0, 4.0), method="bounded", options={"xatol": 0.02})
    return float(np.exp(found.x))
