"""The bidirectional GRU in training: the numbers of `torch.nn.GRU` over packed texts, its gradient written out.

Texts are short and batches small, so that torch spends more on the parts of a step than on their products. Here both
directions take one step together, and what the gradient's steps multiply with is made for all of them at once.
"""

from __future__ import annotations

from dataclasses import dataclass
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
class _Order:
    """In which order the two directions read padded texts: each text from its own first word, or from its own last.

    Attributes:
        turned: [T, B], the place in its text of what the backward direction reads at a step.
        text: [B], the numbers of the texts.
        known: [T, B, 1], one where there is a word, else zero.
    """

    turned: NDArray[np.int64]
    text: NDArray[np.int64]
    known: FloatArray

    @classmethod
    def of(cls, lengths: NDArray[np.int64], steps: int) -> _Order:
        places = np.arange(steps)[:, None]
        known = places < lengths
        turned = np.where(known, lengths - 1 - places, places)
        return cls(turned, np.arange(len(lengths)), known[..., None].astype(np.float32))

    def read(self, forward: FloatArray, backward: FloatArray) -> FloatArray:
        """Both [B, T, W], for either direction, as they read it: [2, T, B, W]."""
        return np.stack([forward.swapaxes(0, 1), backward[self.text, self.turned]])

    def put(self, read: FloatArray) -> tuple[FloatArray, FloatArray]:
        """[2, T, B, W] back in the order of the texts, zero where there is no word: both [B, T, W]."""
        forward, backward = read[0] * self.known, read[1][self.turned, self.text] * self.known
        return forward.swapaxes(0, 1), backward.swapaxes(0, 1)


class _BothWays(torch.autograd.Function):
    """Both directions side by side, with states s, gates r and z and candidate c.

    r, z = logistic(W x + U s), c = tanh(W x + r U s) and s' = c + z (s - c), each product with its own bias.
    """

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, lengths: Tensor, *parameters: Tensor) -> Tensor:
        w, u, w_bias, u_bias = (one.detach().numpy() for one in parameters)  # [2, 3h, I], [2, 3h, h], [2, 3h] twice
        order, words = _Order.of(lengths.numpy(), inputs.shape[1]), inputs.detach().numpy()
        x = order.read(words, words)  # [2, T, B, I]
        (_, steps, batch, width), h = x.shape, u.shape[2]
        own = (x.reshape(2, -1, width) @ w.swapaxes(1, 2) + w_bias[:, None]).reshape(2, steps, batch, 3 * h)
        past, s = np.empty_like(own), np.zeros((2, steps + 1, batch, h), own.dtype)
        turned = np.ascontiguousarray(u.swapaxes(1, 2))
        for t in range(steps):
            np.add(s[:, t] @ turned, u_bias[:, None], out=past[:, t])
            gates = logistic(own[:, t, :, : 2 * h] + past[:, t, :, : 2 * h])
            c = np.tanh(own[:, t, :, 2 * h :] + gates[..., :h] * past[:, t, :, 2 * h :])
            s[:, t + 1] = c + gates[..., h:] * (s[:, t] - c)
            own[:, t, :, : 2 * h], own[:, t, :, 2 * h :] = gates, c  # what they were made of is not needed again
        ctx.kept = order, x, w, u, own, past[..., 2 * h :], s
        return torch.from_numpy(np.concatenate(order.put(s[:, 1:]), axis=2))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        order, x, w, u, own, past, s = ctx.kept
        h, by_states = u.shape[2], gradients[0].numpy()
        r, z, c = own[..., :h], own[..., h : 2 * h], own[..., 2 * h :]
        outer = order.read(by_states[..., :h], by_states[..., h:]) * order.known
        c_slope, z_slope, r_slope = (1 - z) * (1 - c * c), (s[:, :-1] - c) * z * (1 - z), past * r * (1 - r)
        by_own, by_past, by_s = np.empty_like(own), np.empty_like(own), np.zeros_like(s[:, 0])
        for t in reversed(range(own.shape[1])):
            by_s += outer[:, t]
            by_c = by_s * c_slope[:, t]
            by_own[:, t, :, 2 * h :] = by_c
            np.multiply(by_c, r_slope[:, t], out=by_past[:, t, :, :h])
            np.multiply(by_s, z_slope[:, t], out=by_past[:, t, :, h : 2 * h])
            np.multiply(by_c, r[:, t], out=by_past[:, t, :, 2 * h :])
            by_s = by_s * z[:, t] + by_past[:, t] @ u
        by_own[..., : 2 * h] = by_past[..., : 2 * h]
        by_own, by_past = by_own.reshape(2, -1, 3 * h), by_past.reshape(2, -1, 3 * h)
        by_w = by_own.swapaxes(1, 2) @ x.reshape(2, -1, x.shape[3])
        by_u = by_past.swapaxes(1, 2) @ s[:, :-1].reshape(2, -1, h)
        by_x = np.add(*order.put((by_own @ w).reshape(x.shape)))
        found = map(torch.from_numpy, (by_w, by_u, by_own.sum(axis=1), by_past.sum(axis=1)))
        return torch.from_numpy(by_x), None, *found
