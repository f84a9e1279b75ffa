"""From views to a posterior predictive: the kernel, the process, the unknown and the posterior put together."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from dialogue.posterior.arrays import load_arrays, load_views, save_arrays, save_views
from dialogue.posterior.base import Posterior, Predictive, Teachable
from dialogue.posterior.conjugate import ConjugatePosterior, calibrate
from dialogue.posterior.family import Choice, build, posterior_class
from dialogue.posterior.intent_prior import IntentPrior
from dialogue.posterior.kernel import FloatArray, IntArray, MultiViewKernel, ViewKernel, Views, join
from dialogue.posterior.link import Link
from dialogue.posterior.predictive import in_blocks, predictive
from dialogue.posterior.process import Fit, Process, fit_process
from dialogue.posterior.unknown import Unknown, fit_unknown

PROCESS_ARRAYS = ("labels", "noise", "alpha", "reduce", "inducing")


@dataclass(frozen=True, slots=True)
class HeadConfig:
    """Which posterior, and how wide its credible interval (a probability), its prior of the unknown, its draws S."""

    posterior: Choice = field(default_factory=Choice)
    interval: float = 0.9
    unknown_prior: float = 0.1
    samples: int = 256


@dataclass(frozen=True, slots=True)
class LeftOutScores:
    """How sure the bot would be of its own training texts if it had not seen them.

    `known` [N] is the highest intent probability of a text left out by itself, `right` [N] whether that intent is the
    text's, `unknown` [N] the highest probability when the whole intent is left out and no answer can be right.
    """

    known: FloatArray
    right: NDArray[np.bool_]
    unknown: FloatArray


@dataclass(frozen=True, slots=True)
class Head:
    """Everything above the views, fitted."""

    config: HeadConfig
    process: Process
    unknown: Unknown
    posterior: Posterior
    evidence: float
    left_out: LeftOutScores
    intent_prior: IntentPrior | None = None  # of use; None leaves the shares of the training texts

    @property
    def views(self) -> Views:
        """Of the N training texts."""
        return self.process.views

    @property
    def weights(self) -> dict[str, float]:
        """How much each view is believed; they sum to 1."""
        return {name: part.weight for name, part in self.process.kernel.parts.items()}

    def notes(self) -> dict[str, float]:
        """What a person should know of how the posterior came out."""
        return self.posterior.notes()

    def expecting(self, prior: IntentPrior) -> Self:
        """With that prior of use."""
        return replace(self, intent_prior=prior)

    def by_view(self, views: Views, taught: Views) -> dict[str, FloatArray]:
        """Each view's part of the kernel rows [B, N] of B texts; `taught` are the head's own views."""
        return self.process.kernel.by_view(views, taught)

    def predict(self, views: Views, *, keep_draws: bool = True, lean: FloatArray | None = None) -> Predictive:
        """The posterior predictive of B texts from their views; without its draws on request, which are large."""
        return in_blocks(
            views, lambda block, some: self.predict_rows(self.process.rows(block), lean=some), keep_draws, lean
        )

    def predict_rows(self, rows: FloatArray, *, bounded: bool = True, lean: FloatArray | None = None) -> Predictive:
        """The posterior predictive of B texts from their kernel rows [B, N].

        Args:
            rows: covariances with the training texts.
            bounded: whether its bounds are wanted; without them both are the mean.
            lean: [B, K] nats that other evidence of the same texts adds to each intent, given that it is one.
        """
        return predictive(*self.draw(rows), self.config.interval if bounded else None, lean)

    def draw(self, rows: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Draws of the intents' probabilities [S, B, K], given that it is one, and of the unknown's [S, B]."""
        latent = self.process.latent(rows)
        draws = self.posterior.draw(latent)
        if self.intent_prior is not None:
            draws = self.intent_prior(draws)
        unknown = self.unknown.draw(latent, self.config.unknown_prior, draws)
        if not np.isfinite(draws).all() or not np.isfinite(unknown).all():
            raise FloatingPointError("the posterior gave a number that is not finite")
        return draws, unknown

    def contributions(self, parts: Mapping[str, FloatArray], intent: int) -> dict[str, float]:
        """How much each view speaks for `intent` in one text: its share of the positive part of the latent mean.

        `parts` are the kernel rows [1, N] by view.
        """
        support = {name: max(0.0, float(k[0] @ self.process.alpha[:, intent])) for name, k in parts.items()}
        total = sum(support.values())
        return {name: value / total for name, value in support.items()} if total > 0 else {}

    def teach(self, views: Views, label: int) -> Head:
        """Conditioned on one more text as well, with the same kernel and noise: views of a batch of one, its class.

        The class may be the next new one, K.
        """
        return self.taught(self.fit_with(views, label))

    def fit_with(self, views: Views, label: int) -> Fit:
        """The process conditioned on one more text."""
        p = self.process
        return fit_process(
            p.kernel,
            join([p.views, views]),
            np.append(p.labels, label),
            max(p.alpha.shape[1], label + 1),
            np.append(p.noise, p.noise.min()).astype(np.float32),
        )

    def taught(self, fit: Fit) -> Head:
        """The head on what `fit_with` gave."""
        taught = self.posterior.teach(fit.process) if isinstance(self.posterior, Teachable) else None
        prior = self.intent_prior
        if prior is not None and fit.process.alpha.shape[1] > self.process.alpha.shape[1]:
            prior = prior.grown()
        return replace(assemble(self.config, fit, self.evidence, seed=0, posterior=taught), intent_prior=prior)

    def save(self, folder: Path) -> None:
        """Write head.json, views.safetensors, process.safetensors and the posterior's own files."""
        p = self.process
        kernel = {name: [part.weight, part.slope] for name, part in p.kernel.parts.items()}
        settings = {
            "config": asdict(self.config),
            "kernel": kernel,
            "unknown": list(self.unknown.weights),
            "amplitude": p.amplitude,
            "evidence": None if np.isnan(self.evidence) else self.evidence,
            "intent_prior": None if self.intent_prior is None else self.intent_prior.as_dict(),
        }
        (folder / "head.json").write_text(json.dumps(settings, indent=1), "utf-8")
        save_views(folder / "views.safetensors", p.views)
        arrays = {name: getattr(p, name) for name in PROCESS_ARRAYS}
        arrays.update({f"left_out.{name}": getattr(self.left_out, name) for name in LeftOutScores.__slots__})
        save_arrays(folder / "process.safetensors", arrays)
        self.posterior.save(folder)

    @classmethod
    def load(cls, folder: Path) -> Head:
        """Read what `save` wrote. Raises `ValueError` naming a missing or damaged file."""
        file = folder / "head.json"
        try:
            settings = json.loads(file.read_text("utf-8"))
            given = settings["config"]
            config = HeadConfig(**{**given, "posterior": Choice(**given["posterior"])})
            kernel = MultiViewKernel({name: ViewKernel(w, g) for name, (w, g) in settings["kernel"].items()})
            bias, mean, near = settings["unknown"]
            evidence = settings["evidence"]
            amplitude = settings["amplitude"]
            prior = None if settings.get("intent_prior") is None else IntentPrior.of(settings["intent_prior"])
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{file} is missing or damaged: {error}") from error
        scores = {name: f"left_out.{name}" for name in LeftOutScores.__slots__}
        arrays = load_arrays(folder / "process.safetensors", (*PROCESS_ARRAYS, *scores.values()))
        left_out = LeftOutScores(**{name: arrays.pop(stored) for name, stored in scores.items()})
        process = Process(kernel, load_views(folder / "views.safetensors"), amplitude=amplitude, **arrays)
        posterior = posterior_class(config.posterior.type).load(folder)
        evidence = float("nan") if evidence is None else float(evidence)
        return cls(config, process, Unknown((bias, mean, near)), posterior, evidence, left_out, prior)


