"""What a fusion needs to continue a pretrained encoder: the states that go into its last layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encoders.bert_runtime import Hidden
from encoders.features import BoolArray, FloatArray, Utterance


@dataclass(frozen=True, slots=True)
class LowerStates:
    """What goes into the last layers of an encoder.

    Attributes:
        states: [B, S, k * H] float32, of k depths side by side, zero where `mask` is false.
        mask: [B, S] bool, true where text b has a subword s. A blank text has none. S is at least 1.
        offsets: [B, S, 2] int32, characters of the text; start equals end for special tokens and the prefix.
    """

    states: FloatArray
    mask: BoolArray
    offsets: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.mask)


@dataclass(frozen=True, slots=True)
class Ran:
    """One padded batch that went through the encoder: which rows of the whole it is, and what came out."""

    rows: list[int]
    utterances: list[Utterance]
    mask: BoolArray
    offsets: NDArray[np.int32]
    hidden: Hidden


def gather(parts: Sequence[Ran], texts: int, width: int) -> LowerStates:
    """Put the batches' lower states back into the order of the `texts` texts; `width` is k * H."""
    longest = max((part.mask.shape[1] for part in parts), default=1)
    states = np.zeros((texts, longest, width), np.float32)
    mask = np.zeros((texts, longest), np.bool_)
    offsets = np.zeros((texts, longest, 2), np.int32)
    for part in parts:
        if part.hidden.below is None:
            raise ValueError("the encoder was not asked for its lower states")
        length = part.mask.shape[1]
        states[part.rows, :length] = part.hidden.below * part.mask[..., None]
        mask[part.rows, :length] = part.mask
        offsets[part.rows, :length] = part.offsets
    return LowerStates(states, mask, offsets)
