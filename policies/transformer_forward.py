"""The learned policy's Transformer at work, in numpy: a turn has a few moves, for which torch is too heavy.

Weights are those of `policies.transformer_training.Net`; a test holds the two to the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from policies.situations import Floats

EPSILON = 1e-5
HEADS = 4  # of attention


def features(weights: Mapping[str, Floats], tokens: Floats, states: Floats) -> Floats:
    """Tokens [..., L, W] and states [..., L, S] to the features of each move [..., L, D]."""
    x = _linear(weights, "embed", tokens)
    layer = 0
    while f"blocks.{layer}.qkv.weight" in weights:
        x = _block(weights, f"blocks.{layer}", x)
        layer += 1
    hidden = _linear(weights, "context", _norm(x, weights["norm.weight"], weights["norm.bias"]))
    hidden = np.maximum(hidden + states @ weights["state.weight"].T, 0)
    return _norm(hidden)


def _block(weights: Mapping[str, Floats], name: str, x: Floats) -> Floats:
    *rest, length, dim = x.shape
    parts = _linear(weights, f"{name}.qkv", _norm(x, weights[f"{name}.norm1.weight"], weights[f"{name}.norm1.bias"]))
    parts = np.moveaxis(parts.reshape(*rest, length, 3, HEADS, dim // HEADS), (-3, -2), (0, -3))
    q, k, v = parts  # each [..., H, L, D/H]
    place = np.arange(length)
    back = place[:, None] - place[None, :]  # [L, L] moves back
    bias = weights[f"{name}.distance"][:, np.maximum(back, 0)]  # [H, L, L]
    scores = q @ np.swapaxes(k, -1, -2) * np.float32((dim // HEADS) ** -0.5) + np.where(back < 0, -np.inf, bias)
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    seen = (shares / shares.sum(axis=-1, keepdims=True)) @ v  # [..., H, L, D/H]
    x = x + _linear(weights, f"{name}.out", np.swapaxes(seen, -2, -3).reshape(*rest, length, dim))
    normed = _norm(x, weights[f"{name}.norm2.weight"], weights[f"{name}.norm2.bias"])
    return x + _linear(weights, f"{name}.down", np.maximum(_linear(weights, f"{name}.up", normed), 0))


def _linear(weights: Mapping[str, Floats], name: str, x: Floats) -> Floats:
    found: Floats = x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]
    return found


def _norm(x: Floats, scale: Floats | float = 1.0, shift: Floats | float = 0.0) -> Floats:
    centred = x - x.mean(axis=-1, keepdims=True)
    spread = np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + np.float32(EPSILON))
    found: Floats = (centred / spread * scale + shift).astype(np.float32)
    return found
