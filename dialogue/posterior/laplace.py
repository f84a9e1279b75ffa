"""Laplace approximation of the last layer, with Kronecker factors.

Around the maximum a posteriori weights W of multinomial logistic regression the posterior is taken as Gaussian with
the generalised Gauss-Newton Hessian A (x) G + precision I, where A = sum phi phi^T over texts [M, M] and G = mean of
diag p - p p^T [K, K] (Ritter et al. 2018, "A Scalable Laplace Approximation for Neural Networks"; Daxberger et al.
2021, "Laplace Redux"). With A = U a U^T and G = V g V^T, the logits of a text with features phi are Gaussian with
mean W^T phi and covariance V diag_j(sum_i (U^T phi)_i^2 / (a_i g_j + precision)) V^T: exact under the factors.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.special import softmax
from typing_extensions import Self

from dialogue.posterior.arrays import load_arrays, save_arrays
from dialogue.posterior.conjugate import gaussian_draws
from dialogue.posterior.kernel import FloatArray
from dialogue.posterior.landmarks import Landmarks, choose_landmarks, training_features
from dialogue.posterior.point import MOST_LANDMARKS, fit_temperature
from dialogue.posterior.process import Fit, Process
from dialogue.posterior.softmax_map import choose_precision, fit_map

FILE = "laplace.safetensors"
LEARNED = ("rows", "factor", "weights", "inputs", "input_values", "outputs", "output_values", "draws", "scalars")


class LaplacePosterior:
    """See the module.

    Learned: `landmarks_`, `weights_` [M, K], `inputs_` U [M, M], `input_values_` a [M], `outputs_` V [K, K],
    `output_values_` g [K], `draws_` standard normal [S, K], `precision_`, `temperature_` of the logits.
    """

    landmarks_: Landmarks
    weights_: FloatArray
    inputs_: FloatArray
    input_values_: FloatArray
    outputs_: FloatArray
    output_values_: FloatArray
    draws_: FloatArray
    precision_: float
    temperature_: float

    def fit(self, fit: Fit, *, samples: int, seed: int) -> Self:
        """Maximum a posteriori weights, then the curvature around them."""
        process = fit.process
        self.landmarks_ = choose_landmarks(process, MOST_LANDMARKS)
        features, classes = training_features(process, self.landmarks_), process.alpha.shape[1]
        self.precision_, held_out = choose_precision(features, process.labels, classes, seed)
        self.weights_ = fit_map(features, process.labels, classes, self.precision_)
        p = softmax(features @ self.weights_, axis=1)
        curvature = np.diag(p.mean(axis=0)) - p.T @ p / len(p)
        self.input_values_, self.inputs_ = eigen(features.T @ features)
        self.output_values_, self.outputs_ = eigen(curvature)
        self.draws_ = gaussian_draws(samples, classes, seed)
        self.temperature_ = fit_temperature(held_out, process.labels)
        return self

    def draw(self, process: Process, rows: FloatArray) -> FloatArray:
        """Probabilities [S, B, K]."""
        features = self.landmarks_(rows)  # [B, M]
        logits = features @ self.weights_  # [B, K]
        deviation = np.sqrt(self.variances(features))  # [B, K], in the eigenbasis of the outputs
        spread = (deviation[None] * self.draws_[:, None]) @ self.outputs_.T  # [S, B, K]
        return softmax((logits[None] + spread) / self.temperature_, axis=2).astype(np.float32)  # type: ignore[no-any-return]

    def variances(self, features: FloatArray) -> FloatArray:
        """Variances [B, K] of the logits along the eigenvectors of G."""
        squares = (features @ self.inputs_) ** 2  # [B, M]
        return squares @ (1 / (np.outer(self.input_values_, self.output_values_) + self.precision_))

    def save(self, folder: Path) -> None:
        """Write laplace.safetensors."""
        values = (
            self.landmarks_.rows,
            self.landmarks_.factor,
            self.weights_,
            self.inputs_,
            self.input_values_,
            self.outputs_,
            self.output_values_,
            self.draws_,
            np.array([self.precision_, self.temperature_], np.float32),
        )
        save_arrays(folder / FILE, dict(zip(LEARNED, values, strict=True)))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read laplace.safetensors. Raises `ValueError` when it is missing or damaged."""
        posterior = cls()
        arrays = load_arrays(folder / FILE, LEARNED)
        posterior.landmarks_ = Landmarks(arrays["rows"], arrays["factor"])
        for name in LEARNED[2:-1]:
            setattr(posterior, f"{name}_", arrays[name])
        posterior.precision_, posterior.temperature_ = (float(x) for x in arrays["scalars"])
        return posterior


def eigen(matrix: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Eigenvalues (not below zero) and eigenvectors of a symmetric matrix, float32."""
    values, vectors = np.linalg.eigh(matrix.astype(np.float64))
    return np.maximum(values, 0).astype(np.float32), vectors.astype(np.float32)
