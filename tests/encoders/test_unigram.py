"""Unigram subwords against the `tokenizers` library, and where they lie in the text."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from encoders.subwords import Subwords
from encoders.unigram import UnigramTokenizer, normal, serialise

SPECIAL = {"bos": 0, "pad": 1, "eos": 2, "unk": 3}
WORDS = (
    "▁",
    "▁see",
    "▁sat",
    "urn",
    "▁query",
    ":",
    "s",
    "e",
    "a",
    "t",
    "u",
    "r",
    "n",
    "?",
    "今晚",
    "今",
    "晚",
    "看",
    "fi",
    "1",
)
PIECES = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
PIECES += [(word, -3.0 - number / 7) for number, word in enumerate(WORDS)]
MODEL = serialise(PIECES, SPECIAL)


def cut(text: str, prefix: str = "", most: int = 32) -> Subwords:
    return UnigramTokenizer(MODEL, prefix, most)([text])[0]


def oracle() -> Tokenizer:
    core = Tokenizer(models.Unigram(PIECES, unk_id=3, byte_fallback=False))
    core.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), " ")])
    core.pre_tokenizer = pre_tokenizers.Metaspace()
    return core


@pytest.mark.parametrize(
    "text", ["see saturn?", "今晚看saturn", "ﬁ①  sat", "sée", "ｓａｔ", "zebra 😀😀 see", "e\u0301 a"]
)
def test_the_ids_are_those_of_the_tokenizers_library(text: str) -> None:
    assert cut(text).ids[1:-1].tolist() == oracle().encode(text).ids


def test_special_tokens_and_prefix_lie_nowhere_and_words_where_they_stand() -> None:
    found = cut("see  saturn", prefix="query: ")
    assert (found.ids[0], found.ids[-1]) == (0, 2)
    assert [(a, b) for a, b in found.offsets.tolist() if a < b] == [(0, 3), (5, 8), (8, 11)]


def test_a_character_that_is_taken_apart_keeps_its_place() -> None:
    found = cut("a ﬁ")
    assert found.offsets[-2].tolist() == [2, 3]


@pytest.mark.parametrize("text", ["", "   ", "\t\n"])
def test_a_blank_text_has_no_subwords_not_even_the_prefix(text: str) -> None:
    assert len(cut(text, prefix="query: ")) == 0


def test_what_is_too_long_is_cut_and_still_ends() -> None:
    found = cut("see " * 100, most=8)
    assert len(found) == 8
    assert found.ids[-1] == 2


def test_a_special_token_that_someone_types_is_text() -> None:
    assert 2 not in cut("see </s> see").ids[1:-1].tolist()


@given(st.text(max_size=40))
def test_normal_text_is_nfkc_with_single_spaces_and_points_into_the_source(text: str) -> None:
    found = normal(text)
    assert found.text == " ".join(unicodedata.normalize("NFKC", text).split())
    assert len(found.starts) == len(found.ends) == len(found.text)
    assert all(0 <= a < b <= len(text) for a, b in zip(found.starts, found.ends, strict=True))
    assert list(found.starts) == sorted(found.starts)


def test_what_was_saved_cuts_the_same(tmp_path: Path) -> None:
    UnigramTokenizer(MODEL, "query: ", 16).save(tmp_path)
    loaded = UnigramTokenizer.load(tmp_path, "query: ", 16)
    assert loaded(["see saturn"])[0].ids.tolist() == cut("see saturn", "query: ").ids.tolist()


@pytest.mark.parametrize("content", [None, b"", b"no model"])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "unigram.model").write_bytes(content)
    with pytest.raises(ValueError, match=r"unigram\.model"):
        UnigramTokenizer.load(tmp_path, "", 16)
