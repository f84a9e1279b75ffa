"""Subwords of the pretrained encoders, and the way back from them to words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from typing_extensions import Self

from encoders.features import BoolArray, FloatArray, Utterance
from encoders.tokenizer import well_formed

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer


@dataclass(frozen=True, slots=True)
class Subwords:
    """The subwords of one text.

    Attributes:
        ids: [S] int64, special tokens and prefix included; empty when the text has no subword of its own.
        offsets: [S, 2] int32, characters of the text; start equals end for special tokens and the prefix.
    """

    ids: NDArray[np.int64]
    offsets: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.ids)


NOTHING = Subwords(np.zeros(0, np.int64), np.zeros((0, 2), np.int32))
FILE = "tokenizer.json"


class Subworder(Protocol):
    """Cuts texts into the subwords of a pretrained encoder, each text behind `prefix`."""

    prefix: str

    def __call__(self, texts: Sequence[str]) -> list[Subwords]:
        """One a text, in order."""
        ...

    def save(self, folder: Path) -> None:
        """Write all it needs."""
        ...


class SubwordTokenizer:
    """A `tokenizers.Tokenizer` with a prefix and a limit.

    Args:
        core: the tokenizer; its padding and truncation are set here.
        prefix: put in front of every text.
        max_tokens: longest sequence, special tokens and prefix included; the rest of a text is cut off.
    """

    def __init__(self, core: Tokenizer, prefix: str, max_tokens: int) -> None:
        core.no_padding()
        core.enable_truncation(max_tokens)
        core.encode_special_tokens = True  # "[SEP]" typed by a user is text
        self.core = core
        self.prefix = prefix

    def __call__(self, texts: Sequence[str]) -> list[Subwords]:
        """Cut texts into subwords."""
        whole = [self.prefix + well_formed(text) for text in texts]
        found = [self.core.encode(whole[0])] if len(whole) == 1 else self.core.encode_batch(whole)
        return [self._subwords(encoding) for encoding in found]

    def _subwords(self, encoding: Encoding) -> Subwords:
        ids = np.array(encoding.ids, np.int64)
        offsets = np.array(encoding.offsets, np.int32).reshape(-1, 2) - len(self.prefix)
        offsets[np.array(encoding.special_tokens_mask, bool)] = 0
        offsets = np.maximum(offsets, 0)
        return Subwords(ids, offsets) if (offsets[:, 0] < offsets[:, 1]).any() else NOTHING

    def save(self, folder: Path) -> None:
        """Write tokenizer.json."""
        self.core.save(str(folder / FILE), pretty=False)

    @classmethod
    def load(cls, folder: Path, prefix: str, max_tokens: int) -> Self:
        """Read what `save` wrote. Raises `ValueError` when it is missing or damaged."""
        from tokenizers import Tokenizer

        file = folder / FILE
        try:
            core = Tokenizer.from_file(str(file))
        except Exception as error:  # the library raises bare Exception
            raise ValueError(f"{file} is missing or not a tokenizer.json: {error}") from error
        return cls(core, prefix, max_tokens)


def pad(batch: Sequence[Subwords]) -> tuple[NDArray[np.int64], BoolArray, NDArray[np.int32]]:
    """Ids [B, S], mask [B, S] and offsets [B, S, 2] of a batch, padded on the right with zeros."""
    longest = max((len(subwords) for subwords in batch), default=0)
    ids = np.zeros((len(batch), longest), np.int64)
    mask = np.zeros((len(batch), longest), np.bool_)
    offsets = np.zeros((len(batch), longest, 2), np.int32)
    for row, subwords in enumerate(batch):
        ids[row, : len(subwords)] = subwords.ids
        mask[row, : len(subwords)] = True
        offsets[row, : len(subwords)] = subwords.offsets
    return ids, mask, offsets


def word_means(
    utterances: Sequence[Utterance], offsets: NDArray[np.int32], states: FloatArray, longest: int
) -> FloatArray:
    """Each word's mean over the subwords that overlap it.

    Args:
        utterances: B of them.
        offsets: [B, S, 2], as `pad` gives them.
        states: [B, S, H].
        longest: T, at least the number of words of the longest utterance.

    Returns:
        [B, T, H]; a word beyond the cut, or of which no subword is left, is zero.
    """
    batch, subwords, hidden = states.shape
    rows, columns = [], []
    for b, utterance in enumerate(utterances):
        word, subword = np.nonzero(overlaps(utterance, offsets[b]))
        rows.append(word + b * longest)
        columns.append(subword + b * subwords)
    row, column = np.concatenate(rows), np.concatenate(columns)
    counts = np.bincount(row, minlength=batch * longest).astype(np.float32)
    mean = csr_matrix((1 / counts[row], (row, column)), shape=(batch * longest, batch * subwords))
    words: FloatArray = mean @ states.reshape(batch * subwords, hidden)
    return words.reshape(batch, longest, hidden)


def overlaps(utterance: Utterance, offsets: NDArray[np.int32]) -> BoolArray:
    """[words, S] bool: which subword overlaps which word. Words after the last subword are left out."""
    end = int(offsets[:, 1].max(initial=0))
    spans = np.array([(t.start, t.end) for t in utterance.tokens if t.start < end], np.int32).reshape(-1, 2)
    start, stop = np.maximum(spans[:, :1], offsets[None, :, 0]), np.minimum(spans[:, 1:], offsets[None, :, 1])
    found: BoolArray = start < stop
    return found
