"""The unigram subwords of XLM-R and its kin, cut by sentencepiece (Kudo 2018, arXiv:1804.10959).

`tokenizers` cuts the same, but takes 250 MB for a vocabulary of 250,000 pieces; sentencepiece takes 50. Texts are put
into Unicode's NFKC here, where each character can be followed back to its place.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from typing_extensions import Self

from encoders.subwords import NOTHING, Subwords
from encoders.tokenizer import well_formed

FILE = "unigram.model"
ODD_SPACE = re.compile(r"[^\S ]|\s\s|^\s|\s$")
SPACE = "▁"


@dataclass(frozen=True, slots=True)
class Normal:
    """A text in NFKC with single spaces; character i stands for `source[starts[i]:ends[i]]`."""

    text: str
    starts: Sequence[int]
    ends: Sequence[int]


class UnigramTokenizer:
    """Cuts texts with a serialised sentencepiece model.

    Args:
        model: a `ModelProto` without normalisation of its own; `serialise` makes one.
        prefix: put in front of every text.
        max_tokens: longest sequence, special tokens and prefix included; the rest of a text is cut off.
    """

    def __init__(self, model: bytes, prefix: str, max_tokens: int) -> None:
        from sentencepiece import SentencePieceProcessor

        self.prefix = prefix
        self._model, self._most = model, max_tokens
        self._core: Any = SentencePieceProcessor()
        self._core.LoadFromSerializedProto(model)

    def __call__(self, texts: Sequence[str]) -> list[Subwords]:
        """Cut texts into subwords."""
        return [self._cut(text) for text in texts]

    def _cut(self, text: str) -> Subwords:
        whole = normal(self.prefix + well_formed(text))
        found = self._core.Encode(whole.text, return_type="offset_mapping")
        spans = [
            (whole.starts[start + (end - start > 1 and whole.text[start] == " ")], whole.ends[end - 1])
            for start, end in found["offsets"][: self._most - 2]
        ]
        ids = [self._core.bos_id(), *found["ids"][: self._most - 2], self._core.eos_id()]
        offsets = np.zeros((len(ids), 2), np.int32)
        offsets[1:-1] = np.maximum(np.array(spans, np.int32).reshape(-1, 2) - len(self.prefix), 0)
        seen = (offsets[:, 0] < offsets[:, 1]).any()
        return Subwords(np.array(ids, np.int64), offsets) if seen else NOTHING

    def save(self, folder: Path) -> None:
        """Write unigram.model."""
        (folder / FILE).write_bytes(self._model)

    @classmethod
    def load(cls, folder: Path, prefix: str, max_tokens: int) -> Self:
        """Read what `save` wrote. Raises `ValueError` when it is missing or damaged."""
        try:
            return cls((folder / FILE).read_bytes(), prefix, max_tokens)
        except (OSError, RuntimeError) as error:
            raise ValueError(f"{folder / FILE} is missing or no sentencepiece model: {error}") from error


def serialise(pieces: Sequence[tuple[str, float]], special: dict[str, int]) -> bytes:
    """A sentencepiece model of pieces and their log probabilities; `special` numbers bos, eos, pad and unk."""
    from sentencepiece import sentencepiece_model_pb2

    proto: Any = sentencepiece_model_pb2  # its classes are made when it is imported

    model = proto.ModelProto()
    kinds = proto.ModelProto.SentencePiece
    for number, (piece, score) in enumerate(pieces):
        control = kinds.CONTROL if number in special.values() else kinds.NORMAL
        model.pieces.add(piece=piece, score=score, type=kinds.UNKNOWN if number == special["unk"] else control)
    model.trainer_spec.model_type = proto.TrainerSpec.UNIGRAM
    for role, number in special.items():
        setattr(model.trainer_spec, f"{role}_id", number)
        setattr(model.trainer_spec, f"{role}_piece", pieces[number][0])
    model.normalizer_spec.name = "identity"
    serialised: bytes = model.SerializeToString()
    return serialised


def normal(text: str) -> Normal:
    """NFKC, one space for any white space, none around the text."""
    if unicodedata.is_normalized("NFKC", text) and not ODD_SPACE.search(text):
        return Normal(text, range(len(text)), range(1, len(text) + 1))
    out: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for start, end in _pieces(text):
        source = text[start:end]
        written = " " if source.isspace() else unicodedata.normalize("NFKC", source)
        written = written.lstrip() if not out or out[-1] == " " else written
        out += written
        starts += [start] * len(written)
        ends += [end] * len(written)
    kept = len("".join(out).rstrip())
    return Normal("".join(out[:kept]), starts[:kept], ends[:kept])


def _pieces(text: str) -> list[tuple[int, int]]:
    """Cut where normalising the parts gives what normalising the whole does; runs of white space are one part."""
    cuts = [0] if text else []
    for i in range(1, len(text)):
        before, last = text[cuts[-1] : i], text[i]
        if before.isspace() and last.isspace():
            continue
        joined = unicodedata.normalize("NFKC", before + last)
        apart = unicodedata.normalize("NFKC", before) + unicodedata.normalize("NFKC", last)
        if not unicodedata.combining(last) and joined == apart:
            cuts.append(i)
    return list(zip(cuts, [*cuts[1:], len(text)], strict=True))
