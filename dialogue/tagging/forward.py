"""The tagger's emissions in numpy: what serves. `dialogue.tagging.network` is the same in torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, zip_longest

import numpy as np

from dialogue.posterior.kernel import FloatArray, IntArray
from dialogue.tagging.tags import Piece
from encoders.gru_forward import UNKNOWN, Vocabulary, Ways, both_ways, spelling

POTENTIALS = ("start", "transition", "end")
SHARED = (*POTENTIALS, "mean", "scale", "temperature")  # by all networks; what is one's own begins with its number
GRU = tuple(
    f"gru.{kind}_l0{way}" for way in ("", "_reverse") for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
)
LEARNED = (
    *("words.weight", "characters.weight", "convolution.weight", "convolution.bias", "emit.weight", "emit.bias"),
    *GRU,
)
DENSE = ("dense.weight", "dense.bias")  # only where an encoder has dense words
TUNED = ("tuned.weight", "tuned.bias")  # only where layers of an encoder are tuned
PAIRED = ("before.weight", "after.weight")  # only where there were enough texts to learn pairs of neighbours from


def form(piece: Piece) -> str:
    """The spelling of a piece as the vocabulary has it."""
    return piece.text.lower()


@dataclass(frozen=True, slots=True)
class Spellings(Vocabulary):
    """Pieces, characters and pairs of neighbours -> rows of their embeddings, from 2 on."""

    pairs: Mapping[str, int] = field(default_factory=dict)

    def pair_ids(self, forms: Sequence[str]) -> IntArray:
        """[n, 2]: for each form the rows of the pair that ends with it and of the pair that begins with it."""
        ids = np.array([self.pairs.get(pair, UNKNOWN) for pair in pairs_of(forms)], np.int64)
        return np.stack([ids[:-1], ids[1:]], axis=1)


def pairs_of(forms: Sequence[str]) -> list[str]:
    """The n + 1 pairs of neighbours among n forms, the edges of the text included; no form holds a space."""
    return [f"{left} {right}" for left, right in pairwise(["", *forms, ""])]


@dataclass(frozen=True, slots=True)
class Network:
    """One network's arrays, with `mean` and `scale` [D] of the encoders' words, and its GRU."""

    arrays: Mapping[str, FloatArray]
    ways: Ways


def mean_emissions(
    vocabulary: Spellings,
    networks: Sequence[Network],
    texts: Sequence[Sequence[Piece]],
    dense: FloatArray,
    marks: FloatArray,
    tuned: Sequence[FloatArray] = (),
) -> FloatArray:
    """The mean of `emissions` [n, T] over all networks; `tuned` [n, H] are of the first ones, which tune layers."""
    each = zip_longest(networks, tuned)
    found: FloatArray = np.mean([emissions(vocabulary, one, texts, dense, marks, t) for one, t in each], axis=0)
    return found


def split(arrays: Mapping[str, FloatArray]) -> list[Network]:
    """The networks, in their order."""
    numbers = range(1 + max(int(name.partition(".")[0]) for name in arrays if name not in SHARED))
    shared = {name: arrays[name] for name in SHARED}
    parts = (
        {name.removeprefix(first): array for name, array in arrays.items() if name.startswith(first)}
        for first in map(prefix, numbers)
    )
    return [Network({**shared, **part}, Ways.of(part)) for part in parts]


def prefix(number: int) -> str:
    """What the names of a network's own arrays begin with."""
    return f"{number}."


def emissions(
    vocabulary: Spellings,
    network: Network,
    texts: Sequence[Sequence[Piece]],
    dense: FloatArray,
    marks: FloatArray,
    tuned: FloatArray | None = None,
) -> FloatArray:
    """Emissions [n, T] of the n pieces of some texts, in nats, text after text.

    Args:
        vocabulary: of pieces, characters and pairs.
        network: gives them.
        texts: the pieces of each, at least one.
        dense: [n, D] the encoders' words as they are.
        marks: [n, M].
        tuned: [n, H] of its tuned layers, where it has some.
    """
    arrays = network.arrays
    forms = [form(piece) for pieces in texts for piece in pieces]
    parts = [arrays["words.weight"][vocabulary.word_ids(forms)], spelling(arrays, vocabulary.character_ids(forms))]
    if dense.shape[1]:
        standard = (dense - arrays["mean"]) * arrays["scale"]
        parts.append(np.maximum(standard @ arrays["dense.weight"].T + arrays["dense.bias"], 0))
    if tuned is not None:
        parts.append(np.maximum(tuned @ arrays["tuned.weight"].T + arrays["tuned.bias"], 0))
    if PAIRED[0] in arrays:
        ids = np.concatenate([vocabulary.pair_ids([form(piece) for piece in pieces]) for pieces in texts])  # [n, 2]
        parts += [arrays[name][ids[:, side]] for side, name in enumerate(PAIRED)]
    flat = np.concatenate([*parts, marks], axis=1)  # [n, I]
    lengths = np.array([len(pieces) for pieces in texts])
    mask = np.arange(lengths.max()) < lengths[:, None]
    inputs = np.zeros((*mask.shape, flat.shape[1]), np.float32)
    inputs[mask] = flat
    found: FloatArray = both_ways(network.ways, inputs, mask)[mask] @ arrays["emit.weight"].T + arrays["emit.bias"]
    return found
