"""All encoders of a bot that do not learn from labels, looking at the same texts."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dialogue.fusion.member import see
from dialogue.fusion.units import Below, Early, Seen, Units
from dialogue.posterior.kernel import IntArray, unit
from encoders.base import Encoder
from encoders.bert import BertEncoder
from encoders.cache import Encoded, FeatureCache, split
from encoders.catalog import resolve
from encoders.features import Utterance


@dataclass(frozen=True, slots=True)
class Continued:
    """Which encoder is continued by others, and how many of its last layers."""

    name: str
    layers: int


@dataclass(frozen=True, slots=True)
class EncoderSet:
    """Fitted encoders under their own names, with their types, in the order of bot.yml.

    `continued` is what the fusion continues; the tagger reads the states that go into the last layers of each of
    `tagged`.
    """

    encoders: Mapping[str, Encoder]
    types: Mapping[str, str]
    continued: Continued | None
    tagged: Sequence[Continued] = ()

    def see(
        self, utterances: Sequence[Utterance], cache: FeatureCache | None = None, clock: dict[str, float] | None = None
    ) -> Units:
        """What all encoders see in N texts.

        Args:
            utterances: the texts.
            cache: of the pretrained encoders' features; without one they are computed.
            clock: is given each encoder's milliseconds.
        """
        seen: dict[str, Seen] = {}
        below: Below | None = None
        early: dict[str, Early] = {}
        tagged = {one.name: one.layers for one in self.tagged}
        for name, encoder in self.encoders.items():
            start = time.perf_counter()
            if isinstance(encoder, BertEncoder):
                continued = self.continued.layers if self.continued and self.continued.name == name else 0
                layers = tuple(sorted({continued, tagged.get(name, 0)} - {0}))
                records = pretrained(encoder, utterances, layers, cache)
                seen[name] = flatten(records) if records else see(encoder, utterances)
                if continued:
                    below = lower(records, utterances, layers.index(continued), encoder.dim)
                if name in tagged:
                    states = [at_depth(record, layers.index(tagged[name]), encoder.dim) for record in records]
                    early[name] = Early(states, [record.offsets for record in records])
            else:
                seen[name] = see(encoder, utterances)
            if clock is not None:
                clock[name] = (time.perf_counter() - start) * 1000
        return Units(seen, below, len(utterances), early)

    def save(self, folder: Path) -> None:
        """Write one folder for each encoder."""
        for name, encoder in self.encoders.items():
            (folder / name).mkdir(parents=True)
            encoder.save(folder / name)

    @classmethod
    def load(
        cls, folder: Path, types: Mapping[str, str], continued: Continued | None, tagged: Sequence[Continued] = ()
    ) -> EncoderSet:
        """Read what `save` wrote. Raises `ValueError` naming a missing or damaged file."""
        encoders = {name: resolve(kind).load(folder / name) for name, kind in types.items()}
        return cls(encoders, types, continued, tagged)


def pretrained(
    encoder: BertEncoder, utterances: Sequence[Utterance], layers: Sequence[int], cache: FeatureCache | None
) -> Sequence[Encoded]:
    """One record a text, from the cache where there is one."""
    if cache is not None:
        return cache.encode(encoder, utterances, layers)
    return split(*encoder.forward(utterances, layers))


def flatten(records: Sequence[Encoded]) -> Seen:
    """Records, one at least, as one flat view."""
    lengths = [len(record.words) for record in records]
    words = np.concatenate([record.words for record in records])
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Seen(words, starts, unit(np.stack([record.sentence for record in records])))


def at_depth(record: Encoded, number: int, width: int) -> NDArray[np.float16]:
    """The states [s, H] of one of the depths that were asked for, H = `width`."""
    return record.below[:, number * width : (number + 1) * width]


def lower(records: Sequence[Encoded], utterances: Sequence[Utterance], number: int, width: int) -> Below:
    """The states below the continued layers, with the word each subword lies in."""
    pairs = zip(records, utterances, strict=True)
    return Below(
        [at_depth(record, number, width) for record in records],
        [words_of(record, utterance) for record, utterance in pairs],
    )


def words_of(record: Encoded, utterance: Utterance) -> IntArray:
    """For each subword the index of the word it overlaps first, -1 for none: [s]."""
    if not utterance.tokens or not len(record.offsets):
        return np.full(len(record.offsets), -1, np.int64)
    ends = np.array([token.end for token in utterance.tokens])
    starts = np.array([token.start for token in utterance.tokens])
    first, last = record.offsets[:, 0], record.offsets[:, 1]
    word = np.minimum(np.searchsorted(ends, first, side="right"), len(ends) - 1)
    overlaps = (first < last) & (starts[word] < last) & (first < ends[word])
    return np.where(overlaps, word, -1)
