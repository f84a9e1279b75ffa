"""Laplace approximation of the last layer, with Kronecker factors.

Around the maximum a posteriori weights W of multinomial logistic regression the posterior is taken as Gaussian with the
generalised Gauss-Newton Hessian A (x) G + precision I, where A = sum phi phi^T over texts [M, M] and G = mean of
diag p - p p^T [K, K] (Ritter et al. 2018, "A Scalable Laplace Approximation for Neural Networks"; Daxberger et al.
2021, "Laplace Redux"). With A = U a U^T and G = V g V^T, the logits of a text with features phi are Gaussian with mean
W^T phi and covariance V diag_j(sum_i (U^T phi)_i^2 / (a_i g_j + precision)) V^T: exact under the factors.

With many intents that Gaussian is far too wide: it varies in all the directions that the few examples leave open, and
the mean over the draws drowns the answer. So the posterior is tempered (Wenzel et al. 2020, "How Good is the Bayes
Posterior in Deep Neural Networks Really?"): a factor on its standard deviation and a temperature of the logits are
chosen together, by the log probability that the mean over the draws gives to texts left out of the fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from scipy.special import softmax
from typing_extensions import Self

from dialogue.posterior.arrays import load_arrays, save_arrays
from dialogue.posterior.conjugate import gaussian_draws
from dialogue.posterior.kernel import FloatArray, IntArray
from dialogue.posterior.landmarks import Landmarks, choose_landmarks, training_features
from dialogue.posterior.point import DEFAULT_TEMPERATURE, MOST_LANDMARKS
from dialogue.posterior.process import Fit, Process
from dialogue.posterior.sample import balanced_sample
from dialogue.posterior.softmax_map import CrossFit, Regression, cross_fit, eigen

FILE = "laplace.safetensors"
FACTORS = ("inputs", "input_values", "outputs", "output_values")
STORED = ("rows", "factor", "weights", *FACTORS, "draws", "scalars")
DEFAULT_WIDTH = 0.1
CALIBRATION_TEXTS = 1000
CALIBRATION_DRAWS = 32
PRIOR_STRENGTH = 4.0  # texts that one standard deviation of the log-normal prior counts for


@dataclass(frozen=True, slots=True)
class Curvature:
    """The Hessian: `inputs` U [M, M], `input_values` a [M], `outputs` V [K, K], `output_values` g [K], `precision`."""

    inputs: FloatArray
    input_values: FloatArray
    outputs: FloatArray
    output_values: FloatArray
    precision: float

    def variances(self, features: FloatArray) -> FloatArray:
        """Variances [B, K] of the logits along the eigenvectors of G, from features [B, M]."""
        squares = (features @ self.inputs) ** 2  # [B, M]
        hessian: FloatArray = np.outer(self.input_values, self.output_values) + np.float32(self.precision)  # [M, K]
        return squares @ np.reciprocal(hessian)

    def spread(self, features: FloatArray, z: FloatArray) -> FloatArray:
        """Deviations [S, B, K] of the logits from their mean, from standard normal draws z [S, K]."""
        deviation = np.sqrt(self.variances(features))  # [B, K]
        return (deviation[None] * z[:, None]) @ self.outputs.T


class LaplacePosterior:
    """See the module.

    Learned: `landmarks_`, `weights_` [M, K], `curvature_`, `draws_` standard normal [S, K], `temperature_` of the
    logits, and `width_`, the factor on their standard deviation.
    """

    landmarks_: Landmarks
    weights_: FloatArray
    curvature_: Curvature
    draws_: FloatArray
    temperature_: float
    width_: float

    def fit(self, fit: Fit, *, samples: int, seed: int) -> Self:
        """Maximum a posteriori weights, the curvature around them, and how far to trust it."""
        process = fit.process
        self.landmarks_ = choose_landmarks(process, MOST_LANDMARKS)
        features, classes = training_features(process, self.landmarks_), process.alpha.shape[1]
        crossed = cross_fit(features, process.labels, classes, seed)
        self.temperature_, self.width_ = temper(crossed, features, process.labels, seed)
        regression = Regression(features, process.labels, classes)
        self.weights_ = regression.fit(crossed.precision)
        self.curvature_ = curvature(regression, features @ self.weights_, crossed.precision)
        self.draws_ = gaussian_draws(samples, classes, seed)
        return self

    def draw(self, process: Process, rows: FloatArray) -> FloatArray:
        """Probabilities [S, B, K]."""
        features = self.landmarks_(rows)  # [B, M]
        spread = self.curvature_.spread(features, self.draws_)  # [S, B, K]
        return tempered(features @ self.weights_, spread, self.temperature_, self.width_)

    def save(self, folder: Path) -> None:
        """Write laplace.safetensors."""
        scalars = np.array([self.curvature_.precision, self.temperature_, self.width_], np.float64)
        factors = [getattr(self.curvature_, name) for name in FACTORS]
        values = (self.landmarks_.rows, self.landmarks_.factor, self.weights_, *factors, self.draws_, scalars)
        save_arrays(folder / FILE, dict(zip(STORED, values, strict=True)))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read laplace.safetensors. Raises `ValueError` when it is missing or damaged."""
        posterior = cls()
        arrays = load_arrays(folder / FILE, STORED)
        precision, posterior.temperature_, posterior.width_ = (float(x) for x in arrays["scalars"])
        posterior.landmarks_ = Landmarks(arrays["rows"], arrays["factor"])
        posterior.weights_, posterior.draws_ = arrays["weights"], arrays["draws"]
        posterior.curvature_ = Curvature(**{name: arrays[name] for name in FACTORS}, precision=precision)
        return posterior


