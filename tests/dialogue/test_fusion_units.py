"""Units: laid flat, picked, narrowed, collated; every place of a batch keeps its own word."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

import dialogue.fusion.units as units_module
from dialogue.fusion.units import NARROW, Below, Seen, Units, collate, lay_flat, narrow, padded_words
from encoders.features import Features

WIDTH = 3


def marked(lengths: list[int]) -> Seen:
    """Words that say where they stand: [text, place, 1]."""
    words = [[text, place, 1] for text, length in enumerate(lengths) for place in range(length)]
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    sentence = np.array([[text, -1.0] for text in range(len(lengths))], np.float32).reshape(-1, 2)
    return Seen(np.array(words, np.float32).reshape(-1, WIDTH), starts, sentence)


def below(lengths: list[int], seed: int) -> Below:
    """Each word in one to three subwords, between two places that belong to no word; a blank text has none."""
    rng = np.random.default_rng(seed)
    word_of = [
        np.concatenate([[-1], np.repeat(np.arange(n), rng.integers(1, 4, n)), [-1]]) if n else np.zeros(0, np.int64)
        for n in lengths
    ]
    return Below([np.full((len(w), 4), i, np.float16) for i, w in enumerate(word_of)], word_of)


TEXTS = st.lists(st.integers(0, 5), min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(TEXTS, st.data())
def test_every_place_of_a_batch_reads_its_own_word(lengths: list[int], data: Any) -> None:
    rows = np.array(data.draw(st.lists(st.integers(0, len(lengths) - 1), min_size=1, max_size=5)))
    seed = data.draw(st.integers(0, 99))
    lower = below(lengths, seed) if data.draw(st.booleans()) else None
    units = Units({"a": marked(lengths)}, lower, len(lengths))
    batch = collate(units, rows, 4, ["a"])
    words = batch.words["a"].numpy().reshape(len(rows), -1, WIDTH)
    for b, i in enumerate(rows):
        expected = np.arange(lengths[i]) if lower is None else lower.word_of[i]
        assert batch.mask[b].sum() == max(1, len(expected))
        assert batch.word_of[b, : len(expected)].tolist() == expected.tolist()
        assert (batch.word_of[b, len(expected) :] == -1).all()
        for place in range(len(expected)):
            if (t := int(batch.word_of[b, place])) >= 0:
                assert words[b, t].tolist() == [i, t, 1]
        assert not words[b, lengths[i] :].any()
        assert batch.sentences["a"][b].tolist() == [i, -1]
        if lower is not None:
            assert (batch.states[b, : len(expected)] == i).all()
            assert not batch.states[b, len(expected) :].any()


@settings(max_examples=60, deadline=None)
@given(TEXTS, st.data())
def test_picked_texts_are_the_texts(lengths: list[int], data: Any) -> None:
    rows = np.array(data.draw(st.lists(st.integers(0, len(lengths) - 1), max_size=5)), np.int64)
    units = Units({"a": marked(lengths)}, below(lengths, 0), len(lengths))
    picked = units.pick(rows)
    assert picked.count == len(rows)
    seen = picked.seen["a"]
    for b, i in enumerate(rows):
        own = seen.words[seen.starts[b] : seen.starts[b + 1]]
        assert own.tolist() == [[i, t, 1] for t in range(lengths[i])]
        assert picked.length(b) == units.length(int(i))
        assert seen.sentence[b, 0] == i


def features(lengths: list[int], sparse: bool, seed: int) -> Features:
    rng = np.random.default_rng(seed)
    mask = np.arange(max(1, *lengths)) < np.array(lengths)[:, None]
    words = rng.random((*mask.shape, 5), np.float32) * mask[..., None]
    sentence = 7 * rng.random((len(lengths), 6), np.float32)
    if sparse:
        return Features(csr_matrix(words.reshape(-1, 5)), mask, csr_matrix(sentence))
    return Features(words, mask, sentence)


@pytest.mark.parametrize("sparse", [False, True])
def test_batches_laid_flat_keep_every_word_in_order(sparse: bool) -> None:
    parts = [features([2, 0, 3], sparse, 0), features([0, 1], sparse, 1)]
    seen = lay_flat(iter(parts))
    assert seen.starts.tolist() == [0, 2, 2, 5, 5, 6]
    expected = np.concatenate([dense(part.words).reshape(-1, 5)[part.mask.ravel()] for part in parts])
    assert np.array_equal(dense(seen.words), expected)
    assert np.allclose(np.linalg.norm(dense(seen.sentence), axis=1), 1, atol=1e-6)


def dense(rows: Any) -> Any:
    return rows.toarray() if isinstance(rows, csr_matrix) else rows


def test_narrowing_keeps_inner_products_nearly() -> None:
    rng = np.random.default_rng(0)
    hot = csr_matrix((rng.random((40, 5000)) < 0.004).astype(np.float32))
    found = narrow(Seen(hot, np.arange(41), hot))
    before, after = (hot @ hot.T).toarray(), np.asarray(found.words) @ np.asarray(found.words).T
    assert found.words.shape == (40, NARROW)
    assert np.abs(after - before).max() < 0.35 * before.max()
    assert np.corrcoef(before.ravel(), after.ravel())[0, 1] > 0.9
    assert np.array_equal(found.words, found.sentence)


def test_narrowing_leaves_what_is_dense_and_treats_words_and_sentence_apart() -> None:
    seen = marked([2, 1])
    assert narrow(seen).words is seen.words
    mixed = narrow(Seen(seen.words, seen.starts, csr_matrix(np.eye(2, 700, dtype=np.float32))))
    assert mixed.words is seen.words
    assert mixed.sentence.shape == (2, NARROW)
    assert isinstance(mixed.sentence, np.ndarray)


def test_narrowing_is_the_same_every_time() -> None:
    units_module.projection.cache_clear()
    first = units_module.projection(50).copy()
    units_module.projection.cache_clear()
    assert np.array_equal(first, units_module.projection(50))


def test_a_long_text_is_cut_without_a_pretrained_encoder() -> None:
    units = Units({"a": marked([500, 2])}, None, 2)
    batch = collate(units, np.array([0, 1]), 4, ["a"])
    assert batch.mask.shape == (2, units_module.MOST_PLACES)
    assert batch.word_of[0, -1] == units_module.MOST_PLACES - 1


def test_texts_without_any_word_have_padded_words_too() -> None:
    assert padded_words(marked([0, 0]), np.array([0, 1])).shape == (2, WIDTH)


def test_units_beside_others_hold_both_views() -> None:
    units = Units({"a": marked([1, 2])}, None, 2).beside({"b": marked([1, 2])})
    assert list(units.seen) == ["a", "b"]
    assert units.count == 2
