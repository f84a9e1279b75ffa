"""The sizes of a fusion, and the arrays that it has by them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders.bert_weights import TopLayers

# a block's parameter -> its name in BERT
BERT_NAMES = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "attended": "attention.output.dense",
    "attended_norm": "attention.output.LayerNorm",
    "widen": "intermediate.dense",
    "narrow": "output.dense",
    "narrow_norm": "output.LayerNorm",
}
DISTANCES = "blocks.distances"  # what the attention of all blocks adds by distance


@dataclass(frozen=True)
class FusionConfig:
    """Sizes of a fusion.

    Attributes:
        hidden: width H of a state; of the pretrained encoder, when it is continued.
        heads: attention heads; H must be a multiple.
        feed_forward: inner width of a block.
        layers: how many blocks: few, since a bot has few sentences and two CPU cores.
        dropout: probability, on attention and on every block's two outputs.
        encoder_dropout: probability that one encoder's view of a group of texts is dropped in training, so that none
            leans on another.
        epsilon: of the layer norms.
        activation: of the blocks' inner layer: "gelu", "gelu_new" or "relu".
        pretrained: whether the layers continue a pretrained encoder; decides where the gates start.
        reach: the distance from which on attention adds the same by distance; 0 where it adds nothing.
        words: width of each encoder's word vectors; `sentences`: of its sentence vectors.
    """

    hidden: int
    heads: int
    feed_forward: int
    layers: int
    dropout: float
    encoder_dropout: float
    epsilon: float
    pretrained: bool
    words: Mapping[str, int]
    sentences: Mapping[str, int]
    activation: str = "gelu"
    reach: int = 0

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Every array's shape by its name; a linear layer's weight is [out, in]."""
        h, wide = self.hidden, self.feed_forward
        linear = dict.fromkeys(("query", "key", "value", "attended"), (h, h))
        linear |= {"widen": (wide, h), "narrow": (h, wide)}
        found: dict[str, tuple[int, ...]] = {}
        for kind, widths in (("words", self.words), ("sentences", self.sentences)):
            for name, width in widths.items():
                found |= {f"{kind}.{name}.weight": (width, h), f"{kind}.{name}.gate": (1,)}
        for block in (f"blocks.{layer}" for layer in range(self.layers)):
            for name, shape in linear.items():
                found |= {f"{block}.{name}.weight": shape, f"{block}.{name}.bias": shape[:1]}
            for name in ("attended_norm", "narrow_norm"):
                found |= {f"{block}.{name}.weight": (h,), f"{block}.{name}.bias": (h,)}
        if self.reach:
            found[DISTANCES] = (2 * self.reach + 1, self.heads)
        return found

    def top(self, arrays: Mapping[str, NDArray[np.float32]]) -> TopLayers:
        """The blocks among its arrays as layers of BERT."""
        names = [
            (f"{ours}.{kind}", f"{bert}.{kind}") for ours, bert in BERT_NAMES.items() for kind in ("weight", "bias")
        ]
        blocks = (f"blocks.{layer}" for layer in range(self.layers))
        layers = tuple({bert: arrays[f"{block}.{ours}"] for ours, bert in names} for block in blocks)
        return TopLayers(layers, self.heads, self.epsilon, self.activation, arrays.get(DISTANCES))


def sizes_of(top: TopLayers) -> dict[str, Any]:
    """The fields of the `FusionConfig` of a fusion that continues these layers."""
    feed_forward, hidden = top.layers[0]["intermediate.dense.weight"].shape
    return {
        "hidden": hidden,
        "heads": top.heads,
        "feed_forward": feed_forward,
        "layers": len(top.layers),
        "epsilon": top.epsilon,
        "activation": top.activation,
        "reach": 0 if top.distances is None else len(top.distances) // 2,
    }
