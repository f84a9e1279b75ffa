"""All encoders looking at the same texts: alignment, the cache, files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from dialogue.encoding import Continued, EncoderSet, words_of
from dialogue.fusion.units import Units
from encoders.base import Encoder
from encoders.bert import BertEncoder
from encoders.cache import Encoded, FeatureCache
from encoders.features import Utterance
from encoders.onehot import OneHotEncoder
from encoders.tokenizer import tokenize
from tests.encoders.tiny import save_tiny

TEXTS = ["book a telescope tour for tonight", "", "the moon!", "what is 望远镜 doing tonight", "sky " * 30]


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> EncoderSet:
    folder = save_tiny("bert", tmp_path_factory.mktemp("bert"))
    made: dict[str, Encoder] = {
        "words": OneHotEncoder().fit(utterances()),
        "bert": BertEncoder(model=str(folder), runtime="torch", max_tokens=24).fit([]),
    }
    return EncoderSet(made, {"words": "onehot", "bert": "bert"}, Continued("bert", 2))


def utterances(texts: list[str] = TEXTS) -> list[Utterance]:
    return [tokenize(text) for text in texts]


def dense(rows: Any) -> Any:
    return rows.toarray() if isinstance(rows, csr_matrix) else rows


def assert_same(one: Units, other: Units, tolerance: float = 0.0) -> None:
    assert list(one.seen) == list(other.seen)
    for name in one.seen:
        for field in ("words", "starts", "sentence"):
            left, right = dense(getattr(one.seen[name], field)), dense(getattr(other.seen[name], field))
            assert left.shape == right.shape
            assert np.abs(left.astype(float) - right.astype(float)).max(initial=0) <= tolerance
    assert one.below is not None
    assert other.below is not None
    for left, right in zip(one.below.word_of, other.below.word_of, strict=True):
        assert left.tolist() == right.tolist()


def record(offsets: list[tuple[int, int]]) -> Encoded:
    nothing = np.zeros((0, 1), np.float16)
    return Encoded(nothing, np.zeros(1, np.float32), nothing, np.array(offsets, np.int32).reshape(-1, 2))


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="ab 望!'-1.\n", max_size=20), st.data())
def test_each_subword_lies_in_the_first_word_it_overlaps(text: str, data: Any) -> None:
    utterance = tokenize(text)
    places = st.integers(0, len(text))
    pairs = data.draw(st.lists(st.tuples(places, places).map(sorted).map(tuple), max_size=6))
    for (start, end), word in zip(pairs, words_of(record(pairs), utterance), strict=True):
        overlapped = [t for t, token in enumerate(utterance.tokens) if max(start, token.start) < min(end, token.end)]
        assert word == (overlapped[0] if overlapped else -1)


def test_subwords_of_a_real_tokenizer_fall_into_their_words(encoders: EncoderSet) -> None:
    below = encoders.see(utterances()).below
    assert below is not None
    for text, states, word_of in zip(utterances(), below.states, below.word_of, strict=True):
        assert len(states) == len(word_of)
        if not text.tokens:
            assert len(word_of) == 0
            continue
        assert word_of[0] == word_of[-1] == -1, "the first and the last place hold special tokens"
        inner = word_of[1:-1]
        assert (np.diff(inner) >= 0).all()
        if len(word_of) < 24:
            assert set(inner) == set(range(len(text.tokens)))


def test_every_encoder_sees_the_same_words(encoders: EncoderSet) -> None:
    units = encoders.see(utterances())
    counts = [len(text.tokens) for text in utterances()]
    for seen in units.seen.values():
        assert np.diff(seen.starts).tolist() == counts
        assert seen.words.shape[0] == sum(counts)
        lengths = np.linalg.norm(dense(seen.sentence), axis=1)
        assert np.allclose(lengths, [1, 0, 1, 1, 1], atol=1e-5)


def test_features_do_not_depend_on_the_cache(encoders: EncoderSet, tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path / "features.db")
    plain = encoders.see(utterances())
    assert_same(encoders.see(utterances(), cache), plain, 2e-3)
    assert_same(encoders.see(utterances(), cache), encoders.see(utterances(), cache))


def test_no_texts_are_no_units(encoders: EncoderSet, tmp_path: Path) -> None:
    for cache in (None, FeatureCache(tmp_path / "features.db")):
        units = encoders.see([], cache)
        assert units.count == 0
        full = encoders.see(utterances())
        for name, seen in units.seen.items():
            assert seen.sentence.shape == (0, full.seen[name].sentence.shape[1])


def test_the_clock_has_a_time_for_every_encoder(encoders: EncoderSet) -> None:
    clock: dict[str, float] = {}
    encoders.see(utterances(), clock=clock)
    assert list(clock) == ["words", "bert"]
    assert all(time >= 0 for time in clock.values())


def test_states_below_are_kept_for_the_continued_encoder_only(encoders: EncoderSet) -> None:
    assert EncoderSet(encoders.encoders, encoders.types, None).see(utterances()).below is None
    below = encoders.see(utterances()).below
    assert below is not None
    assert below.states[0].shape[1] == 32


def test_the_tagger_reads_earlier_states_of_the_same_encoder(encoders: EncoderSet) -> None:
    both = EncoderSet(encoders.encoders, encoders.types, encoders.continued, [Continued("bert", 3)]).see(utterances())
    alone = EncoderSet(encoders.encoders, encoders.types, Continued("bert", 3)).see(utterances())
    early = both.early["bert"]
    assert alone.below is not None
    assert_same(both, encoders.see(utterances()))
    for ours, theirs in zip(early.states, alone.below.states, strict=True):
        assert np.array_equal(ours, theirs)
    assert [len(offsets) for offsets in early.offsets] == [len(states) for states in early.states]
    assert both.narrowed().early == {}
    picked = both.pick(np.array([2, 1])).early["bert"]
    assert np.array_equal(picked.states[1], early.states[1])
    assert np.array_equal(picked.offsets[0], early.offsets[2])


def test_an_encoder_set_comes_back_from_disk(encoders: EncoderSet, tmp_path: Path) -> None:
    encoders.save(tmp_path)
    again = EncoderSet.load(tmp_path, encoders.types, encoders.continued)
    assert_same(again.see(utterances()), encoders.see(utterances()), 1e-6)
    (tmp_path / "words" / "onehot.json").unlink()
    with pytest.raises(ValueError, match=r"onehot\.json"):
        EncoderSet.load(tmp_path, encoders.types, encoders.continued)
