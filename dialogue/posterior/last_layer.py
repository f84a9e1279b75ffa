"""What the posteriors over the weights of the last layer share: features, folds, tempering, files.

The last layer is multinomial logistic regression of the intents on landmark features phi(x) of the process, with
weights W [M, K] ~ N(0, 1 / precision). One file a way to approximate p(W | labels); what it must give is how the
logits of a text vary.

With many intents the posterior of the weights is far too wide: it varies in all the directions that the few examples
leave open, and the mean over the draws drowns the answer. So every one of them is tempered (Wenzel et al. 2020, "How
Good is the Bayes Posterior in Deep Neural Networks Really?"): a factor on the deviation of its logits and a
temperature are chosen together, by the log probability that the mean over the draws gives to texts left out of the
fit. A width and a temperature of 1 would be the posterior as it is; `notes` tells both.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from typing_extensions import Self

from dialogue.posterior.arrays import load_arrays, save_arrays
from dialogue.posterior.kernel import FloatArray, IntArray
from dialogue.posterior.landmarks import Landmarks, choose_landmarks, training_features
from dialogue.posterior.point import DEFAULT_TEMPERATURE, MOST_LANDMARKS
from dialogue.posterior.process import Fit, Latent
from dialogue.posterior.sample import balanced_sample
from dialogue.posterior.softmax_map import CrossFit, Regression, cross_fit

DEFAULT_WIDTH = 0.1
CALIBRATION_TEXTS = 1000
CALIBRATION_DRAWS = 32
PRIOR_STRENGTH = 4.0  # texts that one standard deviation of the log-normal prior counts for
OWN = ("rows", "factor", "scalars")

Arrays = Mapping[str, NDArray[Any]]


class Approximation(Protocol):
    """An approximate posterior of the weights, as it shows in the logits of a text."""

    def logits(self, features: FloatArray) -> tuple[FloatArray, FloatArray]:
        """From features [B, M] the centre [B, K] of the logits and S deviations from it [S, B, K]."""
        ...

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All of it, by name."""
        ...

    @classmethod
    def of(cls, arrays: Arrays) -> Self:
        """What `arrays` gave. Raises `KeyError` naming what is missing."""
        ...

    def notes(self) -> dict[str, float]:
        """What a person should know of how well the approximation went."""
        ...


@dataclass(frozen=True, slots=True)
class Lesson:
    """What is learned from.

    Attributes:
        regression: of the N texts; its `values` and `vectors` take X^T X apart.
        features: X [N, M].
        precision: of the prior.
        weights: [M, K], maximum a posteriori.
        factor: of the landmarks: features are kernel columns times its transpose.
    """

    regression: Regression
    features: FloatArray
    precision: float
    weights: FloatArray
    factor: FloatArray

    @property
    def labels(self) -> IntArray:
        """The classes [N]."""
        return self.regression.labels

    @property
    def classes(self) -> int:
        """How many, K."""
        return self.regression.classes


A = TypeVar("A", bound=Approximation)


