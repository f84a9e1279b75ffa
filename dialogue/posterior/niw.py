"""Each intent a Gaussian: the Normal-inverse-Wishart posterior, closed form from the statistics to the taught example.

The texts of an intent are taken as a Gaussian in the leading principal directions of the process's landmark features,
with the prior of `gaussian.py`: every mean comes from around the mean of all intents. How likely an intent is follows
from Bayes' rule, its predictive Student t at the text against those of the others, and its share of the examples (a
Dirichlet prior of one example each). An intent without examples has the prior predictive, so what it takes away is what
no other explains.

How many directions, one covariance or one an intent, and how much the priors count for are chosen by the log
probability that the intents of the training texts get when each is left out: closed form, too, one step of Sherman and
Morrison a text.

**A text is no landmark of itself.** The features of a training text hold its covariance with itself, 1, which no new
text reaches: leaving out would promise too much. So what counts of it is its projection on all the others; only a text
that is alone in its intent stands where it is, or it would be taken for one of its neighbours'.

Dozens of directions that are not quite Gaussian make the densities far too sure of themselves, so they are tempered
like the posteriors over weights (`last_layer.py`): the temperature and the width of the draws are those of the highest
log probability of the texts left out.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import log_softmax
from typing_extensions import Self

from dialogue.posterior.arrays import load_arrays, save_arrays
from dialogue.posterior.gaussian import Array, Gaussians, left_out, log_density, uninformed
from dialogue.posterior.gaussian_draws import Draws
from dialogue.posterior.kernel import FloatArray, IntArray, take
from dialogue.posterior.landmarks import Landmarks, choose_landmarks, training_features
from dialogue.posterior.last_layer import CALIBRATION_DRAWS, CALIBRATION_TEXTS, DEFAULT_WIDTH, best_temper, tempered
from dialogue.posterior.point import MOST_LANDMARKS, fit_temperature
from dialogue.posterior.process import Fit, Latent, Process
from dialogue.posterior.sample import balanced_sample
from dialogue.posterior.softmax_map import judged

FILE = "niw.safetensors"
SCALARS = ("temperature", "width", "strength", "samples", "seed")
STORED = ("rows", "factor", "centre", "directions", "counts", "means", "scale", "freedom")
PRIOR = ("prior.means", "prior.scale", "prior.freedom")
DIMENSIONS = (16, 32, 64, 128)
STRENGTHS = (0.1, 0.3, 1.0)  # kappa
CONFIDENCES = (0.25, 0.5, 1.0)  # vectors that the prior covariance counts for, in units of D
MOST_OWN = 1 << 22  # numbers in the covariances of all intents, where each has its own: 32 MB
WITHIN = 0.5  # share of the variance that is expected within an intent, where no two texts tell
DEFAULT_TEMPERATURE = 1.0


@dataclass(frozen=True, slots=True)
class Space:
    """Principal directions: centre [M] and directions [M, D] of landmark features."""

    centre: Array
    directions: Array

    def __call__(self, features: FloatArray) -> Array:
        """Coordinates [B, D] of features [B, M]."""
        return (features - self.centre) @ self.directions


class NiwPosterior:
    """See the module.

    Learned: `landmarks_`, `space_`, `known_`, `prior_` (of a single class), `temperature_`, `width_`; S =
    `samples_` draws are made from `seed_`.
    """

    landmarks_: Landmarks
    space_: Space
    known_: Gaussians
    prior_: Gaussians
    temperature_: float
    width_: float
    samples_: int
    seed_: int
    _draws: Draws | None

    def __init__(self) -> None:
        self._draws = None

    def fit(self, fit: Fit, *, samples: int, seed: int) -> Self:
        """Choose the space and the prior by the texts left out, condition it on all, and temper."""
        process = fit.process
        labels, classes = process.labels, process.alpha.shape[1]
        self.samples_, self.seed_ = samples, seed
        self.landmarks_ = choose_landmarks(process, MOST_LANDMARKS)
        features = outside_features(process, self.landmarks_)
        weights = (process.noise.min() / process.noise).astype(np.float64)  # of a hint: how much surer an example is
        whole = principal(features, DIMENSIONS[-1])
        rows = balanced_sample(labels, judged(labels), CALIBRATION_TEXTS, seed)
        vectors = whole(features)
        self.known_, self.prior_ = chosen(vectors, labels, classes, weights, rows)
        dimension = self.prior_.dimension
        self.space_ = Space(whole.centre, np.ascontiguousarray(whole.directions[:, :dimension]))
        self.temper(vectors[:, :dimension], labels, weights, rows)
        return self

    def temper(self, vectors: Array, labels: IntArray, weights: Array, rows: IntArray) -> None:
        """Temperature and width, by texts left out; their draws are those of the whole posterior."""
        self.temperature_, self.width_ = DEFAULT_TEMPERATURE, DEFAULT_WIDTH
        if len(rows):
            centre = left_out_logits(self.known_, vectors, labels, weights)[rows]
            spread = Draws(self.known_, CALIBRATION_DRAWS, self.seed_)(vectors[rows])
            self.temperature_, self.width_ = best_temper(centre, spread, labels[rows])

    def draw(self, latent: Latent) -> FloatArray:
        """Probabilities [S, B, K]."""
        vectors = self.space_(self.landmarks_(latent.rows))
        centre = (log_density(self.known_, self.draws.roots, vectors) + log_shares(self.known_)).astype(np.float32)
        if self.samples_ == 1:
            return tempered(centre, np.zeros((1, *centre.shape), np.float32), self.temperature_, 0.0)
        return tempered(centre, self.draws(vectors), self.temperature_, self.width_)

    @property
    def draws(self) -> Draws:
        """What the draws are made with; made when it is first asked for."""
        if self._draws is None:
            self._draws = Draws(self.known_, self.samples_, self.seed_)
        return self._draws

    def teach(self, process: Process) -> Self:
        """With the last text of the process as well, whose class may be new: closed form, in the same space.

        What `Gaussians.learn_all` gives for all the texts; temperature and width stay.
        """
        last, views = np.array([len(process.labels) - 1]), process.views
        rows = process.kernel(take(views, last), take(views, self.landmarks_.rows))
        vector = self.space_(rows @ self.landmarks_.factor.T)[0]
        label, known = int(process.labels[-1]), self.known_
        if label == len(known.counts):
            known = known.grown(self.prior_)
        taught = copy(self)
        taught.known_ = known.learn(vector, label)
        taught._draws = None if self._draws is None else self._draws.learned(taught.known_, label)
        return taught

    def notes(self) -> dict[str, float]:
        """Directions, covariances, what the priors count for, temperature and width."""
        return {
            "dimensions": float(self.known_.dimension),
            "covariances": float(len(self.known_.scale)),
            "mean_strength": self.known_.strength,
            "temperature": self.temperature_,
            "width": self.width_,
        }

    def save(self, folder: Path) -> None:
        """Write niw.safetensors."""
        known = self.known_
        scalars = np.array([self.temperature_, self.width_, known.strength, self.samples_, self.seed_], np.float64)
        values = (
            *(self.landmarks_.rows, self.landmarks_.factor, self.space_.centre, self.space_.directions),
            *(known.counts, known.means, known.scale, known.freedom),
            *(self.prior_.means, self.prior_.scale, self.prior_.freedom, scalars),
        )
        save_arrays(folder / FILE, dict(zip((*STORED, *PRIOR, "scalars"), values, strict=True)))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read niw.safetensors. Raises `ValueError` when it is missing or damaged."""
        posterior = cls()
        arrays = load_arrays(folder / FILE, (*STORED, *PRIOR, "scalars"))
        scalars = dict(zip(SCALARS, arrays["scalars"].tolist(), strict=True))
        posterior.landmarks_ = Landmarks(arrays["rows"], arrays["factor"])
        posterior.space_ = Space(arrays["centre"], arrays["directions"])
        posterior.known_ = Gaussians(scalars["strength"], *(arrays[name] for name in STORED[4:]))
        posterior.prior_ = Gaussians(scalars["strength"], np.zeros(1), *(arrays[name] for name in PRIOR))
        posterior.temperature_, posterior.width_ = scalars["temperature"], scalars["width"]
        posterior.samples_, posterior.seed_ = int(scalars["samples"]), int(scalars["seed"])
        return posterior


