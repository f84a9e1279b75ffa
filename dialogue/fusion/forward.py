"""The fusion in numpy: what serves, without torch. `dialogue.fusion.transformer` is the same in torch, for training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import erf

from dialogue.fusion.shape import FusionConfig
from dialogue.fusion.units import Padded, Units, pad
from dialogue.posterior.kernel import FloatArray
from encoders.features import BoolArray

GROUP = 32  # texts of like length read at a time
HIDDEN_FROM = np.float32(-1e9)  # the score of a place that is not there


@dataclass(frozen=True, slots=True)
class Fused:
    """A trained fusion.

    Attributes:
        config: its sizes.
        arrays: its parameters, named and shaped as `config.shapes()` says.

    Raises:
        ValueError: if they are not.
    """

    config: FusionConfig
    arrays: Mapping[str, FloatArray]

    def __post_init__(self) -> None:
        wanted, found = self.config.shapes(), {name: array.shape for name, array in self.arrays.items()}
        for name in sorted(wanted.keys() | found.keys()):
            if wanted.get(name) != found.get(name):
                raise ValueError(f"array {name!r} has shape {found.get(name)}, expected {wanted.get(name)}")

    def encode(self, units: Units) -> FloatArray:
        """Fused features [N, H] of all texts, of length one."""
        out = np.zeros((units.count, self.config.hidden), np.float32)
        order = np.argsort([units.length(i) for i in range(units.count)], kind="stable")
        for start in range(0, len(order), GROUP):
            rows = order[start : start + GROUP]
            out[rows] = self.read(pad(units, rows, self.config.hidden, self.config.words))
        return out

    def read(self, batch: Padded) -> FloatArray:
        """The feature of each text: [B, H]."""
        x = self.states(batch)
        weight = batch.mask[..., None].astype(np.float32)  # [B, S, 1]
        pooled = (x * weight).sum(axis=1) / np.maximum(weight.sum(axis=1), 1)  # [B, H]
        found: FloatArray = pooled / np.maximum(np.linalg.norm(pooled, axis=1, keepdims=True), 1e-12)
        return found

    def states(self, batch: Padded) -> FloatArray:
        """States of the last block: [B, S, H]."""
        x = batch.states + self.word_units(batch)  # [B, S, H]
        for name in self.config.sentences:
            x[:, 0] += self.gate(f"sentences.{name}", batch.sentences[name])
        for layer in range(self.config.layers):
            x = self.block(f"blocks.{layer}", x, batch.mask)
        return x

    def word_units(self, batch: Padded) -> FloatArray:
        """The sum of the encoders' views of the word each subword belongs to: [B, S, H]."""
        total = np.zeros_like(batch.states)
        texts, place = np.arange(len(total))[:, None], np.maximum(batch.word_of, 0)
        for name in self.config.words:
            unit = self.gate(f"words.{name}", batch.words[name]).reshape(
                len(total), -1, self.config.hidden
            )  # [B, T, H]
            total += unit[texts, place]
        return total * (batch.word_of >= 0)[..., None]

    def gate(self, name: str, x: FloatArray) -> FloatArray:
        """[N, D] -> [N, H]."""
        found: FloatArray = self.arrays[f"{name}.gate"] * (x @ self.arrays[f"{name}.weight"])
        return found

    def block(self, name: str, x: FloatArray, mask: BoolArray) -> FloatArray:
        """One post-norm Transformer block: [B, S, H], [B, S] -> [B, S, H]."""
        b, s, h = x.shape
        heads = self.config.heads
        q, k, v = (
            self.linear(f"{name}.{part}", x).reshape(b, s, heads, h // heads).transpose(0, 2, 1, 3)
            for part in ("query", "key", "value")
        )  # [B, h, S, H / h]
        scores = q @ k.transpose(0, 1, 3, 2) / np.float32((h // heads) ** 0.5)  # [B, h, S, S]
        scores = np.where(mask[:, None, None, :], scores, HIDDEN_FROM)
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        mixed = (scores / scores.sum(axis=-1, keepdims=True)) @ v  # [B, h, S, H / h]
        attended = self.linear(f"{name}.attended", mixed.transpose(0, 2, 1, 3).reshape(b, s, h))
        x = self.norm(f"{name}.attended_norm", x + attended)
        wide = activate(self.config.activation, self.linear(f"{name}.widen", x))  # [B, S, F]
        return self.norm(f"{name}.narrow_norm", x + self.linear(f"{name}.narrow", wide))

    def linear(self, name: str, x: FloatArray) -> FloatArray:
        """[..., in] -> [..., out]."""
        weight = self.arrays[f"{name}.weight"]
        flat = x.reshape(-1, x.shape[-1])  # else numpy multiplies text by text, and BLAS copies the weights for each
        found: FloatArray = (flat @ weight.T + self.arrays[f"{name}.bias"]).reshape(*x.shape[:-1], len(weight))
        return found

    def norm(self, name: str, x: FloatArray) -> FloatArray:
        """Layer normalisation over the last axis."""
        centred = x - x.mean(axis=-1, keepdims=True)
        spread = np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + np.float32(self.config.epsilon))
        found: FloatArray = centred / spread * self.arrays[f"{name}.weight"] + self.arrays[f"{name}.bias"]
        return found


def activate(name: str, x: FloatArray) -> FloatArray:
    """An activation by its name in a BERT configuration."""
    found: FloatArray
    if name == "relu":
        found = np.maximum(x, 0)
    elif name == "gelu_new":
        inner = np.float32((2 / np.pi) ** 0.5) * (x + np.float32(0.044715) * x * x * x)
        found = np.float32(0.5) * x * (1 + np.tanh(inner))
    else:
        found = np.float32(0.5) * x * (1 + erf(x * np.float32(0.5**0.5)))
    return found
