"""What the fusion reads: every encoder's words and sentences of many texts, laid flat, and batches cut out of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack

from dialogue.posterior.kernel import FloatArray, IntArray, View, unit
from encoders.features import Features

if TYPE_CHECKING:
    from dialogue.fusion.transformer import Batch

MOST_PLACES = 128
NARROW = 256


@dataclass(frozen=True, slots=True)
class Seen:
    """One encoder's view of N texts.

    `words` [W, D] holds the words of all texts one after the other (dense or CSR), `starts` [N + 1] where each text's
    begin, `sentence` [N, S] rows of length one (or zero).
    """

    words: FloatArray | csr_matrix
    starts: IntArray
    sentence: View

    def pick(self, rows: IntArray) -> Seen:
        """Some of the texts, in the order asked for."""
        lengths = self.starts[rows + 1] - self.starts[rows]
        starts = np.concatenate([[0], np.cumsum(lengths)])
        index = np.repeat(self.starts[rows] - starts[:-1], lengths) + np.arange(starts[-1])
        return Seen(self.words[index], starts, self.sentence[rows])


@dataclass(frozen=True, slots=True)
class Below:
    """States that go into the continued layers of a pretrained encoder, text by text.

    `states[i]` [s, H] float16 and `word_of[i]` [s]: the word each subword lies in, -1 for none. A blank text has s = 0.
    """

    states: Sequence[NDArray[np.float16]]
    word_of: Sequence[IntArray]


@dataclass(frozen=True, slots=True)
class Early:
    """States of a pretrained encoder's early layers, which the tagger reads, text by text.

    `states[i]` [s, H] float16 and `offsets[i]` [s, 2]: the characters of each subword, none of a special token. A blank
    text has s = 0.
    """

    states: Sequence[NDArray[np.float16]]
    offsets: Sequence[NDArray[np.int32]]

    def pick(self, rows: IntArray) -> Early:
        """Some of the texts."""
        return Early([self.states[i] for i in rows], [self.offsets[i] for i in rows])


@dataclass(frozen=True, slots=True)
class Units:
    """N texts as fusion and tagger read them: each encoder's view, and states of pretrained ones' lower layers.

    `below` is that of the encoder which the fusion continues, `early` has one entry for each that the tagger reads.
    """

    seen: Mapping[str, Seen]
    below: Below | None
    count: int
    early: Mapping[str, Early] = field(default_factory=dict)

    def pick(self, rows: IntArray) -> Units:
        """Some of the texts."""
        seen = {name: view.pick(rows) for name, view in self.seen.items()}
        below = None
        if self.below is not None:
            below = Below([self.below.states[i] for i in rows], [self.below.word_of[i] for i in rows])
        early = {name: one.pick(rows) for name, one in self.early.items()}
        return Units(seen, below, len(rows), early)

    def only(self, names: Collection[str]) -> Units:
        """Without the views of other encoders than these."""
        return replace(self, seen={name: view for name, view in self.seen.items() if name in names})

    def beside(self, more: Mapping[str, Seen]) -> Units:
        """With the views of more encoders."""
        return replace(self, seen={**self.seen, **more})

    def without(self, name: str | None) -> Units:
        """Without an encoder's view, if it has one. The states that the fusion continues stay."""
        return replace(self, seen={other: view for other, view in self.seen.items() if other != name})

    def narrowed(self) -> Units:
        """With every sparse view made dense and narrow, and without early states, as the fusion takes it."""
        return Units({name: narrow(view) for name, view in self.seen.items()}, self.below, self.count)

    def length(self, i: int) -> int:
        """Places that text i takes in a batch."""
        if self.below is not None:
            return len(self.below.states[i])
        return min(MOST_PLACES, max(int(view.starts[i + 1] - view.starts[i]) for view in self.seen.values()))


def lay_flat(parts: Iterable[Features]) -> Seen:
    """Padded batches of one encoder as one flat view."""
    words: list[Any] = []
    lengths: list[NDArray[np.int64]] = []
    sentences: list[Any] = []
    for part in parts:
        words.append(real(part.words, part.mask))
        lengths.append(part.mask.sum(axis=1))
        sentences.append(part.sentence)
    starts = np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int64)
    return Seen(stack(words), starts, unit(stack(sentences)))


