"""The fusion Transformer: several encoders' views of one text become one feature.

Read with `training.py` beside it. Where the bot has a pretrained encoder, the layers here are that encoder's last
layers (Devlin et al. 2019, BERT: post-norm blocks), fed with the states below them; every other encoder adds its view
of word t to the subwords of word t, and its view of the sentence to the first place, through a gate that starts at
zero. So before training the fusion *is* the pretrained encoder, and training can only add. Without a pretrained
encoder the states start empty, the gates open, and the layers are trained from scratch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from dialogue.fusion.shape import BERT_NAMES, FusionConfig
from encoders.bert_weights import TopLayers

FloatArray: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True)
class Batch:
    """B texts of at most S subwords and T words, ready for the fusion.

    `states` [B, S, H] come from below the continued layers (zeros without a pretrained encoder, where a subword is a
    word); `mask` [B, S] is true on real places; `word_of` [B, S] is the index t of the word a subword belongs to, -1
    for none; `words[e]` [B * T, D_e] and `sentences[e]` [B, D_e] are the encoders' views.
    """

    states: Tensor
    mask: Tensor
    word_of: Tensor
    words: Mapping[str, Tensor]
    sentences: Mapping[str, Tensor]


class Block(nn.Module):
    """One post-norm Transformer block with BERT's parameter names shortened."""

    def __init__(self, config: FusionConfig) -> None:
        super().__init__()
        h = config.hidden
        self.heads, self.dropout, self.activation = config.heads, config.dropout, config.activation
        self.query, self.key, self.value = nn.Linear(h, h), nn.Linear(h, h), nn.Linear(h, h)
        self.attended = nn.Linear(h, h)
        self.attended_norm = nn.LayerNorm(h, eps=config.epsilon)
        self.widen, self.narrow = nn.Linear(h, config.feed_forward), nn.Linear(config.feed_forward, h)
        self.narrow_norm = nn.LayerNorm(h, eps=config.epsilon)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """[B, S, H], [B, 1, 1, S] bool or [B, h, S, S] to be added -> [B, S, H]."""
        p = self.dropout if self.training else 0.0
        q, k, v = (self.split(layer(x)) for layer in (self.query, self.key, self.value))  # [B, h, S, H / h]
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=p)  # [B, h, S, H / h]
        mixed = mixed.transpose(1, 2).flatten(2)  # [B, S, H]
        x = self.attended_norm(x + F.dropout(self.attended(mixed), p))  # [B, S, H]
        wide = activate(self.activation, self.widen(x))  # [B, S, F]
        return self.narrow_norm(x + F.dropout(self.narrow(wide), p))  # type: ignore[no-any-return]  # [B, S, H]

    def split(self, x: Tensor) -> Tensor:
        """[B, S, H] -> [B, h, S, H / h]."""
        b, s, h = x.shape
        return x.view(b, s, self.heads, h // self.heads).transpose(1, 2)


def activate(name: str, x: Tensor) -> Tensor:
    """An activation by its name in a BERT configuration."""
    return F.relu(x) if name == "relu" else F.gelu(x, approximate="tanh" if name == "gelu_new" else "none")


class Gate(nn.Module):
    """One encoder's way in: a projection to H times a learned scalar."""

    def __init__(self, width: int, hidden: int, start: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width, hidden) / max(1, width) ** 0.5)  # some see no words
        self.gate = nn.Parameter(torch.tensor(start))

    def forward(self, x: Tensor) -> Tensor:
        """[N, D] -> [N, H]."""
        return self.gate * (x @ self.weight)


class Fusion(nn.Module):
    """Words and sentence views of all encoders -> one state per subword and one feature per text."""

    def __init__(self, config: FusionConfig) -> None:
        super().__init__()
        self.config = config
        start = 0.0 if config.pretrained else 1.0
        self.words = nn.ModuleDict({name: Gate(d, config.hidden, start) for name, d in config.words.items()})
        self.sentences = nn.ModuleDict({name: Gate(d, config.hidden, start) for name, d in config.sentences.items()})
        self.blocks = nn.ModuleList([Block(config) for _ in range(config.layers)])
        apart = torch.zeros(2 * config.reach + 1, config.heads) if config.reach else None
        self.blocks.register_buffer("distances", apart)

    def arrays(self) -> dict[str, FloatArray]:
        """All parameters by name: what `dialogue.fusion.forward` is made of."""
        return {name: np.atleast_1d(tensor.detach().numpy().copy()) for name, tensor in self.state_dict().items()}

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """States of the last block [B, S, H] and the fused feature [B, H]: their mean over the text, of length 1."""
        x = batch.states  # [B, S, H]
        x = x + self.word_units(batch)  # [B, S, H]
        first = self.sentence_units(batch)  # [B, H]
        x = torch.cat([x[:, :1] + first[:, None], x[:, 1:]], dim=1)  # [B, S, H]
        attend = self.attend(batch.mask)
        for block in self.blocks:
            x = block(x, attend)  # [B, S, H]
        weight = batch.mask[..., None].to(x.dtype)  # [B, S, 1]
        pooled = (x * weight).sum(1) / weight.sum(1).clamp(min=1.0)  # [B, H]
        return x, F.normalize(pooled, dim=-1)

    def attend(self, mask: Tensor) -> Tensor:
        """What attention looks at of places that are real, [B, S]: [B, 1, 1, S], or what it adds, [B, h, S, S]."""
        real = mask[:, None, None, :]  # [B, 1, 1, S]
        distances = self.blocks.distances
        if not isinstance(distances, Tensor):
            return real
        place = torch.arange(mask.shape[1])
        apart = (place - place[:, None]).clamp(-self.config.reach, self.config.reach) + self.config.reach  # [S, S]
        added = distances[apart].permute(2, 0, 1)  # [h, S, S]
        return torch.where(real, added, torch.finfo(added.dtype).min)

    def continue_from(self, top: TopLayers) -> None:
        """Take over a pretrained encoder's last layers, and what its attention adds by distance."""
        if top.distances is not None:
            self.blocks.register_buffer("distances", torch.from_numpy(top.distances.copy()))
        for block, layer in zip(self.blocks, top.layers, strict=True):
            names = {
                f"{ours}.{kind}": f"{theirs}.{kind}"
                for ours, theirs in BERT_NAMES.items()
                for kind in ("weight", "bias")
            }
            block.load_state_dict({ours: torch.from_numpy(layer[theirs].copy()) for ours, theirs in names.items()})

    def word_units(self, batch: Batch) -> Tensor:
        """The sum of the encoders' views of the word each subword belongs to: [B, S, H]."""
        b, s, h = batch.states.shape
        total = batch.states.new_zeros(b, s, h)
        place = batch.word_of.clamp(min=0)[..., None].expand(b, s, h)  # [B, S, H]
        for name, gate in self.words.items():
            if self.dropped():
                continue
            unit = gate(batch.words[name]).reshape(b, -1, h)  # [B, T, H]
            total = total + unit.gather(1, place)  # [B, S, H]
        return total * (batch.word_of >= 0)[..., None]  # [B, S, H]

    def sentence_units(self, batch: Batch) -> Tensor:
        """The sum of the encoders' views of the whole text: [B, H]."""
        total = batch.states.new_zeros(len(batch.states), self.config.hidden)
        for name, gate in self.sentences.items():
            if not self.dropped():
                total = total + gate(batch.sentences[name])  # [B, H]
        return total

    def dropped(self) -> bool:
        """Whether this encoder sits this batch out."""
        return self.training and bool(torch.rand(()) < self.config.encoder_dropout)
