"""Static word vectors by gensim: trained on the bot's texts, or read from the usual pretrained files."""

from __future__ import annotations

import gzip
import logging
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from typing_extensions import Self

from encoders.base import NotFittedError
from encoders.features import Features, FloatArray, Utterance
from encoders.options import NotNegative, Positive
from encoders.pooling import RATE, enough_epochs, sif_weights, static_features, word_forms
from encoders.storage import map_arrays, read_json, write_arrays, write_json

SETTINGS_FILE, ROWS_FILE = "word2vec.json", "word2vec.safetensors"
SUFFIXES = (".bin", ".vec", ".txt", ".kv")


@dataclass(frozen=True, slots=True)
class Vectors:
    """A vector for each word form.

    Attributes:
        index: form -> row.
        rows: [V, D] float32.
        weights: form -> its weight in a sentence.
    """

    index: dict[str, int]
    rows: FloatArray
    weights: dict[str, float]


class Word2VecEncoder:
    """One vector a word (skip-gram with negative sampling, Mikolov et al. 2013); the sentence is their SIF mean.

    A word without a vector is zero and adds nothing to the sentence; see `pooling.sif_weights`.

    Args:
        vectors: a pretrained file to read instead of training: word2vec .bin, text .vec or .txt (with or without a
            header line), each also as .gz, or gensim's own .kv, which is a pickle: read only files you trust.
        dim: D of trained vectors; a pretrained file has its own.
        epochs: passes over the texts; None takes few for many texts and many for few (`pooling.enough_epochs`).
        window: words to each side that count as context.
        min_count: how often a word must occur to get a vector.
        negative: noise words drawn for each word.
    """

    supervised: ClassVar[bool] = False

    def __init__(
        self,
        *,
        vectors: str | None = None,
        dim: Positive = 100,
        epochs: Positive | None = None,
        window: Positive = 5,
        min_count: Positive = 1,
        negative: NotNegative = 5,
    ) -> None:
        self.vectors = vectors
        self.options: dict[str, Any] = {
            "dim": dim,
            "epochs": epochs,
            "window": window,
            "min_count": min_count,
            "negative": negative,
        }
        self.vectors_: Vectors | None = None

    @property
    def dim(self) -> int:
        """Width D of the word vectors. Raises `NotFittedError` before `fit`."""
        return int(self._vectors().rows.shape[1])

    def fit(self, utterances: Sequence[Utterance], labels: Sequence[str] | None = None, *, seed: int = 0) -> Self:
        """Train on the texts, or read the pretrained file; the weights of the words come from the texts either way.

        Raises:
            ValueError: if the file is missing or of an unknown or damaged format.
        """
        texts = [word_forms(utterance) for utterance in utterances]
        index, rows = _train(texts, seed=seed, **self.options) if self.vectors is None else read(Path(self.vectors))
        self.vectors_ = Vectors(index, rows, sif_weights(texts))
        return self

    def encode(self, utterances: Sequence[Utterance]) -> Features:
        """Words [B, T, D] and L2-normalised sentences [B, D]."""
        found = self._vectors()
        return static_features(utterances, found.rows, found.index, found.weights)

    def save(self, folder: Path) -> None:
        """Write word2vec.json and word2vec.safetensors."""
        found = self._vectors()
        settings = {"vectors": self.vectors, "options": self.options, "words": list(found.index)}
        write_json(folder / SETTINGS_FILE, {**settings, "weights": found.weights})
        write_arrays(folder / ROWS_FILE, {"rows": found.rows})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote. Raises `ValueError` naming the file that is missing or damaged."""
        settings = read_json(folder / SETTINGS_FILE, "vectors", "options", "words", "weights")
        encoder = cls(vectors=settings["vectors"], **settings["options"])
        index = {word: row for row, word in enumerate(settings["words"])}
        rows = map_arrays(folder / ROWS_FILE, "rows")["rows"]
        if len(index) != len(rows):
            raise ValueError(f"{folder / ROWS_FILE} has {len(rows)} rows, expected {len(index)}, one a word")
        encoder.vectors_ = Vectors(index, rows, settings["weights"])
        return encoder

    def _vectors(self) -> Vectors:
        if self.vectors_ is None:
            raise NotFittedError("the word2vec encoder has no vectors; call fit or load first")
        return self.vectors_


def read(file: Path) -> tuple[dict[str, int], FloatArray]:
    """Pretrained vectors: form -> row, and rows [V, D].

    Raises:
        ValueError: if the file is missing, of an unknown suffix, or damaged.
    """
    suffix = file.with_suffix("").suffix if file.suffix == ".gz" else file.suffix
    if not file.is_file():
        raise ValueError(f"vectors: {file} does not exist; expected a file of word vectors")
    if suffix not in SUFFIXES:
        raise ValueError(f"vectors: {file} is of no known format; expected one of {', '.join(SUFFIXES)} (.gz)")
    try:
        return _read_gensim(file) if suffix in (".kv", ".bin") else _read_text(file)
    except Exception as error:  # gensim, gzip and pickle each raise their own
        raise ValueError(f"vectors: {file} cannot be read as {suffix}: {error}") from error


def _read_gensim(file: Path) -> tuple[dict[str, int], FloatArray]:
    from gensim.models import KeyedVectors

    binary = ".bin" in file.suffixes
    found = KeyedVectors.load_word2vec_format(str(file), binary=True) if binary else KeyedVectors.load(str(file))
    return dict(found.key_to_index), np.asarray(found.vectors, np.float32)


def _read_text(file: Path) -> tuple[dict[str, int], FloatArray]:
    """A form and its numbers a line; word2vec and fastText put a line "forms width" before them, GloVe does not."""
    rows: dict[str, FloatArray] = {}
    with gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb") as stream:
        first = stream.readline()
        fields = first.split()
        header = len(fields) == 2
        width = int(fields[1]) if header else len(fields) - 1
        for number, line in enumerate(chain([first] * (not header), stream), start=1 + header):
            word, *values = line.decode("utf-8", "replace").rstrip().rsplit(" ", width)
            if len(values) != width or width < 1:
                raise ValueError(f"line {number} has {len(values)} numbers, expected {width}")
            rows.setdefault(word, np.array(values, np.float32))
    return {word: row for row, word in enumerate(rows)}, np.stack(list(rows.values()))


def _train(
    texts: list[list[str]], *, dim: int, epochs: int | None, window: int, min_count: int, negative: int, seed: int
) -> tuple[dict[str, int], FloatArray]:
    """Skip-gram in one thread, so that the same seed gives the same vectors."""
    counts = Counter(word for text in texts for word in text)
    if not any(count >= min_count for count in counts.values()):
        return {}, np.zeros((0, dim), np.float32)
    from gensim.models import Word2Vec

    with _quiet():
        model = Word2Vec(
            texts,
            vector_size=dim,
            epochs=epochs or enough_epochs(texts),
            window=window,
            min_count=min_count,
            negative=negative,
            alpha=RATE,
            sg=1,
            workers=1,
            seed=seed,
            hashfxn=_stable_hash,
        )
    return dict(model.wv.key_to_index), np.asarray(model.wv.vectors, np.float32)


def _stable_hash(word: str) -> int:
    return zlib.crc32(word.encode("utf-8", "surrogatepass"))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without gensim's advice on small corpora; its logger's level is put back afterwards."""
    logger = logging.getLogger("gensim")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
