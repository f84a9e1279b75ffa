"""Training of the learned policy's Transformer, in torch. What comes out is read by `policies.transformer_forward`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.adamw import adamw

from policies.episodes import MOST_MOVES, UNASKED, Material, varied
from policies.situations import Floats
from policies.transformer_forward import HEADS

LEAST_STEPS = 120  # of the optimiser, however few the stories are
RISE = 0.3  # of the steps: the learning rate grows


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes: `dim` numbers a move; `layers`; passes over the stories (`epochs`); stories a step (`batch`)."""

    dim: int = 64
    layers: int = 1
    epochs: int = 60
    batch: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 0.01


class Block(nn.Module):
    """One pre-norm layer: causal attention with a learned bias for each distance, then a feed-forward net."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        dim = shape.dim
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.up, self.down = nn.Linear(dim, 2 * dim), nn.Linear(2 * dim, dim)
        self.distance = nn.Parameter(torch.zeros(HEADS, MOST_MOVES))

    def forward(self, x: Tensor, asked: Tensor | None = None) -> Tensor:
        """[B, L, D] to [B, L, D], or to [N, D] of the N moves that are `asked` [B, L]; these look at the others."""
        batch, length, dim = x.shape
        parts = self.qkv(self.norm1(x)).view(batch, length, 3, HEADS, dim // HEADS)
        q, k, v = parts.permute(2, 0, 3, 1, 4)  # each [B, H, L, D/H]
        place = torch.arange(length)
        back = (place[:, None] - place[None, :]).clamp(min=0)  # [L, L] moves back
        bias = self.distance[:, back].masked_fill(place[None, :] > place[:, None], -math.inf)  # [H, L, L]
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)  # [B, H, L, D/H]
        seen = seen.transpose(1, 2).reshape(batch, length, dim)
        if asked is not None:
            x, seen = x[asked], seen[asked]
        x = x + self.out(seen)
        inner: Tensor = self.down(F.relu(self.up(self.norm2(x))))
        return x + inner


class Net(nn.Module):
    """Moves and states to features, and features to scores of the classes."""

    def __init__(self, shape: Shape, token_width: int, state_width: int, classes: int) -> None:
        super().__init__()
        self.embed = nn.Linear(token_width, shape.dim)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.dim)
        self.context, self.state = nn.Linear(shape.dim, shape.dim), nn.Linear(state_width, shape.dim, bias=False)
        self.last = nn.LayerNorm(shape.dim, elementwise_affine=False)
        self.scores = nn.Linear(shape.dim, classes)

    def forward(self, tokens: Tensor, states: Tensor, asked: Tensor) -> Tensor:
        """Tokens [B, L, W] and states [B, L, S] to features [N, D] of the N moves that are `asked` [B, L]."""
        *lower, top = self.blocks
        x = self.embed(tokens)  # [B, L, D]
        for block in lower:
            x = block(x)
        x = top(x, asked)  # [N, D]
        found: Tensor = self.last(F.relu(self.context(self.norm(x)) + self.state(states[asked])))
        return found


def train(data: Material, shape: Shape, seed: int) -> Mapping[str, Floats]:
    """The weights of a net trained on the material, by name."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = Net(shape, data.words.token_width, data.words.state_width, len(data.classes))
        _optimise(net, data, shape, np.random.default_rng(seed))
    return {name: value.detach().numpy().astype(np.float32) for name, value in net.state_dict().items()}


def _optimise(net: Net, data: Material, shape: Shape, rng: np.random.Generator) -> None:
    count = len(data.episodes)
    batches = math.ceil(count / shape.batch)
    steps = max(shape.epochs * batches, LEAST_STEPS)
    parameters = list(net.parameters())
    means, squares = ([torch.zeros_like(p) for p in parameters] for _ in range(2))
    taken = [torch.zeros(()) for _ in parameters]
    order = rng.permutation(count)
    for step in range(steps):
        if step % batches == 0:
            order = rng.permutation(count)
        start = step % batches * shape.batch
        batch = varied(data, [data.episodes[number] for number in order[start : start + shape.batch]], rng)
        asked = torch.from_numpy(batch.targets != UNASKED)
        features = net(torch.from_numpy(batch.tokens), torch.from_numpy(batch.states), asked)  # [N, D]
        targets, sure = torch.from_numpy(batch.targets)[asked], torch.from_numpy(batch.sure)[asked]
        logs = F.log_softmax(net.scores(features), dim=-1)  # [N, C], the last is "no story"
        weights = torch.from_numpy(batch.weights)[:, None].expand(asked.shape)[asked]
        right = sure * logs.gather(1, targets[:, None])[:, 0] + (1 - sure) * logs[:, -1]  # [N]
        loss = -(weights * right).sum() / weights.sum()
        net.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, 1.0)
        with torch.no_grad():
            adamw(  # `torch.optim.AdamW` would import torch's compiler, which takes longer than the training
                [*parameters],
                [p.grad for p in parameters if p.grad is not None],
                means,
                squares,
                [],
                taken,
                fused=True,
                amsgrad=False,
                beta1=0.9,
                beta2=0.999,
                lr=shape.learning_rate * rate(step, steps),
                weight_decay=shape.weight_decay,
                eps=1e-8,
                maximize=False,
            )


def rate(step: int, steps: int) -> float:
    """Share of the peak learning rate: up over the first 30 % of the steps and down again, each along a cosine."""
    return 0.5 - 0.5 * math.cos(math.pi * min((step + 1) / (RISE * steps), (steps - step) / ((1 - RISE) * steps), 1.0))
