import builtins

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoders.tokenizer import tokenize, well_formed

LANGUAGES = ["en", "zh", "zh-CN", "ja", "de"]
any_text = st.text(st.characters(codec=None, exclude_categories=()), max_size=80)
mixed_text = st.text(st.sampled_from("aB9 .,'-@\n\t\u200b\u00a0我们订望远镜東京ไทยपि👩‍🚀🇨🇳\ud83d\u0301"), max_size=40)


def words(text: str, language: str = "en") -> list[str]:
    return [token.text for token in tokenize(text, language).tokens]


@given(st.one_of(any_text, mixed_text), st.sampled_from(LANGUAGES))
def test_offsets_slice_back_in_order_without_overlap_or_white_space(text: str, language: str) -> None:
    utterance = tokenize(text, language)
    assert utterance.text == text
    end = 0
    for token in utterance.tokens:
        assert text[token.start : token.end] == token.text
        assert end <= token.start < token.end
        assert not any(character.isspace() for character in token.text)
        end = token.end


@given(st.one_of(any_text, mixed_text), st.sampled_from(LANGUAGES))
def test_no_letter_or_digit_is_lost(text: str, language: str) -> None:
    covered = {i for token in tokenize(text, language).tokens for i in range(token.start, token.end)}
    assert {i for i, character in enumerate(text) if character.isalnum()} <= covered


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't book KH-4821!", ["Don't", "book", "KH-4821", "!"]),
        ("at 10:30, for 3.50€", ["at", "10:30", ",", "for", "3.50", "€"]),
        ("write to ada+x@example.org.", ["write", "to", "ada+x@example.org", "."]),
        ("naïve हिन्दी", ["naïve", "हिन्दी"]),
        ("go 👩‍🚀🇨🇳👍🏽", ["go", "👩‍🚀", "🇨🇳", "👍🏽"]),
        ("what is 望远镜?", ["what", "is", "望", "远", "镜", "?"]),
        ("", []),
        (" \t\n\u200b", []),
    ],
)
def test_spaced_languages(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_chinese_is_cut_into_words_and_keeps_latin_and_numbers_whole() -> None:
    assert words("望远镜观测KH-4821，12:30的iPhone15吗？", "zh-CN") == [
        "望远镜",
        "观测",
        "KH-4821",
        "，",
        "12:30",
        "的",
        "iPhone15",
        "吗",
        "？",
    ]


def test_japanese_falls_back_to_characters() -> None:
    assert words("東京タワー", "ja") == list("東京タワー")


def test_chinese_without_rjieba_falls_back_to_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *rest: object, **named: object) -> object:
        if name == "rjieba":
            raise ImportError(name)
        return real(name, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", refuse)
    assert words("望远镜", "zh") == ["望", "远", "镜"]


@given(any_text)
def test_well_formed_keeps_the_length_and_encodes(text: str) -> None:
    clean = well_formed(text)
    assert len(clean) == len(text)
    assert clean.encode("utf-8").decode("utf-8") == clean
    assert all(new in (old, "\ufffd") for old, new in zip(text, clean, strict=True))