def outside_features(process: Process, landmarks: Landmarks) -> FloatArray:
    """Features [N, M] of the training texts as if they were new: a landmark is projected on the other landmarks.

    Its covariance with itself becomes that of its projection, 1 - 1 / (K_MM^-1)_ii.
    """
    features = training_features(process, landmarks)
    labels = process.labels[landmarks.rows]
    company = np.bincount(process.labels)[labels] > 1
    own = 1 / np.square(landmarks.factor.astype(np.float64)).sum(axis=0)  # [M]
    lost = np.where(company, own, 0).astype(np.float32)
    features[landmarks.rows] -= lost[:, None] * landmarks.factor.T
    return features


def principal(features: FloatArray, most: int) -> Space:
    """The directions of the highest variance: at most `most`, fewer than there are texts, one at least."""
    centre = features.mean(axis=0, dtype=np.float64)
    away = features - centre
    _, directions = np.linalg.eigh(away.T @ away)
    count = max(1, min(most, len(features) - 1, features.shape[1]))
    return Space(centre, np.ascontiguousarray(directions[:, ::-1][:, :count]))


def chosen(
    vectors: Array, labels: IntArray, classes: int, weights: Array, rows: IntArray
) -> tuple[Gaussians, Gaussians]:
    """Posterior and prior of the highest log probability of the texts `rows` left out, at their own temperature.

    The directions that are kept are the first of `vectors` [N, D]. Where no text can be judged it is the first of the
    candidates.
    """
    best, lowest = None, np.inf
    for dimension in sorted({min(d, vectors.shape[1]) for d in DIMENSIONS}):
        some = vectors[:, :dimension]
        for prior in priors(some, labels, classes, weights):
            known = prior.learn_all(some, labels, weights)
            loss = left_out_loss(known, some, labels, weights, rows) if len(rows) else 0.0
            if loss < lowest:
                best, lowest = (known, prior.first()), loss
    assert best is not None
    return best