def fit_head(
    config: HeadConfig,
    views: Views,
    labels: IntArray,
    classes: int,
    start: Mapping[str, ViewKernel],
    *,
    seed: int,
    looseness: FloatArray | None = None,
) -> Head:
    """Fit everything above the views.

    Args:
        config: see `HeadConfig`.
        views: of N texts, rows of length one.
        labels: [N] integers below `classes`.
        classes: K.
        start: where the search for the kernel begins.
        seed: of samples and draws.
        looseness: [N] factor on the noise of a label: above 1 for what is only a hint (a description). Default 1.
    """
    return assemble(config, *fit_kernel(views, labels, classes, start, seed, looseness), seed=seed)


def fit_kernel(
    views: Views,
    labels: IntArray,
    classes: int,
    start: Mapping[str, ViewKernel],
    seed: int,
    looseness: FloatArray | None,
) -> tuple[Fit, float]:
    """The process with the views weighed, and the evidence for their weights; arguments as of `fit_head`."""
    from dialogue.posterior.weighing import weigh

    weighed = weigh(views, labels, start, seed=seed)
    noise = np.full(len(labels), weighed.noise, np.float32)
    if looseness is not None:
        noise *= looseness
    return fit_process(weighed.kernel, views, labels, classes, noise), weighed.evidence


def assemble(config: HeadConfig, fit: Fit, evidence: float, *, seed: int, posterior: Posterior | None = None) -> Head:
    """The head on a fitted process; with a posterior that has learned already, or one to be fitted."""
    if posterior is None:
        posterior = build(config.posterior).fit(fit, samples=config.samples, seed=seed)
    unknown = fit_unknown(fit)
    if isinstance(posterior, ConjugatePosterior):
        link = posterior.left_out_link_
    else:
        link = calibrate(fit.example_out, fit.process.labels, seed).left_out
    scores = left_out_scores(fit, unknown, config.unknown_prior, link)
    return Head(config, fit.process, unknown, posterior, evidence, scores)


def left_out_scores(fit: Fit, unknown: Unknown, prior: float, link: Link) -> LeftOutScores:
    """The scores of `LeftOutScores`, at the latent means."""
    labels = fit.process.labels

    def top(mean: FloatArray, nearest: FloatArray) -> FloatArray:
        known = link(mean).max(axis=1)
        return ((1 - unknown.at(mean, nearest, prior)) * known).astype(np.float32)  # type: ignore[no-any-return]

    alone = fit.process.alpha.shape[1] == 1  # leaving out the only intent leaves none to be sure of
    return LeftOutScores(
        known=top(fit.example_out.mean, fit.example_out.nearest),
        right=fit.example_out.mean.argmax(axis=1) == labels,
        unknown=np.zeros(len(labels), np.float32) if alone else top(fit.intent_out.mean, fit.intent_out.nearest),
    )