class LastLayer(ABC, Generic[A]):
    """A posterior over the last layer. Learned: `landmarks_`, `approximation_`, `temperature_`, `width_`."""

    file: ClassVar[str]
    kind: ClassVar[type[Any]]
    landmarks_: Landmarks
    approximation_: A
    temperature_: float
    width_: float

    @abstractmethod
    def approximate(self, lesson: Lesson, *, samples: int, seed: int) -> A:
        """The posterior of the weights, with S = `samples` deviations, or as many as it has at most."""

    def fit(self, fit: Fit, *, samples: int, seed: int) -> Self:
        """The posterior of all the texts, tempered by that of each fold."""
        process = fit.process
        self.landmarks_ = choose_landmarks(process, MOST_LANDMARKS)
        features, classes = training_features(process, self.landmarks_), process.alpha.shape[1]
        crossed = cross_fit(features, process.labels, classes, seed)
        self.temperature_, self.width_ = self.temper(crossed, features, process.labels, seed)
        regression = Regression(features, process.labels, classes)
        weights = regression.fit(crossed.precision)
        lesson = Lesson(regression, features, crossed.precision, weights, self.landmarks_.factor)
        self.approximation_ = self.approximate(lesson, samples=samples, seed=seed)
        return self

    def temper(self, crossed: CrossFit, features: FloatArray, labels: IntArray, seed: int) -> tuple[float, float]:
        """Temperature and width, by texts that each fold's posterior has not seen."""
        if not len(crossed.rows):
            return DEFAULT_TEMPERATURE, DEFAULT_WIDTH
        rows = balanced_sample(labels, crossed.rows, CALIBRATION_TEXTS, seed)
        parts = []
        for m, (regression, weights) in enumerate(zip(crossed.regressions, crossed.weights, strict=True)):
            lesson = Lesson(regression, features[crossed.fold != m], crossed.precision, weights, self.landmarks_.factor)
            found = self.approximate(lesson, samples=CALIBRATION_DRAWS, seed=seed)
            outside = rows[crossed.fold[rows] == m]
            parts.append((*found.logits(features[outside]), labels[outside]))
        centres, spreads, truths = zip(*parts, strict=True)
        return best_temper(np.concatenate(centres), np.concatenate(spreads, axis=1), np.concatenate(truths))

    def draw(self, latent: Latent) -> FloatArray:
        """Probabilities [S, B, K]."""
        centre, spread = self.approximation_.logits(self.landmarks_(latent.rows))
        return tempered(centre, spread, self.temperature_, self.width_)

    def notes(self) -> dict[str, float]:
        """Temperature, width, and what the approximation tells."""
        return {"temperature": self.temperature_, "width": self.width_, **self.approximation_.notes()}

    def save(self, folder: Path) -> None:
        """Write the posterior's file."""
        scalars = np.array([self.temperature_, self.width_], np.float64)
        own: dict[str, NDArray[Any]] = dict(
            zip(OWN, (self.landmarks_.rows, self.landmarks_.factor, scalars), strict=True)
        )
        save_arrays(folder / self.file, own | self.approximation_.arrays())

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the posterior's file. Raises `ValueError` when it is missing or damaged."""
        posterior = cls()
        arrays = load_arrays(folder / cls.file, OWN)
        posterior.landmarks_ = Landmarks(arrays["rows"], arrays["factor"])
        posterior.temperature_, posterior.width_ = (float(x) for x in arrays["scalars"])
        try:
            posterior.approximation_ = cls.kind.of(arrays)
        except KeyError as error:
            raise ValueError(f"{folder / cls.file} is damaged: it lacks {error.args[0]}") from error
        return posterior


def best_temper(centre: FloatArray, spread: FloatArray, labels: IntArray) -> tuple[float, float]:
    """Temperature and width of the highest log probability of the labels [n], with a weak log-normal prior."""
    from scipy.optimize import minimize

    middle = np.log([DEFAULT_TEMPERATURE, DEFAULT_WIDTH])

    def loss(theta: FloatArray) -> float:
        temperature, width = np.exp(np.clip(theta, -8, 4))
        p = tempered(centre, spread, temperature, width).mean(axis=0)[np.arange(len(labels)), labels]
        return -float(np.log(p + 1e-12).sum()) + PRIOR_STRENGTH * 0.5 * float(((theta - middle) ** 2).sum())

    found = minimize(loss, middle, method="Nelder-Mead", options={"xatol": 0.05, "fatol": 0.1, "maxfev": 60})
    temperature, width = np.exp(np.clip(found.x, -8, 4))
    return float(temperature), float(width)


def tempered(centre: FloatArray, spread: FloatArray, temperature: float, width: float) -> FloatArray:
    """softmax((centre + width spread) / temperature): [B, K] and [S, B, K] -> [S, B, K]."""
    latent = (centre[None] + np.float32(width) * spread) / np.float32(temperature)
    return softmax(latent, axis=2)  # type: ignore[no-any-return]
