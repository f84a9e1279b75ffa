"""What the tagger sees of each piece, beside its letters: the encoders' words, and what can be told by looking."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from dialogue.fusion.units import Below, Seen, Units
from dialogue.posterior.kernel import FloatArray
from dialogue.tagging.tags import Piece

LOOKS = (
    lambda text: text[:1].isupper(),
    lambda text: len(text) > 1 and text.isupper(),
    lambda text: text.isdigit(),
    lambda text: any(character.isdigit() for character in text) and not text.isdigit(),
    lambda text: not any(character.isalnum() for character in text),
    lambda text: "@" in text,
)
PLACES = "SBME"
MOST_LOOKED_AT = 10_000  # pieces whose looks are remembered, some 1 MB

Patterns = Sequence[tuple[str, re.Pattern[str]]]


def dense_words(units: Units) -> dict[str, Seen]:
    """The views whose word vectors are dense, and so say something of words that were never annotated."""
    return {name: seen for name, seen in units.seen.items() if not issparse(seen.words)}


def piece_vectors(units: Units, text: int, pieces: Sequence[Piece]) -> FloatArray:
    """[n, D]: for each piece of text number `text` the vectors of its word by all encoders and its early states.

    The last layers of a sentence encoder are made for whole sentences, the early ones still tell words apart.
    """
    words = np.array([piece.word for piece in pieces], np.int64)
    views = dense_words(units).values()
    parts = [np.asarray(view.words[view.starts[text] + words], np.float32) for view in views]
    parts += [shares(pieces, one.offsets[text]) @ one.states[text].astype(np.float32) for one in units.early.values()]
    return np.concatenate(parts, axis=1) if parts else np.zeros((len(pieces), 0), np.float32)


def shares(pieces: Sequence[Piece], offsets: NDArray[np.int32]) -> FloatArray:
    """[n, s]: the mean over the subwords that overlap a piece; zero for a piece beyond the encoder's last subword."""
    start, end = (np.array([getattr(piece, name) for piece in pieces])[:, None] for name in ("start", "end"))
    first, last = offsets[:, 0], offsets[:, 1]  # [s]
    overlap = (first < last) & (first < end) & (start < last)  # [n, s]
    found: FloatArray = (overlap / np.maximum(overlap.sum(axis=1, keepdims=True), 1)).astype(np.float32)
    return found


def alone(states: Sequence[NDArray[np.float16]]) -> Units:
    """States [s, H] of some texts as tuned layers read them, without any other view."""
    return Units({}, Below(states, [np.full(len(some), -1) for some in states]), len(states))


def marks(text: str, pieces: Sequence[Piece], patterns: Patterns) -> FloatArray:
    """[n, M] zeros and ones: how a piece looks, its place in its word, which patterns it begins and is part of."""
    found = np.zeros((len(pieces), mark_count(patterns)), np.float32)
    for i, piece in enumerate(pieces):
        found[i, : len(LOOKS)] = looks(piece.text)
        found[i, len(LOOKS) + PLACES.index(piece.place)] = 1
    for number, (_, pattern) in enumerate(patterns):
        column = len(LOOKS) + len(PLACES) + 2 * number
        for match in pattern.finditer(text):
            covered = [i for i, piece in enumerate(pieces) if match.start() <= piece.start and piece.end <= match.end()]
            if covered:
                found[covered[0], column] = 1
                found[covered, column + 1] = 1
    return found


@lru_cache(MOST_LOOKED_AT)
def looks(text: str) -> tuple[bool, ...]:
    """How a piece looks; what people say are mostly the same words."""
    return tuple(look(text) for look in LOOKS)


def mark_count(patterns: Patterns) -> int:
    """M of `marks`."""
    return len(LOOKS) + len(PLACES) + 2 * len(patterns)
