"""The tagger's emissions in numpy: what serves. `dialogue.tagging.network` is the same in torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dialogue.posterior.kernel import FloatArray
from dialogue.tagging.tags import Piece
from encoders.gru_forward import Vocabulary, both_ways, spelling

CONSTANTS = ("mean", "scale", "temperature")
GRU = tuple(
    f"gru.{kind}_l0{way}" for way in ("", "_reverse") for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
)
LEARNED = (
    *("words.weight", "characters.weight", "convolution.weight", "convolution.bias", "emit.weight", "emit.bias"),
    *("start", "transition", "end"),
    *GRU,
)
DENSE = ("dense.weight", "dense.bias")  # only where an encoder has dense words
TUNED = ("tuned.weight", "tuned.bias")  # only where layers of an encoder are tuned


def form(piece: Piece) -> str:
    """The spelling of a piece as the vocabulary has it."""
    return piece.text.lower()


def emissions(
    vocabulary: Vocabulary,
    arrays: Mapping[str, FloatArray],
    texts: Sequence[Sequence[Piece]],
    dense: FloatArray,
    marks: FloatArray,
    tuned: FloatArray | None = None,
) -> FloatArray:
    """Emissions [n, T] of the n pieces of some texts, in nats, text after text.

    Args:
        vocabulary: of pieces and characters.
        arrays: the network's, with `mean` and `scale` [D] of the encoders' words.
        texts: the pieces of each, at least one.
        dense: [n, D] the encoders' words as they are.
        marks: [n, M].
        tuned: [n, H] of the tuned layers, where there are some.
    """
    forms = [form(piece) for pieces in texts for piece in pieces]
    parts = [arrays["words.weight"][vocabulary.word_ids(forms)], spelling(arrays, vocabulary.character_ids(forms))]
    if dense.shape[1]:
        standard = (dense - arrays["mean"]) * arrays["scale"]
        parts.append(np.maximum(standard @ arrays["dense.weight"].T + arrays["dense.bias"], 0))
    if tuned is not None:
        parts.append(np.maximum(tuned @ arrays["tuned.weight"].T + arrays["tuned.bias"], 0))
    flat = np.concatenate([*parts, marks], axis=1)  # [n, I]
    lengths = np.array([len(pieces) for pieces in texts])
    mask = np.arange(lengths.max()) < lengths[:, None]
    inputs = np.zeros((*mask.shape, flat.shape[1]), np.float32)
    inputs[mask] = flat
    found: FloatArray = both_ways(arrays, inputs, mask)[mask] @ arrays["emit.weight"].T + arrays["emit.bias"]
    return found