def curvature(regression: Regression, logits: FloatArray, precision: float) -> Curvature:
    """The Hessian of a regression whose own texts have these logits [N, K]."""
    p = softmax(logits, axis=1)
    n = max(1, len(p))
    output_values, outputs = eigen(np.diag(p.sum(axis=0) / n) - p.T @ p / n)
    return Curvature(regression.vectors, regression.values, outputs, output_values, precision)


def temper(crossed: CrossFit, features: FloatArray, labels: IntArray, seed: int) -> tuple[float, float]:
    """Temperature and width of the highest out-of-fold log probability, with a weak log-normal prior."""
    if not len(crossed.rows):
        return DEFAULT_TEMPERATURE, DEFAULT_WIDTH
    rows = balanced_sample(labels, crossed.rows, CALIBRATION_TEXTS, seed)
    classes = crossed.logits.shape[1]
    z = gaussian_draws(CALIBRATION_DRAWS, classes, seed)
    logits, spread = crossed.logits[rows], np.empty((len(z), len(rows), classes), np.float32)
    for m, regression in enumerate(crossed.regressions):
        inside, outside = features[crossed.fold != m], crossed.fold[rows] == m
        hessian = curvature(regression, inside @ crossed.weights[m], crossed.precision)
        spread[:, outside] = hessian.spread(features[rows[outside]], z)
    centre = np.log([DEFAULT_TEMPERATURE, DEFAULT_WIDTH])

    def loss(theta: FloatArray) -> float:
        temperature, width = np.exp(np.clip(theta, -8, 4))
        p = tempered(logits, spread, temperature, width).mean(axis=0)[np.arange(len(rows)), labels[rows]]
        return -float(np.log(p + 1e-12).sum()) + PRIOR_STRENGTH * 0.5 * float(((theta - centre) ** 2).sum())

    found = minimize(loss, centre, method="Nelder-Mead", options={"xatol": 0.05, "fatol": 0.1, "maxfev": 60})
    temperature, width = np.exp(np.clip(found.x, -8, 4))
    return float(temperature), float(width)


def tempered(logits: FloatArray, spread: FloatArray, temperature: float, width: float) -> FloatArray:
    """softmax((logits + width spread) / temperature): [B, K] and [S, B, K] -> [S, B, K]."""
    latent = (logits[None] + np.float32(width) * spread) / np.float32(temperature)
    return softmax(latent, axis=2)  # type: ignore[no-any-return]
