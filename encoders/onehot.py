"""Words and character n-grams as they stand: one-hot words, TF-IDF sentences, sparse."""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from typing_extensions import Self

from encoders.base import NotFittedError
from encoders.features import Features, Utterance, word_mask
from encoders.options import Positive
from encoders.storage import read_json, write_json

FILE = "onehot.json"
MOST_SPELLED = 10_000  # forms that are remembered with their columns, some 10 MB


@dataclass(frozen=True, slots=True)
class Terms:
    """A sorted vocabulary: term -> column, and the inverse document frequency of each column."""

    columns: dict[str, int]
    idf: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.columns)

    @classmethod
    def count(cls, documents: Iterable[Iterable[str]], total: int, min_count: int) -> Self:
        """Terms that are in at least `min_count` of `total` documents, with ln((1 + n) / (1 + df)) + 1."""
        found = Counter(chain.from_iterable(map(set, documents)))
        kept = sorted(term for term, n in found.items() if n >= min_count)
        return cls.of({term: math.log((1 + total) / (1 + found[term])) + 1 for term in kept})

    @classmethod
    def of(cls, frequencies: Mapping[str, float]) -> Self:
        """Number the terms in the given order."""
        return cls({term: column for column, term in enumerate(frequencies)}, np.array(list(frequencies.values())))

    def dump(self) -> dict[str, float]:
        """Term -> inverse document frequency, in column order."""
        return dict(zip(self.columns, self.idf.tolist(), strict=True))

    def known(self, terms: Iterable[str]) -> list[int]:
        """The columns of those that have one."""
        columns = self.columns
        return [columns[term] for term in terms if term in columns]