def real(words: View, mask: NDArray[np.bool_]) -> View:
    """The rows that are words, of a padded batch's dense words [B, T, D] or its CSR [B * T, D]."""
    if not isinstance(words, csr_matrix):
        return words[mask]
    ends = words.indptr[1:][mask.ravel()]  # the others are empty
    return csr_matrix((words.data, words.indices, np.append(words.indptr[:1], ends)), (len(ends), words.shape[1]))


def stack(parts: Sequence[Any]) -> Any:
    """Matrices one below the other, dense or CSR."""
    if len(parts) == 1:
        return parts[0]
    return vstack(parts, format="csr") if isinstance(parts[0], csr_matrix) else np.concatenate(parts)


@dataclass(frozen=True, slots=True)
class Padded:
    """B texts of at most S subwords and T words, padded; see `dialogue.fusion.transformer.Batch`, the same in torch."""

    states: FloatArray
    mask: NDArray[np.bool_]
    word_of: IntArray
    words: Mapping[str, FloatArray]
    sentences: Mapping[str, FloatArray]


def pad(units: Units, rows: IntArray, hidden: int, names: Iterable[str]) -> Padded:
    """Texts `rows` as a padded batch of the encoders `names`; `hidden` is the fusion's width H."""
    longest = max(1, *(units.length(int(i)) for i in rows))
    states = np.zeros((len(rows), longest, hidden), np.float32)
    word_of = np.full((len(rows), longest), -1, np.int64)
    for b, i in enumerate(rows):
        n = units.length(int(i))
        if units.below is None:
            word_of[b, :n] = np.arange(n)
        else:
            states[b, :n], word_of[b, :n] = units.below.states[i], units.below.word_of[i]
    lengths = np.array([units.length(int(i)) for i in rows])
    mask = np.arange(longest) < lengths[:, None]
    mask[lengths == 0, 0] = True  # attention needs one place; the state there is zero
    seen = {name: units.seen[name] for name in names}
    return Padded(
        states,
        mask,
        word_of,
        {name: padded_words(view, rows) for name, view in seen.items()},
        {name: view.sentence[rows] for name, view in seen.items()},
    )


def collate(units: Units, rows: IntArray, hidden: int, names: Iterable[str]) -> Batch:
    """The same as `pad`, for training."""
    import torch

    from dialogue.fusion.transformer import Batch

    padded = pad(units, rows, hidden, names)
    return Batch(
        states=torch.from_numpy(padded.states),
        mask=torch.from_numpy(padded.mask),
        word_of=torch.from_numpy(padded.word_of),
        words={name: torch.from_numpy(words) for name, words in padded.words.items()},
        sentences={name: torch.from_numpy(sentence) for name, sentence in padded.sentences.items()},
    )


def padded_words(view: Seen, rows: IntArray) -> FloatArray:
    """Words of texts `rows`, padded: [B * T, D], zero where a text has no word."""
    starts, lengths = view.starts[rows], view.starts[rows + 1] - view.starts[rows]
    places = np.arange(max(1, int(lengths.max())))
    real = (places < lengths[:, None]).ravel()
    if view.words.shape[0] == 0:
        return np.zeros((len(real), view.words.shape[1]), np.float32)
    index = (starts[:, None] + places).ravel()
    return np.asarray(view.words[np.where(real, index, 0)], np.float32) * real[:, None]


def narrow(view: Seen) -> Seen:
    """A sparse view through a fixed random projection, which keeps inner products (Johnson and Lindenstrauss 1984).

    It spares the fusion a matrix as large as a vocabulary. What is dense stays as it is.
    """
    return Seen(project(view.words), view.starts, project(view.sentence))


def project(rows: View) -> FloatArray:
    """Sparse rows [N, D] as dense rows [N, NARROW]."""
    return rows @ projection(rows.shape[1]) if isinstance(rows, csr_matrix) else rows


@lru_cache(maxsize=8)
def projection(width: int) -> FloatArray:
    """A random matrix [width, NARROW]; the same for the same width."""
    draw = np.random.default_rng(width).standard_normal((width, NARROW), np.float32)
    return draw / np.float32(NARROW**0.5)
