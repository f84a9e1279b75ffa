"""Several heads, each with a view of its own beside those they share: the posterior predictive is their equal mixture.

Where a feature under the head is itself uncertain, each draw from its posterior gives one view of every text, and a
head in closed form. What is said of a new text is then the mean over the draws; deep ensembles (Lakshminarayanan et al.
2017, arXiv:1612.01474) take networks trained from several seeds for them. The draws of all heads lie side by side, and
mean, interval, entropy and mutual information are those of the union.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np

from dialogue.posterior.arrays import load_arrays, save_arrays
from dialogue.posterior.base import Predictive
from dialogue.posterior.conjugate import ConjugatePosterior
from dialogue.posterior.head import Head, HeadConfig, LeftOutScores, assemble, fit_kernel
from dialogue.posterior.intent_prior import IntentPrior
from dialogue.posterior.kernel import FloatArray, IntArray, View, ViewKernel, Views
from dialogue.posterior.predictive import in_blocks, predictive
from dialogue.posterior.process import Fit, LeftOut, Process

FILE, SCORES = "mixture.json", "left_out.safetensors"


@dataclass(frozen=True, slots=True)
class Mixture:
    """Stands where a `Head` does.

    Attributes:
        view: what every head calls the view that is its own.
        heads: by what that view is called outside.
        left_out: scores of the mixture.
        told: what a person should know of how the draws under the heads came out.
    """

    view: str
    heads: Mapping[str, Head]
    left_out: LeftOutScores
    told: Mapping[str, float]

    @property
    def first(self) -> Head:
        """One of the heads, for what looks into a single process."""
        return next(iter(self.heads.values()))

    @property
    def process(self) -> Process:
        """That of the first head."""
        return self.first.process

    @property
    def config(self) -> HeadConfig:
        """Of every head."""
        return self.first.config

    @property
    def intent_prior(self) -> IntentPrior | None:
        """Of every head."""
        return self.first.intent_prior

    @property
    def evidence(self) -> float:
        """Mean over the heads."""
        return float(np.mean([head.evidence for head in self.heads.values()]))

    @property
    def views(self) -> Views:
        """Of the N training texts, each head's own under its outer name."""
        return {**self.first.views, **{name: head.views[self.view] for name, head in self.heads.items()}}

    @property
    def weights(self) -> dict[str, float]:
        """How much each view is believed, the mean over the heads."""
        return mean_of([head.weights for head in self.heads.values()])

    def notes(self) -> dict[str, float]:
        """How many heads there are, how the draws under them came out, and what the heads tell, on average."""
        return {"heads": float(len(self.heads)), **self.told, **mean_of([h.notes() for h in self.heads.values()])}

    def expecting(self, prior: IntentPrior) -> Mixture:
        """With that prior of use."""
        return replace(self, heads={name: head.expecting(prior) for name, head in self.heads.items()})

    def seen(self, name: str, views: Views) -> dict[str, View]:
        """Views as the head of that name knows them."""
        return {**views, self.view: views[name]}

    def by_view(self, views: Views, taught: Views) -> dict[str, FloatArray]:
        """Each view's part of the kernel rows [B, T, N] of B texts, for T heads; `taught` as `views` gives them."""
        each = [head.by_view(self.seen(name, views), self.seen(name, taught)) for name, head in self.heads.items()]
        names = dict.fromkeys(name for one in each for name in one)
        nothing = np.zeros_like(next(iter(each[0].values())))
        return {name: np.stack([one.get(name, nothing) for one in each], axis=1) for name in names}

    def predict(self, views: Views, *, keep_draws: bool = True, lean: FloatArray | None = None) -> Predictive:
        """The posterior predictive of B texts from their views; without its draws on request, which are large."""
        taught = self.views

        def block(some: Views, leaning: FloatArray | None) -> Predictive:
            return self.predict_rows(np.sum(list(self.by_view(some, taught).values()), axis=0), lean=leaning)

        return in_blocks(views, block, keep_draws, lean)

    def predict_rows(self, rows: FloatArray, *, bounded: bool = True, lean: FloatArray | None = None) -> Predictive:
        """The posterior predictive of B texts from their kernel rows [B, T, N]; see `Head.predict_rows`."""
        drawn = [head.draw(rows[:, t]) for t, head in enumerate(self.heads.values())]
        known, unknown = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
        return predictive(known, unknown, self.config.interval if bounded else None, lean)

    def contributions(self, parts: Mapping[str, FloatArray], intent: int) -> dict[str, float]:
        """How much each view speaks for `intent` in one text, the mean over the heads; `parts` are [1, T, N]."""
        each = [
            head.contributions({name: rows[:, t] for name, rows in parts.items()}, intent)
            for t, head in enumerate(self.heads.values())
        ]
        told = [one for one in each if one]  # a head in which nothing speaks for it has none
        return mean_of(told) if told else {}

    def teach(self, views: Views, label: int) -> Mixture:
        """Every head conditioned on one more text as well, in closed form; see `Head.teach`."""
        fits = {name: head.fit_with(self.seen(name, views), label) for name, head in self.heads.items()}
        heads = {name: head.taught(fits[name]) for name, head in self.heads.items()}
        return replace(self, heads=heads, left_out=mixed_scores(list(heads.values()), list(fits.values())))

    def save(self, folder: Path) -> None:
        """Write mixture.json, left_out.safetensors, and a folder for each head."""
        settings = {"view": self.view, "heads": list(self.heads), "told": dict(self.told)}
        (folder / FILE).write_text(json.dumps(settings, indent=1), "utf-8")
        save_arrays(folder / SCORES, {name: getattr(self.left_out, name) for name in LeftOutScores.__slots__})
        for number, head in enumerate(self.heads.values()):
            (folder / str(number)).mkdir()
            head.save(folder / str(number))

    @classmethod
    def load(cls, folder: Path) -> Mixture:
        """Read what `save` wrote; views that the heads share are held once. Raises `ValueError` when it is damaged."""
        try:
            settings = json.loads((folder / FILE).read_text("utf-8"))
            view, names, told = str(settings["view"]), list(settings["heads"]), dict(settings["told"])
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{folder / FILE} is missing or damaged: {error}") from error
        heads = {name: Head.load(folder / str(number)) for number, name in enumerate(names)}
        shared = next(iter(heads.values())).views
        for name, head in heads.items():
            views = {**shared, view: head.views[view]}
            heads[name] = replace(head, process=replace(head.process, views=views))
        return cls(view, heads, LeftOutScores(**load_arrays(folder / SCORES, LeftOutScores.__slots__)), told)


