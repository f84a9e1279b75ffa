"""The embedding tables under a BERT-shaped encoder, 8 bits a weight, read from disk row by row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from encoders.bert_weights import POSITIONS, TYPES, Architecture
from encoders.features import FloatArray
from encoders.storage import map_arrays, write_arrays

FILE = "embeddings.safetensors"
CHUNK = 8192


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Word rows and the sums that do not depend on the word.

    Attributes:
        words: [V, E] int8.
        scales: [V] float32; word v is `words[v] * scales[v]`.
        positions: [P, E] float32, position plus type 0.
    """

    words: NDArray[np.int8]
    scales: FloatArray
    positions: FloatArray

    def __call__(self, ids: NDArray[np.int64]) -> FloatArray:
        """Summed embeddings [B, S, E] of ids [B, S]."""
        words: FloatArray = self.words[ids] * self.scales[ids][..., None]
        words += self.positions[: ids.shape[1]]
        return words

    @classmethod
    def of(cls, architecture: Architecture, tensors: Mapping[str, FloatArray], words: Iterable[FloatArray]) -> Self:
        """Quantise the tables of an encoder; `words` are its word embeddings, a stretch of rows at a time.

        The rows go to a temporary file: of a large vocabulary a bot's texts only ever touch a few thousand.
        """
        scales: list[FloatArray] = []
        with TemporaryFile() as file:
            for chunk in words:
                found, rows = quantise_rows(chunk)
                scales.append(found)
                file.write(rows.data)
            file.flush()
            kept = np.memmap(file, np.int8, "r", shape=(sum(map(len, scales)), architecture.embedding))
        positions = tensors[POSITIONS][architecture.first_position :] + tensors[TYPES][0]
        return cls(np.asarray(kept), np.concatenate(scales), positions)

    def save(self, folder: Path) -> None:
        """Write embeddings.safetensors."""
        write_arrays(folder / FILE, {"words": self.words, "scales": self.scales, "positions": self.positions})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Map what `save` wrote into memory. Raises `ValueError` when the file is missing or damaged."""
        return cls(**map_arrays(folder / FILE, "words", "scales", "positions"))


def chunks(words: FloatArray) -> Iterable[FloatArray]:
    """Word embeddings some thousand rows at a time, so that no second whole copy is made of them."""
    return (words[start : start + CHUNK] for start in range(0, len(words), CHUNK))


def quantise_rows(rows: FloatArray) -> tuple[FloatArray, NDArray[np.int8]]:
    """Rows [V, E] as float32 scales [V] and int8 [V, E] in -127..127."""
    smallest = np.finfo(np.float32).tiny * 127
    scales = np.maximum(np.abs(rows).max(axis=1), smallest) / np.float32(127)
    return scales, np.rint(rows / scales[:, None]).astype(np.int8)
