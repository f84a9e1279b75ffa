"""One cut of a text into words, shared by all encoders.

Words are kept in the languages that put spaces between them; stretches of a script that does not (Han, kana, Thai, ...)
are cut by rjieba when the language is Chinese and into characters otherwise. Latin words, numbers, times, e-mail
addresses and codes stay whole wherever they stand. A punctuation mark or an emoji sequence is a token of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from encoders.features import Token, Utterance

if TYPE_CHECKING:
    import regex

# Scripts written without spaces (Unicode Standard Annex 14, section 5.6, and annex 29, section 4).
UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
LETTER = rf"[[\p{{L}}\p{{M}}\p{{N}}_]--[{UNSPACED}]]"
VISIBLE = r"[^\s\p{Z}\p{Cc}\p{Cf}]"
PATTERN = rf"""
    (?P<unspaced> [{UNSPACED}々〇ー] [{UNSPACED}々〇ー\p{{M}}]* )
  | {LETTER}[\p{{L}}\p{{N}}_.+-]*@[\p{{L}}\p{{N}}-]++(?:\.[\p{{L}}\p{{N}}-]++)+  # an e-mail address
  | \p{{Nd}}++(?:[.,:/]\p{{Nd}}++)+                                         # 3.5  10:30  1,000  12/5
  | {LETTER}++(?:['’\-\u200c\u200d]{LETTER}++)*                            # don't  KH-4821
  | \p{{RI}}\p{{RI}}                                                        # a flag
  | {VISIBLE}(?:[\p{{M}}\p{{EMod}}]|\u200d{VISIBLE})*                       # a mark or an emoji sequence
"""
CHINESE = frozenset({"zh", "cmn", "chinese"})


@lru_cache(maxsize=512)  # a turn asks again for what its message was cut into
def tokenize(text: str, language: str = "en") -> Utterance:
    """Cut a text into words with exact character offsets; nothing is normalised.

    Args:
        text: any Unicode text; may be empty.
        language: a language tag such as "en", "zh" or "zh-CN"; only its first part is read.

    Returns:
        The text and its tokens. White space, control and invisible format characters are in no token.
    """
    cut = _chinese_cutter() if language.replace("_", "-").partition("-")[0].lower() in CHINESE else _characters
    return Utterance(text, tuple(_tokens(text, cut)))


@lru_cache(maxsize=8192)  # what people say are mostly the same words
def is_unspaced(token: str) -> bool:
    """Whether a token is of a script that puts no spaces between words."""
    match = _pattern().match(token)
    return match is not None and match.lastgroup == "unspaced"


def well_formed(text: str) -> str:
    """The text with lone surrogates replaced by U+FFFD, as long as before: libraries that need UTF-8 refuse them."""
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def _tokens(text: str, cut: Callable[[str], list[str]]) -> Iterator[Token]:
    for match in _pattern().finditer(text):
        start = match.start()
        pieces = cut(match.group()) if match.lastgroup == "unspaced" else [match.group()]
        for piece in pieces:
            yield Token(piece, start, start + len(piece))
            start += len(piece)


def _characters(stretch: str) -> list[str]:
    """Characters, each with the marks that follow it."""
    found: list[str] = _cluster().findall(stretch)
    return found


def _chinese_cutter() -> Callable[[str], list[str]]:
    try:
        import rjieba
    except ImportError:
        return _characters
    cut: Callable[[str], list[str]] = rjieba.cut
    return cut


@cache
def _pattern() -> regex.Pattern[str]:
    import regex

    return regex.compile(PATTERN, regex.VERBOSE | regex.VERSION1)


@cache
def _cluster() -> regex.Pattern[str]:
    import regex

    return regex.compile(r"\P{M}\p{M}*|\p{M}+", regex.VERSION1)
