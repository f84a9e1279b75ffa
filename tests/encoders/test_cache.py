import sqlite3
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from encoders.bert_lower import LowerStates
from encoders.cache import FeatureCache, collate
from encoders.features import Features, Utterance, word_mask
from encoders.tokenizer import tokenize

TEXTS = [tokenize(text) for text in ("one two", "three", "", "one two", "four five six")]


class Counting:
    """Features made of the words' lengths; remembers what it was asked for."""

    def __init__(self, fingerprint: str = "a") -> None:
        self.fingerprint = fingerprint
        self.seen: list[str] = []

    def forward(
        self, utterances: Sequence[Utterance], layers: Sequence[int] = ()
    ) -> tuple[Features, LowerStates | None]:
        self.seen += [utterance.text for utterance in utterances]
        mask = word_mask(tuple(utterances))
        words = np.zeros((*mask.shape, 2), np.float32)
        for b, utterance in enumerate(utterances):
            for t, token in enumerate(utterance.tokens):
                words[b, t] = len(token.text) + 0.1, t + 1
        features = Features(words, mask, words.sum(axis=1))
        offsets = np.arange(mask.size * 2, dtype=np.int32).reshape(*mask.shape, 2) * mask[..., None]
        return features, LowerStates(words[..., :1] * sum(layers), mask, offsets) if layers else None


def test_each_distinct_text_is_encoded_once_across_trainings(tmp_path: Path) -> None:
    first, second = Counting(), Counting()
    cold = FeatureCache(tmp_path / "new" / "cache.sqlite").encode(first, TEXTS, layers=[1])
    warm = FeatureCache(tmp_path / "new" / "cache.sqlite").encode(second, [*TEXTS, tokenize("new")], layers=[1])
    assert first.seen == ["", "three", "one two", "four five six"]  # the shortest first, for batches of like length
    assert second.seen == ["new"]
    for one, other in zip(cold, warm, strict=False):
        for name in ("words", "sentence", "below", "offsets"):
            assert np.array_equal(getattr(one, name), getattr(other, name))
            assert getattr(one, name).dtype == getattr(other, name).dtype


def test_collate_gives_back_what_forward_gave(tmp_path: Path) -> None:
    features, lower = Counting().forward(TEXTS, layers=[2])
    assert lower is not None
    records = FeatureCache(tmp_path / "cache.sqlite").encode(Counting(), TEXTS, layers=[2])
    again, below = collate(TEXTS, records)
    np.testing.assert_allclose(again.words, features.words, rtol=1e-3)
    np.testing.assert_array_equal(again.sentence, features.sentence)
    np.testing.assert_array_equal(again.mask, features.mask)
    np.testing.assert_allclose(below.states, lower.states, rtol=1e-3)
    np.testing.assert_array_equal(below.mask, lower.mask)
    chosen = [4, 1]
    part, _ = collate([TEXTS[i] for i in chosen], [records[i] for i in chosen])
    np.testing.assert_array_equal(part.sentence, features.sentence[chosen])


def test_collate_of_nothing_and_without_lower_states(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path / "cache.sqlite")
    features, lower = collate([], cache.encode(Counting(), []))
    assert len(features) == len(lower) == 0
    features, lower = collate(TEXTS, cache.encode(Counting(), TEXTS))
    assert features.words.shape == (5, 3, 2)
    assert not lower.mask.any()


def test_another_encoder_depth_or_tokenisation_is_another_entry(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path / "cache.sqlite")
    text = tokenize("one two")
    cache.encode(Counting("a"), [text])
    for encoder, utterance, layers in [
        (Counting("b"), text, ()),
        (Counting("a"), text, (1,)),
        (Counting("a"), Utterance(text.text, text.tokens[:1]), ()),
    ]:
        cache.encode(encoder, [utterance], layers)
        assert encoder.seen == ["one two"]


def test_the_oldest_go_first(tmp_path: Path) -> None:
    file = tmp_path / "cache.sqlite"
    texts = [tokenize(f"word{i}") for i in range(20)]
    FeatureCache(file).encode(Counting(), texts)
    with sqlite3.connect(file) as database:
        (size,) = database.execute("SELECT SUM(LENGTH(value)) FROM features").fetchone()
    database.close()
    FeatureCache(file, limit=size // 2).encode(Counting(), [tokenize("extra")])
    encoder = Counting()
    FeatureCache(file).encode(encoder, [texts[0], texts[19]])
    assert encoder.seen == ["word0"]


def test_a_foreign_file_is_refused_with_its_name(tmp_path: Path) -> None:
    file = tmp_path / "cache.sqlite"
    file.write_bytes(b"not a database" * 100)
    with pytest.raises(ValueError, match=r"cache\.sqlite"):
        FeatureCache(file).encode(Counting(), TEXTS)
