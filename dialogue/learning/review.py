"""`starfold review`: which unlabelled messages the bot would learn most from.

A label of message i tells of message j through the posterior covariance of their latent functions: it takes
cov_ij^2 / (cov_ii + noise) off the variance at j, whatever the label (Cohn, Ghahramani and Jordan 1996, "Active
Learning with Statistical Models"; Seo et al. 2000, "Gaussian Process Regression: Active Data Selection and Test Point
Rejection"). A message is worth what it takes off at all messages, each weighed by how often it was said and by how torn
the bot is about it. Messages are chosen one after the other, each with the variance the ones before will have left, so
that two wordings of one question are not both asked about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dialogue.learning.heard import Said
from dialogue.model import Model
from dialogue.posterior.kernel import FloatArray
from dialogue.posterior.process import Process
from encoders.tokenizer import tokenize

MOST_MESSAGES = 3000  # the most frequent; the covariance of all pairs is held


@dataclass(frozen=True, slots=True)
class Question:
    """A message to label, the bot's best guess, and what to tell the person about it."""

    text: str
    guess: str
    told: str


def worth_asking(model: Model, said: Sequence[Said], most: int) -> list[Question]:
    """At most so many questions, the most telling first."""
    said = list(said)[:MOST_MESSAGES]
    if not said:
        return []
    process = model.head.process
    views = model.views([tokenize(one.text, model.language) for one in said])
    rows = process.rows(views)
    predictive = model.head.predict(views, keep_draws=False)
    weights = torn(predictive.mean) * np.sqrt([one.times for one in said])
    chosen = select(covariance(process, process.kernel.gram(views), rows), weights, float(process.noise.min()), most)
    questions = []
    for i in chosen:
        mean, best = predictive.mean[i], int(predictive.mean[i].argmax())
        guess = model.meaning.classes[best]
        times = "" if said[i].times == 1 else f" ({said[i].times} times)"
        told = f"{said[i].text!r}{times}: {guess} {mean[best]:.2f}, none of these {predictive.unknown[i]:.2f}"
        questions.append(Question(said[i].text, guess, told))
    return questions


def torn(mean: FloatArray) -> FloatArray:
    """One minus the margin between the two most probable classes of [N, K], in 0..1: [N]."""
    if mean.shape[1] == 1:
        alone: FloatArray = 1 - mean[:, 0]
        return alone
    best = np.sort(mean, axis=1)[:, -2:]
    found: FloatArray = 1 - (best[:, 1] - best[:, 0])
    return found


def covariance(process: Process, prior: FloatArray, rows: FloatArray) -> FloatArray:
    """Posterior covariances [N, N] of new texts: the prior's, less what their rows [N, M] with taught texts tell."""
    reduced = process.reduced(rows)
    found: FloatArray = prior - reduced @ reduced.T
    return found


def select(covariances: FloatArray, weights: FloatArray, noise: float, most: int) -> list[int]:
    """Greedily the texts whose labels take most off the weighted variance at all texts.

    Args:
        covariances: [N, N] posterior covariances.
        weights: [N] of the texts' variances in the sum.
        noise: variance of a label.
        most: how many.
    """
    left = np.array(covariances, np.float64)
    gain = (left**2) @ weights  # of each text, before it is divided by its own variance and noise
    chosen: list[int] = []
    for _ in range(min(most, len(left))):
        score = gain / (left.diagonal() + noise)
        score[chosen] = -np.inf
        best = int(score.argmax())
        chosen.append(best)
        column, scale = left[:, best].copy(), left[best, best] + noise
        gain += -2 * column * (left @ (weights * column)) / scale + column**2 * (weights @ column**2) / scale**2
        left -= np.outer(column, column) / scale
    return chosen