class OneHotEncoder:
    """Words and character n-grams.

    A word is the one-hot vector of its form beside the multi-hot vector of the character n-grams of the form between
    its borders. A sentence is TF-IDF of word n-grams beside TF-IDF of the same character n-grams, each part
    L2-normalised (sublinear term frequency, smoothed inverse document frequency), then both together.

    Args:
        word_ngrams: longest word n-gram of a sentence.
        char_ngrams: shortest and longest character n-gram.
        min_count: in how many texts a term must be to get a column.
        lowercase: whether "Moon" and "moon" are one form.
    """

    supervised: ClassVar[bool] = False

    def __init__(
        self,
        *,
        word_ngrams: Positive = 2,
        char_ngrams: tuple[int, int] = (2, 4),
        min_count: Positive = 1,
        lowercase: bool = True,
    ) -> None:
        self.word_ngrams = word_ngrams
        self.char_ngrams = char_ngrams
        self.min_count = min_count
        self.lowercase = lowercase
        self.forms_: Terms | None = None
        self.phrases_: Terms | None = None
        self.pieces_: Terms | None = None
        self._spelled: dict[str, tuple[list[int], list[int]]] = {}

    @property
    def dim(self) -> int:
        """Columns of the word matrix. Raises `NotFittedError` before `fit`."""
        forms, _, pieces = self._terms()
        return len(forms) + len(pieces)

    def fit(self, utterances: Sequence[Utterance], labels: Sequence[str] | None = None, *, seed: int = 0) -> Self:
        """Collect the vocabularies.

        Raises:
            ValueError: if an n-gram length is out of range.
        """
        shortest, longest = self.char_ngrams
        if self.word_ngrams < 1 or not 1 <= shortest <= longest:
            raise ValueError(
                f"word_ngrams = {self.word_ngrams}, char_ngrams = {self.char_ngrams}: expected at least 1, "
                "and the shortest character n-gram before the longest"
            )
        texts = [self._forms(utterance) for utterance in utterances]
        total, least = len(texts), self.min_count
        self.forms_ = Terms.count(texts, total, least)
        self.phrases_ = Terms.count(map(self._phrases, texts), total, least)
        self.pieces_ = Terms.count(map(self._pieces, texts), total, least)
        self._spelled = {}
        return self

    def encode(self, utterances: Sequence[Utterance]) -> Features:
        """Words as CSR [B * T, D], sentences as CSR [B, S]."""
        _, phrases, pieces = self._terms()
        mask = word_mask(tuple(utterances))
        words: list[list[int]] = []
        sentences: list[list[int]] = []
        for utterance in utterances:
            text = self._forms(utterance)
            spelled = [self._spell(form) for form in text]
            words += [columns for columns, _ in spelled] + [[]] * (mask.shape[1] - len(text))
            sentences.append(phrases.known(self._phrases(text)) + [piece for _, known in spelled for piece in known])
        starts, columns = _flat(words)
        hot = csr_matrix((np.ones(len(columns), np.float32), columns, starts), shape=(len(words), self.dim))
        return Features(hot, mask, _tfidf(sentences, phrases, pieces))

    def save(self, folder: Path) -> None:
        """Write onehot.json."""
        forms, phrases, pieces = self._terms()
        options = {name: getattr(self, name) for name in ("word_ngrams", "char_ngrams", "min_count", "lowercase")}
        terms = {"forms": forms.dump(), "phrases": phrases.dump(), "pieces": pieces.dump()}
        write_json(folder / FILE, {"options": options, **terms})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote. Raises `ValueError` naming the file when it is missing or damaged."""
        stored = read_json(folder / FILE, "options", "forms", "phrases", "pieces")
        options = stored["options"]
        encoder = cls(**{**options, "char_ngrams": tuple(options["char_ngrams"])})
        encoder.forms_, encoder.phrases_, encoder.pieces_ = (
            Terms.of(stored[name]) for name in ("forms", "phrases", "pieces")
        )
        return encoder

    def _terms(self) -> tuple[Terms, Terms, Terms]:
        if self.forms_ is None or self.phrases_ is None or self.pieces_ is None:
            raise NotFittedError("the onehot encoder has no vocabulary; call fit or load first")
        return self.forms_, self.phrases_, self.pieces_

    def _forms(self, utterance: Utterance) -> list[str]:
        """The words, compatibility characters made plain, in lower case if so wished."""
        normal = [unicodedata.normalize("NFKC", token.text) for token in utterance.tokens]
        return [form.lower() for form in normal] if self.lowercase else normal

    def _spell(self, form: str) -> tuple[list[int], list[int]]:
        """The columns of a word, and of its character n-grams in a sentence: what people say are mostly the same words.

        The first are in order, each once; a character n-gram is among the second as often as it occurs.
        """
        found = self._spelled.get(form)
        if found is None:
            forms, phrases, pieces = self._terms()
            known = pieces.known(self._pieces([form]))
            hot = forms.known([form]) + [len(forms) + piece for piece in sorted(set(known))]
            found = hot, [len(phrases) + piece for piece in known]
            if len(self._spelled) >= MOST_SPELLED:
                self._spelled.clear()
            self._spelled[form] = found
        return found

    def _phrases(self, forms: Sequence[str]) -> Iterator[str]:
        """Word n-grams."""
        for n in range(1, self.word_ngrams + 1):
            for start in range(len(forms) - n + 1):
                yield " ".join(forms[start : start + n])

    def _pieces(self, forms: Iterable[str]) -> Iterator[str]:
        """Character n-grams of each word between spaces that mark its borders."""
        shortest, longest = self.char_ngrams
        for form in forms:
            marked = f" {form} "
            for n in range(shortest, longest + 1):
                for start in range(len(marked) - n + 1):
                    yield marked[start : start + n]


def _tfidf(sentences: Sequence[Sequence[int]], phrases: Terms, pieces: Terms) -> csr_matrix:
    """Sparse [B, S] of the terms' columns, phrases before pieces, each as often as it occurs.

    (1 + ln tf) * idf, each half L2-normalised, then both together.
    """
    size, width = len(sentences), len(phrases) + len(pieces)
    starts, columns = _flat(sentences)
    cells, times = np.unique(np.repeat(np.arange(size), np.diff(starts)) * width + columns, return_counts=True)
    row, column = np.divmod(cells, max(1, width))
    values = (1 + np.log(times)) * np.concatenate([phrases.idf, pieces.idf])[column]
    half = 2 * row + (column >= len(phrases))
    lengths = np.sqrt(np.bincount(half, values * values, 2 * size))
    values /= lengths[half] * np.sqrt((lengths.reshape(size, 2) > 0).sum(axis=1))[row]
    ends = np.searchsorted(row, np.arange(size + 1))
    return csr_matrix((values.astype(np.float32), column, ends), shape=(size, width))


def _flat(rows: Sequence[Sequence[int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each row begins and ends [len(rows) + 1], and what all of them hold, one after another."""
    starts = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    return starts, np.fromiter(chain.from_iterable(rows), np.int64, int(starts[-1]))
