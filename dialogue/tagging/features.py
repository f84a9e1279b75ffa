"""What the tagger sees of each piece, beside its letters: the encoders' words, and what can be told by looking."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
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
BELOW = "/below"  # no name of an encoder: encoders are saved in folders of their names

Patterns = Sequence[tuple[str, re.Pattern[str]]]


def dense_words(units: Units) -> dict[str, Seen]:
    """The views whose word vectors are dense, and so say something of words that were never annotated.

    Where the fusion continues a pretrained encoder, the states below its last layers are one more: the last layers
    of a sentence encoder are made for whole sentences, those below still tell words apart.
    """
    dense = {name: seen for name, seen in units.seen.items() if not issparse(seen.words)}
    return dense if units.below is None else {**dense, BELOW: words_below(units, units.below)}


def words_below(units: Units, below: Below) -> Seen:
    """The mean state of each word's subwords, zero for a word that has none."""
    starts = next(iter(units.seen.values())).starts
    width = max((states.shape[1] for states in below.states), default=0)
    words = np.zeros((int(starts[-1]), width), np.float32)  # [W, H]
    for text, (states, word_of) in enumerate(zip(below.states, below.word_of, strict=True)):
        some = word_of >= 0  # [s]
        member = word_of[some] == np.arange(starts[text + 1] - starts[text])[:, None]  # [t, s]
        share = member / np.maximum(member.sum(axis=1, keepdims=True), 1)  # [t, s]
        words[starts[text] : starts[text + 1]] = share.astype(np.float32) @ states[some].astype(np.float32)
    return Seen(words, starts, np.zeros((units.count, 0), np.float32))


def word_vectors(seen: Mapping[str, Seen], text: int, pieces: Sequence[Piece]) -> FloatArray:
    """[n, D]: for each piece of text number `text` the vectors of its word by all encoders, side by side."""
    words = np.array([piece.word for piece in pieces], np.int64)
    rows = [np.asarray(view.words[view.starts[text] + words], np.float32) for view in seen.values()]
    return np.concatenate(rows, axis=1) if rows else np.zeros((len(pieces), 0), np.float32)


def marks(text: str, pieces: Sequence[Piece], patterns: Patterns) -> FloatArray:
    """[n, M] zeros and ones: how a piece looks, its place in its word, which patterns it begins and is part of."""
    found = np.zeros((len(pieces), mark_count(patterns)), np.float32)
    for i, piece in enumerate(pieces):
        found[i, : len(LOOKS)] = [look(piece.text) for look in LOOKS]
        found[i, len(LOOKS) + PLACES.index(piece.place)] = 1
    for number, (_, pattern) in enumerate(patterns):
        column = len(LOOKS) + len(PLACES) + 2 * number
        for match in pattern.finditer(text):
            covered = [i for i, piece in enumerate(pieces) if match.start() <= piece.start and piece.end <= match.end()]
            if covered:
                found[covered[0], column] = 1
                found[covered, column + 1] = 1
    return found


def mark_count(patterns: Patterns) -> int:
    """M of `marks`."""
    return len(LOOKS) + len(PLACES) + 2 * len(patterns)
