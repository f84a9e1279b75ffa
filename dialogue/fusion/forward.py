"""The fusion without torch: what serves. `dialogue.fusion.transformer` is the same in torch, for training.

Its gates are products of numpy, its blocks layers of a pretrained encoder in ONNX Runtime, with 8-bit weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from typing_extensions import Self

from dialogue.fusion.shape import FusionConfig
from dialogue.fusion.units import Padded, Units, pad
from dialogue.posterior.kernel import FloatArray
from encoders.bert_runtime import OnnxLayers

GROUP = 32  # texts of like length read at a time
BLOCKS = "blocks."


@dataclass(frozen=True, slots=True)
class Fused:
    """A trained fusion.

    Attributes:
        config: its sizes.
        gates: how the encoders' views come in, named and shaped as `config.shapes()` says.
        blocks: its layers.

    Raises:
        ValueError: if the gates or the layers' width are others.
    """

    config: FusionConfig
    gates: Mapping[str, FloatArray]
    blocks: OnnxLayers

    def __post_init__(self) -> None:
        wanted = {name: shape for name, shape in self.config.shapes().items() if not name.startswith(BLOCKS)}
        check_shapes(self.gates, wanted)
        if self.blocks.hidden != self.config.hidden:
            raise ValueError(f"the layers are {self.blocks.hidden} wide, expected {self.config.hidden}")

    @classmethod
    def of(cls, config: FusionConfig, arrays: Mapping[str, FloatArray]) -> Self:
        """From all arrays of a trained fusion. Raises `ValueError` if they do not fit `config`."""
        check_shapes(arrays, config.shapes())
        gates = {name: array for name, array in arrays.items() if not name.startswith(BLOCKS)}
        return cls(config, gates, OnnxLayers.of(config.top(arrays)))

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
        return self.blocks(x, batch.mask)

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
        found: FloatArray = self.gates[f"{name}.gate"] * (x @ self.gates[f"{name}.weight"])
        return found


def check_shapes(arrays: Mapping[str, FloatArray], wanted: Mapping[str, tuple[int, ...]]) -> None:
    """Raise `ValueError` unless these are the arrays that are wanted."""
    found = {name: array.shape for name, array in arrays.items()}
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name):
            raise ValueError(f"array {name!r} has shape {found.get(name)}, expected {wanted.get(name)}")
