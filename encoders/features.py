"""What goes into an encoder and what comes out of it.

Every encoder sees the same words: an `Utterance` is a text cut once into tokens with character offsets, and word t of
one encoder's `Features` is word t of every other's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias
from unicodedata import category

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

FloatArray: TypeAlias = NDArray[np.float32]
BoolArray: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Token:
    """One word of a text: `text[start:end]`, offsets counted in characters."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Utterance:
    """A text and its tokens, in order and not overlapping. A blank text has none."""

    text: str
    tokens: tuple[Token, ...]

    @property
    def wordless(self) -> bool:
        """Whether it is punctuation alone, or what is no character; signs and emoji are words, a blank text is not.

        That is Unicode categories P and C (a lone surrogate, say), and U+FFFD, which stands for bytes of no text.
        """
        return bool(self.tokens) and all(
            category(c)[0] in "PC" or c == "\ufffd" for token in self.tokens for c in token.text
        )


@dataclass(frozen=True, slots=True)
class Features:
    """One encoder's view of a batch of B utterances, the longest of T words.

    Attributes:
        words: [B, T, D] float32, zero where `mask` is false; or, from a sparse encoder, a CSR matrix [B * T, D].
        mask: [B, T] bool, true where utterance b has a word t.
        sentence: [B, S] float32, or CSR [B, S]. A row is all zeros when the encoder saw nothing in the text.

    Raises:
        ValueError: if shapes disagree or a number is not finite.
    """

    words: FloatArray | csr_matrix
    mask: BoolArray
    sentence: FloatArray | csr_matrix

    def __post_init__(self) -> None:
        batch, longest = self.mask.shape
        rows = self.words.shape[0] if isinstance(self.words, csr_matrix) else self.words.shape[:2]
        if rows not in ((batch, longest), batch * longest) or self.sentence.shape[0] != batch:
            raise ValueError(
                f"features disagree: words {self.words.shape}, mask {self.mask.shape}, sentence {self.sentence.shape}"
            )
        for name, array in (("words", self.words), ("sentence", self.sentence)):
            values = array.data if isinstance(array, csr_matrix) else array
            if not np.isfinite(values).all():
                raise ValueError(f"features are not finite: {name} holds NaN or infinity")

    def __len__(self) -> int:
        return int(self.mask.shape[0])


def word_mask(batch: list[Utterance] | tuple[Utterance, ...]) -> BoolArray:
    """[B, T] bool: which places of a padded batch hold a word. T is at least 1."""
    lengths = np.array([len(utterance.tokens) for utterance in batch], dtype=np.int64)
    longest = max(1, int(lengths.max(initial=0)))
    mask: BoolArray = np.arange(longest)[None, :] < lengths[:, None]
    return mask
