"""The embedding tables under a BERT-shaped encoder, 8 bits a weight, read from disk row by row."""

from __future__ import annotations

import os
import shutil
import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from threading import Lock
from typing import IO

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from encoders.bert_weights import POSITIONS, TYPES, Architecture
from encoders.features import FloatArray
from encoders.storage import map_arrays, write_arrays

FILE, WORDS_FILE = "embeddings.safetensors", "words.int8"
CHUNK = 8192


class WordRows:
    """The int8 rows [V, E] of a vocabulary in a file; only those asked for are read. Several threads may ask.

    A memory map would read as little, but the system maps a stretch of pages around each: with the scattered words of
    a few hundred texts, the whole of 100 MB.
    """

    def __init__(self, file: IO[bytes], width: int) -> None:
        self._descriptor, self._width, self._lock = os.dup(file.fileno()), width, Lock()
        weakref.finalize(self, os.close, self._descriptor)

    def __call__(self, ids: NDArray[np.int64]) -> NDArray[np.int8]:
        """Rows [B, S, E] of ids [B, S]."""
        distinct, place = np.unique(ids, return_inverse=True)
        with self._lock:
            found = b"".join(self._row(int(i)) for i in distinct)
        return np.frombuffer(found, np.int8).reshape(-1, self._width)[place.reshape(ids.shape)]

    def save(self, file: Path) -> None:
        """Write all rows into a file of their own."""
        with self._lock, file.open("wb") as out, os.fdopen(os.dup(self._descriptor), "rb") as rows:
            rows.seek(0)
            shutil.copyfileobj(rows, out)

    def _row(self, i: int) -> bytes:
        os.lseek(self._descriptor, i * self._width, os.SEEK_SET)
        return os.read(self._descriptor, self._width)


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Word rows and the sums that do not depend on the word.

    Attributes:
        words: [V, E] int8.
        scales: [V] float32; word v is `words[v] * scales[v]`.
        positions: [P, E] float32, position plus, where there are types, type 0.
    """

    words: WordRows
    scales: FloatArray
    positions: FloatArray

    def __call__(self, ids: NDArray[np.int64]) -> FloatArray:
        """Summed embeddings [B, S, E] of ids [B, S]."""
        words: FloatArray = self.words(ids) * self.scales[ids][..., None]
        words += self.positions[: ids.shape[1]]
        return words

    @classmethod
    def of(cls, architecture: Architecture, tensors: Mapping[str, FloatArray], words: Iterable[FloatArray]) -> Self:
        """Quantise the tables of an encoder; `words` are its word embeddings, a stretch of rows at a time."""
        scales: list[FloatArray] = []
        with TemporaryFile(buffering=0) as file:
            for chunk in words:
                found, rows = quantise_rows(chunk)
                scales.append(found)
                file.write(rows.data)
            kept = WordRows(file, architecture.embedding)
        positions = tensors[POSITIONS][architecture.first_position :]
        if TYPES in tensors:
            positions = positions + tensors[TYPES][0]
        return cls(kept, np.concatenate(scales), positions)

    def save(self, folder: Path) -> None:
        """Write embeddings.safetensors and words.int8."""
        write_arrays(folder / FILE, {"scales": self.scales, "positions": self.positions})
        self.words.save(folder / WORDS_FILE)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Open what `save` wrote. Raises `ValueError` naming the file that is missing or damaged."""
        arrays = map_arrays(folder / FILE, "scales", "positions")
        file, width = folder / WORDS_FILE, arrays["positions"].shape[1]
        if not file.is_file() or file.stat().st_size != len(arrays["scales"]) * width:
            raise ValueError(f"{file} is missing or damaged: expected {len(arrays['scales'])} rows of {width} bytes")
        with file.open("rb") as stream:
            return cls(WordRows(stream, width), **arrays)


def chunks(words: FloatArray) -> Iterable[FloatArray]:
    """Word embeddings some thousand rows at a time, so that no second whole copy is made of them."""
    return (words[start : start + CHUNK] for start in range(0, len(words), CHUNK))


def quantise_rows(rows: FloatArray) -> tuple[FloatArray, NDArray[np.int8]]:
    """Rows [V, E] as float32 scales [V] and int8 [V, E] in -127..127."""
    smallest = np.finfo(np.float32).tiny * 127
    scales = np.maximum(np.abs(rows).max(axis=1), smallest) / np.float32(127)
    return scales, np.rint(rows / scales[:, None]).astype(np.int8)
