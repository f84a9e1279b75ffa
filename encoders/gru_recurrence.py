"""The bidirectional GRU in training: the numbers of `torch.nn.GRU` over packed texts, its gradient written out.

Texts are short and batches small, so that torch spends more on the parts of a step than on their products. Here both
directions take one step together, and what the gradient's steps multiply with is made for all of them at once. As
there, words are packed: step after step those of the texts that reach it, so that one long text costs no other more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from encoders.features import FloatArray
from encoders.gru_forward import logistic

KINDS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def both_ways(gru: nn.GRU, inputs: Tensor, lengths: Tensor) -> Tensor:
    """States [B, T, 2h] of padded texts [B, T, I] with their lengths [B]; zero beyond a text's end.

    Args:
        gru: one layer, bidirectional, batch first, with biases.
        inputs: what the words are; what stands beyond a text's end is not read.
        lengths: of the texts, all above zero.
    """
    parameters = (torch.stack([getattr(gru, f"{kind}_l0{way}") for way in ("", "_reverse")]) for kind in KINDS)
    states: Tensor = _BothWays.apply(inputs, lengths, *parameters)  # type: ignore[no-untyped-call]
    return states


@dataclass(frozen=True, slots=True)
class _Packed:
    """Where the N words of padded texts stand in the order in which both directions read them, longest text first.

    Attributes:
        text: [N], the number of a word's text.
        first, last: [N], its place in the text, read forwards and backwards.
        steps: the words of each step, as many as texts that reach it, or fewer than at the step before.
    """

    text: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    steps: Sequence[slice]

    @classmethod
    def of(cls, lengths: NDArray[np.int64]) -> _Packed:
        order = np.argsort(-lengths, kind="stable")
        reach = [int((lengths > step).sum()) for step in range(lengths.max())]
        text = np.concatenate([order[:texts] for texts in reach])
        first = np.repeat(np.arange(len(reach)), reach)
        steps = [slice(end - texts, end) for texts, end in zip(reach, accumulate(reach), strict=True)]
        return cls(text, first, lengths[text] - 1 - first, steps)

    def read(self, forward: FloatArray, backward: FloatArray) -> FloatArray:
        """Both [B, T, W], for either direction, as they read it: [2, N, W]."""
        return np.stack([forward[self.text, self.first], backward[self.text, self.last]])

    def put(self, read: FloatArray, batch: int, longest: int) -> tuple[FloatArray, FloatArray]:
        """[2, N, W] back in the order of the texts, zero where there is no word: both [B, T, W]."""
        forward, backward = np.zeros((2, batch, longest, read.shape[2]), read.dtype)
        forward[self.text, self.first], backward[self.text, self.last] = read
        return forward, backward


class _BothWays(torch.autograd.Function):
    """Both directions side by side, with states s, gates r and z and candidate c.

    r, z = logistic(W x + U s), c = tanh(W x + r U s) and s' = c + z (s - c), each product with its own bias.
    """

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, lengths: Tensor, *parameters: Tensor) -> Tensor:
        w, u, w_bias, u_bias = (one.detach().numpy() for one in parameters)  # [2, 3h, I], [2, 3h, h], [2, 3h] twice
        packed, words, h = _Packed.of(lengths.numpy()), inputs.detach().numpy(), u.shape[2]
        x = packed.read(words, words)  # [2, N, I]
        own = x @ w.swapaxes(1, 2) + w_bias[:, None]  # [2, N, 3h]
        past, before = np.empty_like(own), np.zeros((*own.shape[:2], h), own.dtype)
        after, turned = np.empty_like(before), np.ascontiguousarray(u.swapaxes(1, 2))
        state = before[:, packed.steps[0]]
        for step in packed.steps:
            s = before[:, step] = state[:, : step.stop - step.start]
            np.add(s @ turned, u_bias[:, None], out=past[:, step])
            gates = logistic(own[:, step, : 2 * h] + past[:, step, : 2 * h])
            c = np.tanh(own[:, step, 2 * h :] + gates[..., :h] * past[:, step, 2 * h :])
            state = after[:, step] = c + gates[..., h:] * (s - c)
            own[:, step, : 2 * h], own[:, step, 2 * h :] = gates, c  # what they were made of is not needed again
        ctx.kept = packed, inputs.shape[:2], x, w, u, own, past[..., 2 * h :], before
        return torch.from_numpy(np.concatenate(packed.put(after, *inputs.shape[:2]), axis=2))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        packed, shape, x, w, u, own, past, before = ctx.kept
        h, by_states = u.shape[2], gradients[0].numpy()
        r, z, c = own[..., :h], own[..., h : 2 * h], own[..., 2 * h :]
        outer = packed.read(by_states[..., :h], by_states[..., h:])  # [2, N, h]
        c_slope, z_slope, r_slope = (1 - z) * (1 - c * c), (before - c) * z * (1 - z), past * r * (1 - r)
        by_own, by_past, by_state = np.empty_like(own), np.empty_like(own), outer[:, :0]
        for step in reversed(packed.steps):
            by_s = outer[:, step]
            by_s[:, : by_state.shape[1]] += by_state
            by_c = by_s * c_slope[:, step]
            by_own[:, step, 2 * h :] = by_c
            np.multiply(by_c, r_slope[:, step], out=by_past[:, step, :h])
            np.multiply(by_s, z_slope[:, step], out=by_past[:, step, h : 2 * h])
            np.multiply(by_c, r[:, step], out=by_past[:, step, 2 * h :])
            by_state = by_s * z[:, step] + by_past[:, step] @ u
        by_own[..., : 2 * h] = by_past[..., : 2 * h]
        by_w, by_u = by_own.swapaxes(1, 2) @ x, by_past.swapaxes(1, 2) @ before
        by_x = np.add(*packed.put(by_own @ w, *shape))
        found = map(torch.from_numpy, (by_w, by_u, by_own.sum(axis=1), by_past.sum(axis=1)))
        return torch.from_numpy(by_x), None, *found
