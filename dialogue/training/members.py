"""Training of the cross-fitted members: the encoders that learn from labels, and the fusion."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dialogue.config import Config
from dialogue.config import Fusion as FusionSection
from dialogue.encoding import EncoderSet
from dialogue.fusion.forward import Fused
from dialogue.fusion.member import Member, out_of_fold, see
from dialogue.fusion.shape import FusionConfig
from dialogue.fusion.units import Units
from dialogue.plugins import build_encoders
from dialogue.posterior.kernel import FloatArray, IntArray, View
from dialogue.posterior.softmax_map import alternate
from dialogue.training.memory import release
from encoders.base import Encoder
from encoders.bert import BertEncoder
from encoders.features import Utterance

Progress = Callable[[str, int, int], None]

FEWEST = 40  # texts; below, nothing that learns from labels can be judged by a fold


@dataclass(frozen=True, slots=True)
class Material:
    """N texts with what the label-free encoders see in them, their class names and numbers, and the stored answers.

    `answer_of` [N] is the number of a text's answer among `answers`, -1 for none.
    """

    utterances: Sequence[Utterance]
    classes: Sequence[str]
    labels: IntArray
    units: Units
    answers: Sequence[Utterance]
    answer_units: Units | None
    answer_of: IntArray


def train_members(
    config: Config, material: Material, encoders: EncoderSet, learners: Sequence[str], progress: Progress
) -> tuple[list[Member], dict[str, View]]:
    """The members, and their views [N, S] of the training texts, each by the member that did not see it."""
    tuned = config.fusion.tune != "none"
    if len(material.labels) < FEWEST or len(np.unique(material.labels)) < 2 or not (tuned or learners):
        return [], {}
    fold = alternate(material.labels, config.fusion.folds, config.seed)
    top = continued_layers(encoders) if tuned else Top(None, [])
    members: list[Member] = []
    outside: list[dict[str, View]] = []
    for m in range(config.fusion.folds):
        rows, rest = np.flatnonzero(fold != m), np.flatnonzero(fold == m)
        own = fit_learners(config, material, learners, rows)
        fusion = None
        if tuned:
            release()
            stage = f"fusion {m + 1} of {config.fusion.folds}"
            fusion = tune(config, material, top, own, rows, rest, lambda a, b, s=stage: progress(s, a, b))  # type: ignore[misc]
        member = Member(own, {name: config.encoders[name].type for name in learners}, fusion)
        release()
        members.append(member)
        outside.append(member.see([material.utterances[int(i)] for i in rest], material.units.pick(rest)))
    return members, out_of_fold(outside, fold)


def fit_learners(config: Config, material: Material, names: Sequence[str], rows: IntArray) -> dict[str, Encoder]:
    """The encoders that learn from labels, fitted on some of the texts."""
    built = build_encoders(config)
    utterances, classes = [material.utterances[int(i)] for i in rows], [material.classes[int(i)] for i in rows]
    return {name: built[name].fit(utterances, classes, seed=config.seed) for name in names}


def tune(
    config: Config,
    material: Material,
    top: Top,
    own: Mapping[str, Encoder],
    rows: IntArray,
    rest: IntArray,
    progress: Callable[[int, int], None],
) -> Fused:
    """A fusion trained on texts `rows`, stopped by texts `rest`."""
    from dialogue.fusion.training import Lessons, Recipe, train_fusion

    section = config.fusion
    units = material.units.beside({name: see(encoder, material.utterances) for name, encoder in own.items()})
    answers = material.answer_units
    if answers is not None:
        answers = answers.beside({name: see(encoder, material.answers) for name, encoder in own.items()})
    network = train_fusion(
        shape_of(section, top, units),
        top.layers or None,
        Lessons(units.pick(rows), material.labels[rows], answers, material.answer_of[rows]),
        (units.pick(rest), material.labels[rest]),
        Recipe(
            epochs=section.epochs,
            patience=section.patience,
            batch_size=section.batch_size,
            learning_rate=section.learning_rate,
            weight_decay=section.weight_decay,
            seed=config.seed,
        ),
        progress,
    )
    return Fused(network.config, network.arrays())


@dataclass(frozen=True, slots=True)
class Top:
    """The last layers of encoder `name`, to continue, and the sizes of a fusion; without, of one from scratch."""

    name: str | None
    layers: list[Mapping[str, FloatArray]]
    width: int = 128
    heads: int = 4
    feed_forward: int = 256
    epsilon: float = 1e-12
    activation: str = "gelu"


def shape_of(section: FusionSection, top: Top, units: Units) -> FusionConfig:
    """The sizes of a fusion that continues `top` and is joined by the other encoders' views."""
    joins = {name: seen for name, seen in units.seen.items() if name != top.name}
    return FusionConfig(
        hidden=top.width,
        heads=top.heads,
        feed_forward=top.feed_forward,
        epsilon=top.epsilon,
        activation=top.activation,
        layers=len(top.layers) or section.layers,
        dropout=section.dropout,
        encoder_dropout=section.encoder_dropout,
        pretrained=bool(top.layers),
        words={name: seen.words.shape[1] for name, seen in joins.items()},
        sentences={name: seen.sentence.shape[1] for name, seen in joins.items()},
    )


def continued_layers(encoders: EncoderSet) -> Top:
    """The last layers of the encoder that the fusion continues."""
    if encoders.continued is None:
        return Top(None, [])
    encoder = encoders.encoders[encoders.continued.name]
    assert isinstance(encoder, BertEncoder)
    found = encoder.top_layers(encoders.continued.layers)
    assert found is not None
    layers = list(found.layers)
    feed_forward = layers[0]["intermediate.dense.weight"].shape[0]
    return Top(encoders.continued.name, layers, encoder.dim, found.heads, feed_forward, found.epsilon, found.activation)
