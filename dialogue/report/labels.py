"""Training examples whose labels deserve a second look.

What the others say of an example that is left out is known in closed form, so a label that the rest of the data speaks
against can be told without a second training: the idea of confident learning (Northcutt, Jiang and Chuang 2021,
"Confident learning: estimating uncertainty in dataset labels"), with left-out probabilities of a Gaussian process in
place of cross-validation. Examples of two intents that the kernel can hardly tell apart are listed beside them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dialogue.posterior.conjugate import calibrate
from dialogue.posterior.kernel import BLOCK, take
from dialogue.posterior.mixture import AnyHead
from dialogue.posterior.process import fit_process
from dialogue.report.outcomes import Floats
from dialogue.training.types import Example

DOUBT = 0.5  # probability of another intent from which a label is doubted
ALIKE = 0.7  # prior correlation from which two examples are taken for near duplicates; most of one intent have .1 to .5


@dataclass(frozen=True, slots=True)
class Suspect:
    """An example, the probability that the others give its label, and the intent they prefer."""

    example: Example
    label: float
    other: str
    preferred: float


@dataclass(frozen=True, slots=True)
class Twins:
    """Two examples of different intents that are nearly one: `alike` is the correlation of their latent functions."""

    first: Example
    second: Example
    alike: float


def left_out(head: AnyHead) -> Floats:
    """The probabilities [N, K] of each training text's intent by all the others."""
    p = head.process
    fit = fit_process(p.kernel, p.views, p.labels, p.alpha.shape[1], p.noise)
    link = calibrate(fit.example_out, p.labels, 0).left_out
    found: Floats = link(fit.example_out.mean).astype(float)
    return found


def suspects(belief: Floats, classes: Sequence[str], examples: Sequence[Example]) -> list[Suspect]:
    """Examples that the others would rather give to another intent, the most doubtful first.

    Args:
        belief: [M, K] left-out probabilities of the classes, M at least as many as there are examples.
        classes: [K] names.
        examples: whose label was learned; of an intent with one example that one cannot be judged.
    """
    number = {name: k for k, name in enumerate(classes)}
    labels = np.array([number[example.intent] for example in examples], np.int64)
    rows = np.arange(len(labels))
    own = belief[rows, labels]
    others = belief[: len(labels)].copy()
    others[rows, labels] = -1.0
    best = others.argmax(axis=1)
    strongest = others[rows, best]
    doubted = np.flatnonzero((strongest >= DOUBT) & (np.bincount(labels, minlength=len(classes))[labels] > 1))
    order = doubted[np.argsort(own[doubted] - strongest[doubted], kind="stable")]
    return [Suspect(examples[i], float(own[i]), classes[best[i]], float(strongest[i])) for i in order]


def twins(head: AnyHead, examples: Sequence[Example]) -> list[Twins]:
    """Pairs of examples of different intents that look nearly the same to the bot, the most alike first."""
    p, n = head.process, len(examples)
    views, labels = take(p.views, slice(0, n)), p.labels[:n]
    found = []
    for start in range(0, n, BLOCK):
        rows = slice(start, min(start + BLOCK, n))
        alike = p.kernel(take(views, rows), views)
        alike[labels[rows, None] == labels[None]] = 0.0
        for i, j in zip(*np.nonzero(alike >= ALIKE), strict=True):
            if start + i < j:
                found.append(Twins(examples[start + i], examples[j], float(alike[i, j])))
    return sorted(found, key=lambda pair: -pair.alike)


def repeated(examples: Sequence[Example], asked: Sequence[str]) -> tuple[int, int]:
    """How many examples say again what another of their intent says, and how many messages asked are among them all.

    Case, spaces and punctuation do not count.
    """
    said = [(bare(example.text), example.intent) for example in examples]
    texts = {text for text, _ in said}
    return len(said) - len(set(said)), sum(bare(text) in texts for text in asked)


def bare(text: str) -> str:
    """A text without what does not change what it says."""
    return " ".join(re.findall(r"\w+", text.casefold())) or text
