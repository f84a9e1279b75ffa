"""Words and character n-grams as they stand: one-hot words, TF-IDF sentences, sparse."""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import ClassVar, TypeAlias

import numpy as np
from scipy.sparse import csr_matrix
from typing_extensions import Self

from encoders.base import NotFittedError
from encoders.features import Features, Utterance, word_mask
from encoders.options import Positive
from encoders.storage import read_json, write_json

FILE = "onehot.json"
MOST_SPELLED = 10_000  # forms that are remembered with their columns, some 10 MB
Entries: TypeAlias = dict[int, float]  # column -> value of one row


@dataclass(frozen=True, slots=True)
class Terms:
    """A sorted vocabulary: term -> (column, inverse document frequency)."""

    columns: dict[str, tuple[int, float]]

    def __len__(self) -> int:
        return len(self.columns)

    @classmethod
    def count(cls, documents: Iterable[Iterable[str]], total: int, min_count: int) -> Self:
        """Terms that are in at least `min_count` of `total` documents, with ln((1 + n) / (1 + df)) + 1."""
        found = Counter(term for document in documents for term in set(document))
        kept = sorted(term for term, n in found.items() if n >= min_count)
        return cls.of({term: math.log((1 + total) / (1 + found[term])) + 1 for term in kept})

    @classmethod
    def of(cls, frequencies: Mapping[str, float]) -> Self:
        """Number the terms in the given order."""
        return cls({term: (column, idf) for column, (term, idf) in enumerate(frequencies.items())})

    def dump(self) -> dict[str, float]:
        """Term -> inverse document frequency, in column order."""
        return {term: idf for term, (_, idf) in self.columns.items()}

    def known(self, terms: Iterable[str]) -> list[str]:
        """Those that have a column."""
        return [term for term in terms if term in self.columns]

    def hot(self, known: Iterable[str], shift: int) -> list[int]:
        """The columns of known terms, in order, each once."""
        return sorted({self.columns[term][0] + shift for term in known})

    def tfidf(self, known: Iterable[str], shift: int) -> Entries:
        """(1 + ln tf) * idf of known terms, L2-normalised."""
        counts = Counter(known)
        raw = {self.columns[term]: 1 + math.log(count) for term, count in counts.items()}
        length = math.sqrt(sum((idf * tf) ** 2 for (_, idf), tf in raw.items()))
        return {column + shift: idf * tf / length for (column, idf), tf in raw.items()}


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
        self._spelled: dict[str, tuple[list[int], list[str]]] = {}

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
        words: list[Entries] = []
        sentences: list[Entries] = []
        for utterance in utterances:
            text = self._forms(utterance)
            spelled = [self._spell(form) for form in text]
            words += [dict.fromkeys(columns, 1.0) for columns, _ in spelled] + [{}] * (mask.shape[1] - len(text))
            halves = (
                phrases.tfidf(phrases.known(self._phrases(text)), 0),
                pieces.tfidf([piece for _, known in spelled for piece in known], len(phrases)),
            )
            scale = 1 / math.sqrt(max(1, sum(map(bool, halves))))
            sentences.append({column: value * scale for half in halves for column, value in sorted(half.items())})
        return Features(_csr(words, self.dim), mask, _csr(sentences, len(phrases) + len(pieces)))

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

    def _spell(self, form: str) -> tuple[list[int], list[str]]:
        """The columns of a word, and its character n-grams that have one: what people say are mostly the same words."""
        found = self._spelled.get(form)
        if found is None:
            forms, _, pieces = self._terms()
            known = pieces.known(self._pieces([form]))
            found = forms.hot(forms.known([form]), 0) + pieces.hot(known, len(forms)), known
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


def _csr(rows: Sequence[Entries], width: int) -> csr_matrix:
    """Sparse [len(rows), width] of rows whose columns are in order."""
    starts = np.cumsum([0, *map(len, rows)], dtype=np.int32)
    columns = np.fromiter(chain.from_iterable(rows), np.int32, int(starts[-1]))
    values = np.fromiter(chain.from_iterable(map(dict.values, rows)), np.float32, int(starts[-1]))
    return csr_matrix((values, columns, starts), shape=(len(rows), width))