def priors(vectors: Array, labels: IntArray, classes: int, weights: Array) -> list[Gaussians]:
    """The candidates: a round covariance as wide as the texts of an intent are, for all intents or for each."""
    dimension = vectors.shape[1]
    mean, variance = level(vectors, labels, classes, weights)
    shapes = [1] if classes == 1 or classes * dimension**2 > MOST_OWN else [1, classes]
    return [
        uninformed(classes, mean, variance, strength=kappa, confidence=times * dimension, covariances=shape)
        for shape in shapes
        for times in CONFIDENCES
        for kappa in STRENGTHS
    ]


def level(vectors: Array, labels: IntArray, classes: int, weights: Array) -> tuple[Array, float]:
    """The mean [D] of the intents' means, and the variance of a text's coordinates within its intent."""
    share = np.zeros((classes, len(labels)))
    share[labels, np.arange(len(labels))] = weights
    counts = share.sum(axis=1)
    seen = counts > 0
    centres = share @ vectors / np.maximum(counts, 1e-300)[:, None]
    freedom = len(labels) - int(seen.sum())
    mean = centres[seen].mean(axis=0)
    within = float(np.square(vectors - centres[labels]).sum()) / max(freedom, 1) / vectors.shape[1]
    total = float(np.square(vectors - mean).mean())
    return mean, max(within if freedom else WITHIN * total, 1e-6)


def left_out_loss(known: Gaussians, vectors: Array, labels: IntArray, weights: Array, rows: IntArray) -> float:
    """Negative log probability of the intents of texts left out, at the temperature that suits it best."""
    logits, truth = left_out_logits(known, vectors, labels, weights)[rows], labels[rows]
    log_p = log_softmax(logits / fit_temperature(logits, truth), axis=1)
    return -float(log_p[np.arange(len(rows)), truth].sum())


def left_out_logits(known: Gaussians, vectors: Array, labels: IntArray, weights: Array) -> FloatArray:
    """Log joint density [N, K] of each text and each class by all the other texts."""
    found = left_out(known, vectors, labels, weights) + log_shares(known)
    own = known.counts[labels]
    found[np.arange(len(labels)), labels] += np.log((1 + own - weights) / (1 + own))
    return found.astype(np.float32)


def log_shares(known: Gaussians) -> Array:
    """Log share [K] of each class in the examples, up to a constant: a Dirichlet prior of one example each."""
    return np.log1p(known.counts)
