"""A cache on disk for the dear encoder: each distinct text goes through it once, also across trainings."""

from __future__ import annotations

import hashlib
import json
import math
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from encoders.bert_lower import LowerStates
from encoders.features import Features, FloatArray, Utterance, word_mask

CHUNK = 256  # texts encoded, and committed, at a time
FORMAT = 2  # of a text's features
SIZES, KINDS = Struct("<5I"), tuple(map(np.dtype, ("<f2", "<f4", "<f2", "<i4")))  # of what `Encoded` holds
PAGE = 16_384  # bytes; a text takes some 20,000
SCHEMA = (
    "CREATE TABLE IF NOT EXISTS features (number INTEGER PRIMARY KEY, key BLOB UNIQUE NOT NULL, value BLOB NOT NULL)"
)


class Cacheable(Protocol):
    """An encoder whose features are worth keeping, such as `BertEncoder`."""

    @property
    def fingerprint(self) -> str:
        """Digest of everything the numbers depend on but the text."""
        ...

    def forward(
        self, utterances: Sequence[Utterance], layers: Sequence[int] = ()
    ) -> tuple[Features, LowerStates | None]:
        """Features and what goes into the last n layers, side by side for each n of `layers`."""
        ...


@dataclass(frozen=True, slots=True)
class Encoded:
    """One text's features, unpadded.

    Attributes:
        words: [t, D] float16.
        sentence: [S] float32.
        below: [s, k * H] float16, what goes into the last layers at k depths; s is 0 when it was not asked for.
        offsets: [s, 2] int32, characters of the text.
    """

    words: NDArray[np.float16]
    sentence: FloatArray
    below: NDArray[np.float16]
    offsets: NDArray[np.int32]


class FeatureCache:
    """Features by SHA-256 of encoder fingerprint, text and tokens, in one SQLite file.

    Words and lower states are kept, and given back, in half precision, also the first time: the numbers do not depend
    on whether the cache was warm. Several processes may share the file.

    Args:
        file: made with its folder when it is missing.
        limit: bytes of features to keep at most; the oldest go first.
    """

    def __init__(self, file: Path, limit: int = 2_000_000_000) -> None:
        self.file = file
        self.limit = limit

    def encode(self, encoder: Cacheable, utterances: Sequence[Utterance], layers: Sequence[int] = ()) -> list[Encoded]:
        """Each text's features, in order; only texts that are not in the cache go through the encoder.

        Raises:
            ValueError: if the file is not a feature cache.
        """
        keys = [_key(encoder.fingerprint, layers, utterance) for utterance in utterances]
        distinct = dict(zip(keys, utterances, strict=True))
        with self._open() as database:
            found = _read(database, list(distinct))
            missing = [key for key in distinct if key not in found]
            missing.sort(key=lambda key: len(distinct[key].text))  # texts of like length share a batch
            for start in range(0, len(missing), CHUNK):
                chunk = missing[start : start + CHUNK]
                new = split(*encoder.forward([distinct[key] for key in chunk], layers))
                found.update(zip(chunk, new, strict=True))
                with database:
                    rows = [(key, _pack(encoded)) for key, encoded in zip(chunk, new, strict=True)]
                    database.executemany("INSERT OR REPLACE INTO features (key, value) VALUES (?, ?)", rows)
            if missing:
                _forget(database, self.limit)
        return [found[key] for key in keys]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        try:
            with closing(sqlite3.connect(self.file, timeout=60)) as database:
                database.execute(f"PRAGMA page_size = {PAGE}")  # of a new file
                database.execute("PRAGMA journal_mode = WAL")
                database.execute("PRAGMA synchronous = NORMAL")
                database.execute(SCHEMA)
                yield database
        except sqlite3.DatabaseError as error:
            raise ValueError(f"{self.file} cannot be used as feature cache: {error}; delete it") from error


