"""A bidirectional GRU over words in numpy: what serves. `gru_training` has the same network in torch.

Each word is its embedding beside a convolution over its characters (Kim et al. 2016, "Character-Aware Neural Language
Models", one width); the GRU is torch's variant of Cho et al. 2014, with the reset gate after the matrix product.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encoders.features import BoolArray, FloatArray

CHARACTERS = 20  # of a word that are read
KERNEL = 3
UNKNOWN = 1  # row of words and characters that are not known; row 0 is padding
ARRAYS = (
    "words.weight",
    "characters.weight",
    "convolution.weight",
    "convolution.bias",
    *(f"gru.{kind}_l0{way}" for way in ("", "_reverse") for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")),
)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Word forms and characters -> rows of their embeddings, from 2 on."""

    words: Mapping[str, int]
    characters: Mapping[str, int]

    def word_ids(self, forms: Sequence[str]) -> list[int]:
        """[T]."""
        return [self.words.get(form, UNKNOWN) for form in forms]

    def character_ids(self, forms: Sequence[str]) -> NDArray[np.int64]:
        """[T, C], cut after `CHARACTERS`, padded with zeros, enough of them for a window of nothing at any width."""
        longest = max(map(len, forms), default=0)
        ids = np.zeros((len(forms), min(CHARACTERS, longest + KERNEL // 2 + 1)), np.int64)
        for row, form in enumerate(forms):
            known = [self.characters.get(character, UNKNOWN) for character in form[:CHARACTERS]]
            ids[row, : len(known)] = known
        return ids


@dataclass(frozen=True, slots=True)
class Ways:
    """What a GRU of width h multiplies with in both directions.

    Attributes:
        inputs, input_bias: [2, 1, I, 3h], [2, 1, 1, 3h].
        states, state_bias: [2, h, 3h], [2, 1, 3h].
    """

    inputs: FloatArray
    input_bias: FloatArray
    states: FloatArray
    state_bias: FloatArray

    @classmethod
    def of(cls, arrays: Mapping[str, FloatArray]) -> Ways:
        """Of a network's arrays."""

        def both(kind: str) -> FloatArray:
            return np.stack([arrays[f"gru.{kind}_l0{way}"].T for way in ("", "_reverse")])

        return cls(
            both("weight_ih")[:, None],
            both("bias_ih")[:, None, None],
            both("weight_hh"),
            both("bias_hh")[:, None],
        )


def states(
    vocabulary: Vocabulary, arrays: Mapping[str, FloatArray], ways: Ways, texts: Sequence[Sequence[str]]
) -> tuple[FloatArray, BoolArray]:
    """Word states [B, T, 2h] and their mask [B, T] of texts given as word forms; none may be empty."""
    lengths = np.array([len(forms) for forms in texts])
    mask: BoolArray = np.arange(lengths.max()) < lengths[:, None]
    forms = [form for text in texts for form in text]
    unique = sorted(set(forms))
    spelled = spelling(arrays, vocabulary.character_ids(unique))  # [U, F]
    known = arrays["words.weight"][vocabulary.word_ids(unique)]  # [U, E]
    place = {form: row for row, form in enumerate(unique)}
    vectors = np.concatenate([known, spelled], axis=1)
    inputs = np.zeros((*mask.shape, vectors.shape[1]), np.float32)
    inputs[mask] = vectors[[place[form] for form in forms]]  # [B, T, E + F]
    return both_ways(ways, inputs, mask) * mask[..., None], mask


def both_ways(ways: Ways, inputs: FloatArray, mask: BoolArray) -> FloatArray:
    """States [B, T, 2h] of padded texts [B, T, I] with their mask [B, T]; beyond a text's end they mean nothing."""
    places = np.arange(mask.shape[1])
    turned = np.where(mask, mask.sum(axis=1, keepdims=True) - 1 - places, places)  # [B, T]
    row = np.arange(len(mask))[:, None]
    forward, backward = gru(ways, inputs, inputs[row, turned])
    return np.concatenate([forward, backward[row, turned]], axis=2)


def spelling(arrays: Mapping[str, FloatArray], ids: NDArray[np.int64]) -> FloatArray:
    """Convolution over the characters of each word, then the maximum: [U, C] -> [U, F]."""
    characters, width = arrays["characters.weight"], ids.shape[1]
    embedded = np.zeros((len(ids), width + 2 * (KERNEL // 2), characters.shape[1]), np.float32)
    embedded[:, KERNEL // 2 : width + KERNEL // 2] = characters[ids]
    kernel = arrays["convolution.weight"]  # [F, c, KERNEL]
    sums = sum(embedded[:, k : k + width] @ kernel[:, :, k].T for k in range(KERNEL))
    spelled: FloatArray = np.maximum(sums + arrays["convolution.bias"], 0).max(axis=1)
    return spelled


def gru(ways: Ways, forward: FloatArray, backward: FloatArray) -> FloatArray:
    """Both directions, each with inputs [B, T, I] in the order it reads them: states [2, B, T, h] in that order."""
    projected = np.stack([forward, backward]) @ ways.inputs + ways.input_bias  # [2, B, T, 3h]
    _, batch, steps, _ = projected.shape
    width = ways.states.shape[1]
    state = np.zeros((2, batch, width), np.float32)
    found = np.empty((2, batch, steps, width), np.float32)
    for step in range(steps):
        new, old = projected[:, :, step], state @ ways.states + ways.state_bias  # [2, B, 3h]
        gates = logistic(new[..., : 2 * width] + old[..., : 2 * width])
        reset, update = gates[..., :width], gates[..., width:]
        candidate = np.tanh(new[..., 2 * width :] + reset * old[..., 2 * width :])
        state = candidate + update * (state - candidate)
        found[:, :, step] = state
    return found


def logistic(x: FloatArray) -> FloatArray:
    """1 / (1 + exp(-x)), in place of `x`; numpy has vector instructions for tanh, SciPy none for its own."""
    x *= 0.5
    np.tanh(x, out=x)
    x *= 0.5
    x += 0.5
    return x
