"""What each encoder contributes: its weight, its share in answers, and what its loss would cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import log_softmax

from dialogue.fusion.forward import Fused
from dialogue.model import Model
from dialogue.posterior.conjugate import calibrate
from dialogue.posterior.kernel import MultiViewKernel, take
from dialogue.posterior.mixture import AnyHead
from dialogue.posterior.process import fit_process
from dialogue.posterior.sample import balanced_sample
from dialogue.posterior.weighing import normalised
from dialogue.report.intervals import bootstrap
from dialogue.report.measures import Estimate
from dialogue.report.outcomes import Floats, Ints
from encoders.tokenizer import tokenize

MOST_TEXTS = 1000  # training texts that the loss is seen on; an [n, n] matrix is inverted for each encoder
MOST_MESSAGES = 300  # messages that shares are averaged over


@dataclass(frozen=True, slots=True)
class Contribution:
    """One view's part.

    Attributes:
        name: of the encoder, or "fusion".
        weight: share of the prior variance, as the evidence chose it; all sum to 1.
        share: of the evidence for the most probable intent, mean over test messages; all sum to 1.
        turn: how far the fused feature turns when the fusion no longer reads the encoder, mean of 1 - cosine over test
            messages; None for what the fusion does not read beside the states it continues.
        loss: nats that the left-out log probability of a training text's label falls by without the view, the others
            taking its weight in proportion; None for a view without weight, and where no other has any.
    """

    name: str
    weight: float
    share: float
    turn: float | None
    loss: Estimate | None


def contributions(model: Model, texts: Sequence[str]) -> list[Contribution]:
    """What each view of a model contributes, the largest share first; shares as seen in (some of) the texts."""
    head = model.head
    some = texts[:: -(-len(texts) // MOST_MESSAGES)]
    shares, turns = mean_shares(model, some), mean_turns(model, some)
    losses = dict.fromkeys(head.weights) | leave_one_out(head)
    found = [
        Contribution(name, weight, shares.get(name, 0.0), turns.get(name), losses[name])
        for name, weight in head.weights.items()
    ]
    return sorted(found, key=lambda one: (-one.share, -one.weight))


def mean_shares(model: Model, texts: Sequence[str]) -> dict[str, float]:
    """Each view's mean share of the evidence for the most probable intent."""
    head, views = model.head, model.views([tokenize(text, model.language) for text in texts])
    rows = head.by_view(views, head.views)
    top = np.argmax(head.predict(views, keep_draws=False).known, axis=1)
    each = [
        head.contributions({name: row[i : i + 1] for name, row in rows.items()}, int(intent))
        for i, intent in enumerate(top)
    ]
    told = [one for one in each if one]  # a text that nothing speaks for has none
    return {name: float(np.mean([one[name] for one in told])) for name in rows} if told else {}


def mean_turns(model: Model, texts: Sequence[str]) -> dict[str, float]:
    """How much the fusion makes of each encoder, by occlusion: 1 - cosine of the fused features with and without it."""
    utterances = [tokenize(text, model.language) for text in texts]
    units = model.encoders.see(utterances)
    turns: dict[str, list[float]] = {}
    for member in model.members:
        whole = member.see(utterances, units)
        for view, fusion in member.fusions.items():
            for name in {**fusion.config.words, **fusion.config.sentences}:
                without = replace(member, fusions={view: closed(fusion, name)}).see(utterances, units)
                turns.setdefault(name, []).append(float(1 - (whole[view] * without[view]).sum(axis=1).mean()))
    return {name: float(np.mean(values)) for name, values in turns.items()}


def closed(fusion: Fused, name: str) -> Fused:
    """The fusion with the gates shut that let one encoder in."""
    gates = [f"{kind}.{name}.gate" for kind in ("words", "sentences")]
    shut = {gate: np.zeros_like(fusion.gates[gate]) for gate in gates if gate in fusion.gates}
    return replace(fusion, gates={**fusion.gates, **shut})


def leave_one_out(head: AnyHead) -> dict[str, Estimate]:
    """For each view that has a weight, what its loss would cost; nothing where it is alone."""
    p = head.process
    repeated = np.flatnonzero(np.bincount(p.labels)[p.labels] > 1)
    used = [name for name, part in p.kernel.parts.items() if part.weight > 0]
    if len(used) < 2 or not len(repeated):
        return {}
    rows = balanced_sample(p.labels, repeated, MOST_TEXTS, 0)
    whole = left_out_log(head, p.kernel, rows)
    found = {}
    for name in used:
        rest = normalised({other: part for other, part in p.kernel.parts.items() if other != name})
        found[name] = mean_of(whole - left_out_log(head, rest, rows))
    return found


def mean_of(values: Floats) -> Estimate:
    """The mean of [n] with its interval."""
    everything = np.ones(len(values), bool)
    return Estimate(float(values.mean()), *bootstrap(lambda rows: float(values[rows].mean()), everything))


def left_out_log(head: AnyHead, kernel: MultiViewKernel, rows: Ints) -> Floats:
    """The log probability of the labels of some training texts, each by the others among them: [n]."""
    p = head.process
    names, labels = np.unique(p.labels[rows], return_inverse=True)
    views = {name: view for name, view in take(p.views, rows).items() if name in kernel.parts}
    out = fit_process(kernel, views, labels, len(names), p.noise[rows]).example_out
    log_p: Floats = log_softmax(calibrate(out, labels, 0).left_out.logits(out.mean).astype(float), axis=1)
    return log_p[np.arange(len(labels)), labels]
