"""The weights of a BERT-shaped encoder as numpy arrays, under the names `transformers.BertModel` gives them.

BERT, RoBERTa, XLM-RoBERTa, ELECTRA and MPNet share one shape: embeddings of word, position and type, a layer norm, an
optional projection, and layers of self-attention and feed-forward, each followed by a layer norm. MPNet has no types,
names its attention otherwise, and adds to it what depends on the distance (`bert_distances`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from encoders.bert_distances import by_distance
from encoders.features import FloatArray

FAMILIES = ("bert", "roberta", "xlm-roberta", "electra", "mpnet")
SHIFTED = ("roberta", "xlm-roberta", "mpnet")  # positions are counted from the padding id + 1
ACTIVATIONS = ("gelu", "gelu_new", "relu")
SIZES = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
)
LAYER_PARTS = (
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "attention.output.LayerNorm",
    "intermediate.dense",
    "output.dense",
    "output.LayerNorm",
)
NUMPY_TYPES = ("F32", "F16")  # numpy has no bfloat16
WORDS = "embeddings.word_embeddings.weight"
POSITIONS = "embeddings.position_embeddings.weight"
TYPES = "embeddings.token_type_embeddings.weight"
BUCKETS = "encoder.relative_attention_bias.weight"
MPNET_NAMES = {
    ".attention.attn.q.": ".attention.self.query.",
    ".attention.attn.k.": ".attention.self.key.",
    ".attention.attn.v.": ".attention.self.value.",
    ".attention.attn.o.": ".attention.output.dense.",
    ".attention.LayerNorm.": ".attention.output.LayerNorm.",
}


@dataclass(frozen=True, slots=True)
class Architecture:
    """The sizes of a BERT-shaped encoder.

    Attributes:
        embedding: width of the embeddings; a projection to `hidden` follows when it differs.
        positions: longest sequence.
        first_position: row of the position table that belongs to the first subword.
    """

    family: str
    hidden: int
    embedding: int
    layers: int
    heads: int
    feed_forward: int
    epsilon: float
    activation: str
    positions: int
    first_position: int = 0

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Architecture | None:
        """Read a transformers config; None when the model is not BERT-shaped."""
        family, activation = str(config.get("model_type")), config.get("hidden_act", "gelu")
        relative = config.get("position_embedding_type", "absolute") != "absolute"
        known = family in FAMILIES and activation in ACTIVATIONS and config.keys() >= set(SIZES)
        if not known or relative or config.get("is_decoder"):
            return None
        first = int(config.get("pad_token_id", 1)) + 1 if family in SHIFTED else 0
        return cls(
            family=family,
            hidden=config["hidden_size"],
            embedding=config.get("embedding_size", config["hidden_size"]),
            layers=config["num_hidden_layers"],
            heads=config["num_attention_heads"],
            feed_forward=config["intermediate_size"],
            epsilon=config.get("layer_norm_eps", 1e-12),
            activation=activation,
            positions=config["max_position_embeddings"] - first,
            first_position=first,
        )

    def names(self) -> list[str]:
        """Every tensor an encoder of this shape has, word embeddings first."""
        parts = [f"encoder.layer.{layer}.{part}" for layer in range(self.layers) for part in LAYER_PARTS]
        if self.embedding != self.hidden:
            parts = ["embeddings_project", *parts]
        pairs = [f"{part}.{kind}" for part in ("embeddings.LayerNorm", *parts) for kind in ("weight", "bias")]
        return [WORDS, POSITIONS, BUCKETS if self.family == "mpnet" else TYPES, *pairs]


@dataclass(frozen=True, slots=True)
class TopLayers:
    """The last layers of a BERT-shaped encoder, for whoever continues it.

    Attributes:
        layers: lowest first; each maps `LAYER_PARTS` + ".weight" / ".bias" to float32, linear weights as [out, in].
        heads: attention heads.
        epsilon: of the layer norms.
        activation: "gelu", "gelu_new" or "relu".
        distances: see `bert_distances.by_distance`; None where attention does not depend on distance.
    """

    layers: tuple[Mapping[str, FloatArray], ...]
    heads: int
    epsilon: float
    activation: str
    distances: FloatArray | None = None


def top_layers(architecture: Architecture, tensors: Mapping[str, FloatArray], layers: int) -> TopLayers:
    """Take the last `layers` layers out of the weights.

    Raises:
        ValueError: unless 1 <= layers <= the model's.
    """
    check_layers(layers, architecture.layers)
    names = [f"{part}.{kind}" for part in LAYER_PARTS for kind in ("weight", "bias")]
    kept = range(architecture.layers - layers, architecture.layers)
    return TopLayers(
        layers=tuple({name: tensors[f"encoder.layer.{layer}.{name}"] for name in names} for layer in kept),
        heads=architecture.heads,
        epsilon=architecture.epsilon,
        activation=architecture.activation,
        distances=distances(tensors),
    )


def distances(tensors: Mapping[str, FloatArray]) -> FloatArray | None:
    """What attention adds by distance, see `by_distance`; None in a model that adds nothing."""
    return by_distance(tensors[BUCKETS]) if BUCKETS in tensors else None


def check_layers(layers: int, available: int) -> None:
    """Raise `ValueError` unless the encoder has that many layers."""
    if not 1 <= layers <= available:
        raise ValueError(f"layers = {layers}: expected 1 to {available}, the number of layers of the encoder")


def read_config(folder: Path) -> dict[str, Any]:
    """A transformers config.json. Raises `ValueError` when it is missing or damaged."""
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder / 'config.json'} is missing or damaged: {error}") from error
    return config


def read_tensors(folder: Path, architecture: Architecture) -> dict[str, FloatArray] | None:
    """The weights of a folder, or None when its model.safetensors does not hold them all under BERT's names."""
    from safetensors import safe_open

    file = folder / "model.safetensors"
    if not file.is_file():
        return None
    with safe_open(str(file), framework="np") as stored:
        named = {plain(name): name for name in stored.keys()}  # noqa: SIM118 (not a mapping)
        if not all(name in named for name in architecture.names()):
            return None
        if any(stored.get_slice(named[name]).get_dtype() not in NUMPY_TYPES for name in architecture.names()):
            return None
        return {name: np.asarray(stored.get_tensor(named[name]), np.float32) for name in architecture.names()}


def plain(name: str) -> str:
    """A checkpoint's name without the prefix of its head, and with BERT's names of today."""
    for prefix in ("bert.", "roberta.", "electra.", "mpnet."):
        name = name.removeprefix(prefix)
    for theirs, ours in MPNET_NAMES.items():
        name = name.replace(theirs, ours)
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
