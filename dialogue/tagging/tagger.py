"""The trained tagger: from a text and what the encoders see in it to entities with their probabilities."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import numpy as np

from dialogue.fusion.forward import Fused
from dialogue.fusion.member import load_fusion, save_fusion
from dialogue.fusion.units import Units, pad
from dialogue.posterior.arrays import load_arrays, save_arrays
from dialogue.posterior.kernel import FloatArray
from dialogue.tagging.agreement import Taught, taught
from dialogue.tagging.crf import Chain, Potentials, spans
from dialogue.tagging.features import Patterns, alone, dense_words, marks, piece_vectors, shares
from dialogue.tagging.forward import (
    LEARNED,
    POTENTIALS,
    SHARED,
    Network,
    Spellings,
    form,
    mean_emissions,
    prefix,
    split,
)
from dialogue.tagging.tags import Label, Piece, Span, labels_of, pieces_of, tag_count, tags_of
from encoders.bert_weights import TopLayers
from encoders.features import Utterance
from policies.types import Entity

FILE, ARRAYS, COSTS, LAYERS = "tagger.json", "tagger.safetensors", "costs", "layers-"
EXTRACTOR = "tagger"
FEWEST_PAIRED = 2000  # texts with an entity, from which on pairs of neighbours are read, too
TOGETHER = 64  # texts read at once
PLAIN = 6  # texts without an entity that are learned from, for each with one


@dataclass(frozen=True, slots=True)
class Reading:
    """What the tagger makes of one text before its intent is known: potentials of tags for its n pieces.

    `emission` is [n, T], calibrated, in nats.
    """

    text: str
    pieces: Sequence[Piece]
    emission: Potentials


@dataclass(frozen=True)
class Tagger:
    """Finds entities.

    Attributes:
        labels: what it tells apart.
        encoders: whose words it reads, in this order.
        patterns: regular expressions of the bot that are features.
        vocabulary: pieces, characters and pairs of pieces it knows.
        arrays: see `dialogue.tagging.forward`.
        taught: which labels are those of which intent.
        layers: its own tuned copies of layers of the pretrained encoders, where it had enough to learn from. The first
            networks read them, one each.
    """

    labels: tuple[Label, ...]
    encoders: tuple[str, ...]
    patterns: tuple[tuple[str, str], ...]
    vocabulary: Spellings
    arrays: Mapping[str, FloatArray]
    taught: Taught
    layers: Mapping[str, Fused] = field(default_factory=dict)

    @cached_property
    def temperature(self) -> float:
        """What potentials are divided by to be calibrated."""
        return float(self.arrays["temperature"][0])

    @cached_property
    def chain(self) -> Chain:
        """Calibrated potentials between tags."""
        return Chain.constrained(*(self.arrays[name] / self.temperature for name in POTENTIALS))

    @cached_property
    def networks(self) -> list[Network]:
        """What gives emissions."""
        return split(self.arrays)

    def read(self, utterances: Sequence[Utterance], units: Units) -> list[Reading]:
        """What the tagger makes of each text of the units."""
        pieces = [pieces_of(utterance) for utterance in utterances]
        filled = [number for number, some in enumerate(pieces) if some]
        emissions: list[Potentials] = [np.zeros((0, tag_count(self.labels)))] * len(pieces)
        for start in range(0, len(filled), TOGETHER):
            rows = filled[start : start + TOGETHER]
            ends = np.cumsum([len(pieces[number]) for number in rows])[:-1]
            found = self._emissions(utterances, units, rows, [pieces[number] for number in rows])
            for number, one in zip(rows, np.split(found, ends), strict=True):
                emissions[number] = one
        texts = [utterance.text for utterance in utterances]
        return [Reading(*one) for one in zip(texts, pieces, emissions, strict=True)]

    def lean(self, readings: Sequence[Reading]) -> FloatArray:
        """[B, I] nats that the entities of each of B texts add to each of the intents of `taught`."""
        return self.taught.lean(self.chain, [reading.emission for reading in readings])

    def entities(self, reading: Reading, belief: FloatArray | None = None) -> tuple[Entity, ...]:
        """The entities of a text, in order, under a belief [I] in the intents of `taught`.

        Confidences are posterior probabilities.
        """
        emission = reading.emission.copy()
        if belief is not None:
            emission[:, 1::2] += self.taught.expected(belief)  # at the tags of first pieces
        return tuple(self._entity(reading, span, probability) for span, probability in spans(self.chain, emission))

    def _emissions(
        self, utterances: Sequence[Utterance], units: Units, rows: Sequence[int], texts: Sequence[Sequence[Piece]]
    ) -> Potentials:
        """[n, T] of the n pieces of the texts `rows`, calibrated, in double precision."""
        units = replace(units, seen={name: units.seen[name] for name in self.encoders})  # in this order
        patterns = compiled(self.patterns)
        dense = [piece_vectors(units, number, some) for number, some in zip(rows, texts, strict=True)]
        seen = [marks(utterances[number].text, some, patterns) for number, some in zip(rows, texts, strict=True)]
        tuned = [self.tune(name, units, rows, texts) for name in self.layers]
        inputs = np.concatenate(dense), np.concatenate(seen), tuned
        found = mean_emissions(self.vocabulary, self.networks, texts, *inputs)
        return found.astype(np.float64) / self.temperature

    def tune(self, name: str, units: Units, rows: Sequence[int], texts: Sequence[Sequence[Piece]]) -> FloatArray:
        """[n, H]: what the tuned layers of an encoder make of each of the n pieces of the texts `rows`."""
        early, layers = units.early[name], self.layers[name]
        below = alone([early.states[number] for number in rows])
        states = layers.states(pad(below, np.arange(len(rows)), layers.config.hidden, ()))  # [B, s, H]
        offsets = [early.offsets[number] for number in rows]
        return np.concatenate(
            [shares(some, here) @ state[: len(here)] for some, here, state in zip(texts, offsets, states, strict=True)]
        )

    def _entity(self, reading: Reading, span: Span, probability: float) -> Entity:
        label = self.labels[span.label]
        start, end = reading.pieces[span.first].start, reading.pieces[span.last - 1].end
        role, group = label.role or None, label.group or None
        return Entity(label.entity, start, end, reading.text[start:end], EXTRACTOR, probability, role, group)

    def save(self, folder: Path) -> None:
        """Write tagger.json, tagger.safetensors and the tuned layers of each encoder into an existing folder."""
        settings = {
            "labels": [[label.entity, label.role, label.group] for label in self.labels],
            "encoders": list(self.encoders),
            "patterns": [list(pattern) for pattern in self.patterns],
            "words": list(self.vocabulary.words),
            "characters": list(self.vocabulary.characters),
            "pairs": list(self.vocabulary.pairs),
            "intents": list(self.taught.intents),
            "tuned": list(self.layers),
        }
        (folder / FILE).write_text(json.dumps(settings, ensure_ascii=False), "utf-8")
        save_arrays(folder / ARRAYS, {**self.arrays, COSTS: self.taught.costs})
        for name, layers in self.layers.items():
            save_fusion(folder, layers, LAYERS + name)

    @classmethod
    def load(cls, folder: Path) -> Tagger:
        """Read what `save` wrote. Raises `ValueError` naming a missing or damaged file."""
        file = folder / FILE
        try:
            settings = json.loads(file.read_text("utf-8"))
            labels = tuple(Label(*label) for label in settings["labels"])
            patterns = tuple((str(name), str(pattern)) for name, pattern in settings["patterns"])
            known = ({str(x): i for i, x in enumerate(settings[k], 2)} for k in ("words", "characters", "pairs"))
            vocabulary = Spellings(*known)
            encoders, intents, tuned = (tuple(map(str, settings[k])) for k in ("encoders", "intents", "tuned"))
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{file} is missing or damaged: {error}") from error
        arrays = load_arrays(folder / ARRAYS, (*(prefix(0) + name for name in LEARNED), *SHARED, COSTS))
        said = Taught(intents, arrays.pop(COSTS))
        if len(arrays["start"]) != tag_count(labels):
            raise ValueError(f"{file} and {ARRAYS} do not fit: {len(labels)} labels, {len(arrays['start'])} tags")
        if said.costs.shape != (len(intents), len(labels)):
            raise ValueError(f"{file} and {ARRAYS} do not fit: {len(intents)} intents, costs {said.costs.shape}")
        layers = {name: load_fusion(folder, LAYERS + name) for name in tuned}
        return cls(labels, encoders, patterns, vocabulary, arrays, said, layers)


def fit_tagger(
    utterances: Sequence[Utterance],
    annotated: Sequence[Sequence[Entity]],
    units: Units,
    patterns: Sequence[tuple[str, str]],
    tops: Mapping[str, TopLayers] = MappingProxyType({}),
    *,
    intents: Sequence[str | None] = (),
    seed: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Tagger | None:
    """Learn from N texts with their entities; None where none is annotated, or none that is a piece or more.

    Args:
        utterances: the texts.
        annotated: the entities of each.
        units: what the encoders see in them.
        patterns: names and regular expressions that may help.
        tops: layers of pretrained encoders that go on from their early states, to be copied and tuned.
        intents: of each text, where they are known; None for what is no example of one.
        seed: of everything random.
        progress: is told passes done and due.
    """
    from dialogue.tagging.training import Lesson, halved, standard, train_networks, vocabulary_of

    labels, rows = labels_of(annotated), learned_from(utterances, annotated, seed)
    if not rows:
        return None
    pieces = {i: pieces_of(utterances[i]) for i in rows}
    vectors = {i: halved(piece_vectors(units, i, pieces[i])) for i in rows}  # half the memory
    mean, scale = standard(np.concatenate(list(vectors.values())))
    found = compiled(patterns)
    lessons = [
        Lesson(
            [form(piece) for piece in pieces[i]],
            halved((vectors[i] - mean) * scale),
            marks(utterances[i].text, pieces[i], found),
            tags_of(pieces[i], annotated[i], labels),
        )
        for i in rows
    ]
    if not any(lesson.tags.any() for lesson in lessons):
        return None
    courses: list[tuple[TopLayers | None, list[Lesson]]] = []
    for name, top in tops.items():
        early = units.early[name].pick(np.array(rows))
        read = zip(lessons, early.states, map(shares, pieces.values(), early.offsets), strict=True)
        courses.append((top, [replace(lesson, states=states, shares=some) for lesson, states, some in read]))
    vocabulary = vocabulary_of(lessons, paired=sum(map(bool, annotated)) >= FEWEST_PAIRED)
    if not courses or vocabulary.pairs:
        courses.append((None, lessons))
    arrays, layers = train_networks(courses, vocabulary, tag_count(labels), seed, progress)
    arrays.update({"mean": mean, "scale": scale})
    said = taught(labels, annotated, intents or [None] * len(annotated))
    tuned = dict(zip(tops, layers, strict=True))
    return Tagger(labels, tuple(dense_words(units)), tuple(patterns), vocabulary, arrays, said, tuned)


def learned_from(utterances: Sequence[Utterance], annotated: Sequence[Sequence[Entity]], seed: int) -> list[int]:
    """The texts that are learned from: all with an entity, and so many of the others that they do not drown them."""
    filled = [i for i, utterance in enumerate(utterances) if utterance.tokens]
    with_one = [i for i in filled if annotated[i]]
    plain = np.array([i for i in filled if not annotated[i]], np.int64)
    some = np.random.default_rng(seed).permutation(plain)[: PLAIN * len(with_one)]
    return sorted([*with_one, *some.tolist()])


def compiled(patterns: Sequence[tuple[str, str]]) -> Patterns:
    """Ready to search; Python keeps what it compiled before."""
    return [(name, re.compile(pattern, re.IGNORECASE)) for name, pattern in patterns]