def split(features: Features, lower: LowerStates | None) -> list[Encoded]:
    """A batch's dense features as one record a text."""
    nothing, nowhere = np.zeros((0, 0), np.float16), np.zeros((0, 2), np.int32)
    records = []
    for row in range(len(features)):
        words = np.asarray(features.words[row, features.mask[row]], np.float16)
        kept = lower.mask[row] if lower else None
        below = lower.states[row, kept].astype(np.float16) if lower else nothing
        records.append(Encoded(words, features.sentence[row], below, lower.offsets[row, kept] if lower else nowhere))
    return records


def collate(utterances: Sequence[Utterance], records: Sequence[Encoded]) -> tuple[Features, LowerStates]:
    """Records as one padded batch, float32: what `forward` gave for these texts."""
    mask = word_mask(tuple(utterances))
    words = _stack([record.words for record in records], mask.shape[1], np.float32)
    longest = max(1, *(len(record.below) for record in records)) if records else 1
    lengths = np.array([len(record.below) for record in records], np.int64)
    lower = LowerStates(
        states=_stack([record.below for record in records], longest, np.float32),
        mask=np.arange(longest) < lengths[:, None],
        offsets=_stack([record.offsets for record in records], longest, np.int32),
    )
    sentence = np.stack([record.sentence for record in records]) if records else np.zeros((0, 0), np.float32)
    return Features(words, mask, sentence), lower


def _stack(arrays: Sequence[NDArray[Any]], longest: int, kind: type[np.generic]) -> NDArray[Any]:
    """[n, ...] arrays as one [B, longest, ...], padded with zeros."""
    width = max((array.shape[1] for array in arrays), default=0)
    whole = np.zeros((len(arrays), longest, width), kind)
    for row, array in enumerate(arrays):
        whole[row, : len(array), : array.shape[1]] = array
    return whole


def _key(fingerprint: str, layers: Sequence[int], utterance: Utterance) -> bytes:
    spans = [(token.start, token.end) for token in utterance.tokens]
    return hashlib.sha256(json.dumps([FORMAT, fingerprint, list(layers), utterance.text, spans]).encode()).digest()


def _read(database: sqlite3.Connection, keys: Sequence[bytes]) -> dict[bytes, Encoded]:
    found: dict[bytes, Encoded] = {}
    for start in range(0, len(keys), CHUNK):
        chunk = keys[start : start + CHUNK]
        marks = ", ".join("?" * len(chunk))
        rows = database.execute(f"SELECT key, value FROM features WHERE key IN ({marks})", chunk)  # noqa: S608
        found.update((key, _unpack(value)) for key, value in rows)
    return found


def _forget(database: sqlite3.Connection, limit: int) -> None:
    """Drop the oldest rows until at most `limit` bytes are left."""
    with database:
        database.execute(
            "DELETE FROM features WHERE number IN (SELECT number FROM (SELECT number, "
            "SUM(LENGTH(value)) OVER (ORDER BY number DESC) AS newer FROM features) WHERE newer > ?)",
            (limit,),
        )


def _pack(encoded: Encoded) -> bytes:
    """Sizes, then the four arrays one after another, little-endian."""
    sizes = SIZES.pack(*encoded.words.shape, len(encoded.sentence), *encoded.below.shape)
    arrays: tuple[NDArray[Any], ...] = (encoded.words, encoded.sentence, encoded.below, encoded.offsets)
    return b"".join(
        [sizes, *(array.astype(kind, copy=False).tobytes() for array, kind in zip(arrays, KINDS, strict=True))]
    )


def _unpack(value: bytes) -> Encoded:
    tokens, width, sentence, subwords, below = SIZES.unpack_from(value)
    packed, place, arrays = bytearray(value), SIZES.size, []  # what is read from a bytearray can be written to
    for shape, kind in zip(((tokens, width), (sentence,), (subwords, below), (subwords, 2)), KINDS, strict=True):
        arrays.append(np.frombuffer(packed, kind, math.prod(shape), place).reshape(shape))
        place += arrays[-1].nbytes
    return Encoded(*arrays)
