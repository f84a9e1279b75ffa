"""Training of the cross-fitted members: the encoders that learn from labels, and the fusion."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from dialogue.config import Config
from dialogue.config import Fusion as FusionSection
from dialogue.encoding import EncoderSet
from dialogue.errors import TrainingError
from dialogue.fusion.forward import Fused
from dialogue.fusion.member import Member, fusion_view, out_of_fold, see
from dialogue.fusion.shape import FusionConfig, sizes_of
from dialogue.fusion.units import Units
from dialogue.plugins import build_encoders
from dialogue.posterior.kernel import IntArray, View
from dialogue.posterior.softmax_map import alternate
from dialogue.training.memory import release
from encoders.base import Encoder
from encoders.bert import BertEncoder
from encoders.bert_weights import TopLayers
from encoders.features import Utterance

if TYPE_CHECKING:
    from dialogue.fusion.training import Recipe

Progress = Callable[[str, int, int], None]

WIDTH, HEADS = 128, 4  # of a fusion that continues no encoder
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
    top = continued_layers(encoders) if tuned else None
    members: list[Member] = []
    outside: list[dict[str, View]] = []
    for m in range(config.fusion.folds):
        rows, rest = np.flatnonzero(fold != m), np.flatnonzero(fold == m)
        own = fit_learners(config, material, learners, rows)
        fusions: list[Fused] = []
        notes: dict[str, float] = {}
        if tuned:
            release()
            stage = f"fusion {m + 1} of {config.fusion.folds}"
            fusions, notes = tune(config, material, top, own, rows, rest, lambda a, b, s=stage: progress(s, a, b))  # type: ignore[misc]
        named = {fusion_view(number): fusion for number, fusion in enumerate(fusions)}
        member = Member(own, {name: config.encoders[name].type for name in learners}, named, notes)
        release()
        members.append(member)
        outside.append(member.see([material.utterances[int(i)] for i in rest], material.units.pick(rest)))
    return members, out_of_fold(outside, fold)


def fit_learners(config: Config, material: Material, names: Sequence[str], rows: IntArray) -> dict[str, Encoder]:
    """The encoders that learn from labels, fitted on some of the texts."""
    built = build_encoders(config)
    utterances, classes = [material.utterances[int(i)] for i in rows], [material.classes[int(i)] for i in rows]
    return {name: fit_encoder(name, built[name], utterances, classes, config.seed) for name in names}


def fit_encoder(
    name: str, encoder: Encoder, utterances: Sequence[Utterance], classes: Sequence[str], seed: int
) -> Encoder:
    """Fit one encoder. Raises `TrainingError` with its name where it says that it cannot be."""
    try:
        return encoder.fit(utterances, classes, seed=seed)
    except ValueError as error:
        raise TrainingError(f"encoder {name!r} of bot.yml: {error}") from error


def tune(
    config: Config,
    material: Material,
    top: TopLayers | None,
    own: Mapping[str, Encoder],
    rows: IntArray,
    rest: IntArray,
    progress: Callable[[int, int], None],
) -> tuple[list[Fused], dict[str, float]]:
    """Fusions trained on texts `rows`, stopped by texts `rest`: one, or draws from its posterior and how they went."""
    from dialogue.fusion.sampling import sample_fusions
    from dialogue.fusion.training import Lessons, train_fusion

    posterior = config.posterior
    units = material.units.beside({name: see(encoder, material.utterances) for name, encoder in own.items()})
    answers = material.answer_units
    if answers is not None:
        answers = answers.beside({name: see(encoder, material.answers) for name, encoder in own.items()})
    lessons = Lessons(units.pick(rows), material.labels[rows], answers, material.answer_of[rows])
    held_out = units.pick(rest), material.labels[rest]
    shape, recipe = shape_of(config.fusion, top, units), recipe_of(config)
    many = posterior.fusions if posterior.type == "ensemble" else 1
    networks = [
        train_fusion(
            shape,
            top,
            lessons,
            held_out,
            replace(recipe, seed=config.seed + number),
            lambda done, total, before=number: progress(done + before * total, many * total),  # type: ignore[misc]
        )
        for number in range(many)
    ]
    notes: dict[str, float] = {}
    if posterior.of == "fusion" and posterior.type == "mcmc":
        networks, notes = sample_fusions(networks[0], top, lessons, held_out[0], recipe, posterior.fusions, progress)
    return [Fused.of(network.config, network.arrays()) for network in networks], notes


def recipe_of(config: Config) -> Recipe:
    """How bot.yml has a fusion trained."""
    from dialogue.fusion.training import Recipe

    section = config.fusion
    return Recipe(
        epochs=section.epochs,
        patience=section.patience,
        batch_size=section.batch_size,
        learning_rate=section.learning_rate,
        weight_decay=section.weight_decay,
        seed=config.seed,
    )


def shape_of(section: FusionSection, top: TopLayers | None, units: Units) -> FusionConfig:
    """The sizes of a fusion that continues `top`, or begins with nothing, and reads these views."""
    layers = section.layers or 1
    scratch = {"hidden": WIDTH, "heads": HEADS, "feed_forward": 2 * WIDTH, "layers": layers, "epsilon": 1e-12}
    return FusionConfig(
        **(scratch if top is None else sizes_of(top)),
        dropout=section.dropout,
        encoder_dropout=section.encoder_dropout,
        pretrained=top is not None,
        words={name: seen.words.shape[1] for name, seen in units.seen.items()},
        sentences={name: seen.sentence.shape[1] for name, seen in units.seen.items()},
    )


def continued_layers(encoders: EncoderSet) -> TopLayers | None:
    """The last layers of the encoder that the fusion continues."""
    if encoders.continued is None:
        return None
    encoder = encoders.encoders[encoders.continued.name]
    assert isinstance(encoder, BertEncoder)
    return encoder.top_layers(encoders.continued.layers)