AnyHead: TypeAlias = Head | Mixture


def load_head(folder: Path) -> AnyHead:
    """Whichever was saved. Raises `ValueError` naming a missing or damaged file."""
    return Mixture.load(folder) if (folder / FILE).exists() else Head.load(folder)


def fit_mixture(
    config: HeadConfig,
    view: str,
    own: Sequence[str],
    views: Views,
    labels: IntArray,
    classes: int,
    start: Mapping[str, ViewKernel],
    *,
    seed: int,
    looseness: FloatArray | None = None,
    told: Mapping[str, float] | None = None,
) -> Mixture:
    """Fit a head for each of several views, with its share of the draws.

    Args:
        config: of the mixture; its posterior is `conjugate`.
        view: what each head calls the view that is its own; `start` knows it by this name.
        own: the names in `views` of those views; all other views are shared.
        views: as of `fit_head`, like the rest.
        labels: see there.
        classes: see there.
        start: see there.
        seed: of the first head; that of the others is one more each.
        looseness: see there.
        told: see `Mixture`.
    """
    config = replace(config, samples=-(-config.samples // len(own)))
    shared = {name: rows for name, rows in views.items() if name not in own}
    begin = {name: start[name] for name in (*shared, view)}
    fits, heads = [], {}
    for number, name in enumerate(own):
        fit, evidence = fit_kernel({**shared, view: views[name]}, labels, classes, begin, seed + number, looseness)
        fits.append(fit)
        heads[name] = assemble(config, fit, evidence, seed=seed + number)
    return Mixture(view, heads, mixed_scores(list(heads.values()), fits), told or {})


def mixed_scores(heads: Sequence[Head], fits: Sequence[Fit]) -> LeftOutScores:
    """The scores of the mixture: the highest of its mean probabilities, where each head leaves the same texts out."""
    labels = fits[0].process.labels
    known = np.mean([chances(head, fit.example_out) for head, fit in zip(heads, fits, strict=True)], axis=0)
    unknown = np.zeros(len(labels), np.float32)
    if known.shape[1] > 1:  # leaving out the only intent leaves none to be sure of
        chance = np.mean([chances(head, fit.intent_out) for head, fit in zip(heads, fits, strict=True)], axis=0)
        unknown = chance.max(axis=1)
    return LeftOutScores(known.max(axis=1), known.argmax(axis=1) == labels, unknown)


def chances(head: Head, out: LeftOut) -> FloatArray:
    """A head's probabilities [N, K] of the intents for texts that are left out, at the latent means."""
    assert isinstance(head.posterior, ConjugatePosterior)
    none = head.unknown.at(out.mean, out.nearest, head.config.unknown_prior)
    return ((1 - none[:, None]) * head.posterior.left_out_link_(out.mean)).astype(np.float32)


def mean_of(several: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each number; one that is missing counts as none."""
    return {name: sum(one.get(name, 0.0) for one in several) / len(several) for one in several for name in one}
