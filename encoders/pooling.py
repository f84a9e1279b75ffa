"""From the vectors of words to the vector of a text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from encoders.features import Features, FloatArray, Utterance, word_mask

SMOOTH = 1e-3
ENOUGH_WORDS = 200_000
RATE = 0.2  # of learning: the libraries' own are for corpora of millions of words, which a bot does not have


def word_forms(utterance: Utterance) -> list[str]:
    """The words as the static encoders look them up: lower case."""
    return [token.text.lower() for token in utterance.tokens]


def enough_epochs(texts: Sequence[Sequence[str]]) -> int:
    """Passes over the texts that show a static encoder about 200,000 words, from 5 to 60 of them."""
    return min(60, max(5, ENOUGH_WORDS // max(1, sum(map(len, texts)))))


def sif_weights(texts: Iterable[Sequence[str]]) -> dict[str, float]:
    """Smooth inverse frequency of every word: a / (a + p(word)), a = .001. A word not in `texts` weighs 1.

    Arora, Liang, Ma 2017, "A Simple but Tough-to-Beat Baseline for Sentence Embeddings", without the removal of the
    common component, which on the few texts of a bot would remove meaning with it.
    """
    counts = Counter(word for text in texts for word in text)
    total = sum(counts.values())
    return {word: SMOOTH / (SMOOTH + count / total) for word, count in sorted(counts.items())}


def normalise(rows: FloatArray) -> FloatArray:
    """Rows at length 1; a zero row stays zero."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled: FloatArray = (rows / np.where(norms > 0, norms, 1)).astype(np.float32)
    return scaled


def static_features(
    utterances: Sequence[Utterance], rows: FloatArray, index: dict[str, int], weights: dict[str, float]
) -> Features:
    """Features from one vector a word form.

    Args:
        utterances: B texts.
        rows: [V, D], a vector for each word form known.
        index: word form -> row; a form that is not in it gets zeros.
        weights: word form -> its weight in the mean, 1 when it is not in it.

    Returns:
        Words [B, T, D], and sentences [B, D]: L2-normalised weighted means of the known words.
    """
    mask = word_mask(tuple(utterances))
    words = np.zeros((*mask.shape, rows.shape[1]), np.float32)
    sentence = np.zeros((len(utterances), rows.shape[1]), np.float32)
    for b, utterance in enumerate(utterances):
        known = [(t, index[form]) for t, form in enumerate(word_forms(utterance)) if form in index]
        if known:
            places, found = map(list, zip(*known, strict=True))
            words[b, places] = rows[found]
            forms = word_forms(utterance)
            share = np.array([weights.get(forms[t], 1.0) for t in places], np.float32)
            sentence[b] = share @ words[b, places] / len(places)
    return Features(words, mask, normalise(sentence))
