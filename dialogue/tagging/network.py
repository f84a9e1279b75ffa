"""The tagger in torch, for training; `dialogue.tagging.forward` is the same in numpy.

A piece is its embedding, a convolution over its characters (as in the GRU encoder), a projection of all encoders' words
and its marks, with many examples also embeddings of the pairs it forms with its neighbours and what early layers of the
pretrained encoder, copied and tuned, make of it; a bidirectional GRU reads the pieces, a linear layer gives each tag's
emission, and a conditional random field the probability of all of them together (Huang, Xu and Yu 2015, "Bidirectional
LSTM-CRF Models for Sequence Tagging").
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dialogue.fusion.transformer import Batch as Subwords
from dialogue.fusion.transformer import Fusion
from dialogue.tagging.crf import FORBIDDEN
from dialogue.tagging.tags import may_begin, may_follow
from encoders.gru_forward import KERNEL
from encoders.gru_recurrence import both_ways
from encoders.gru_training import spell

WORD, CHARACTER, SPELLING, DENSE, HIDDEN = 64, 16, 32, 128, 256
PAIR, PAIR_SCALE = 32, 0.3  # of each of the two embeddings; the standard deviation they begin with
DROPOUT, PAIRED_DROPOUT = 0.2, 0.4  # the second where pairs are read, so with many texts and many passes


@dataclass(frozen=True, slots=True)
class Batch:
    """B texts of at most n pieces.

    Attributes:
        words: [B, n] rows of the word embedding.
        forms: [B, n] rows of `characters`.
        characters: [U, C] each form spelled once.
        dense: [B, n, D] the encoders' words, standardised.
        marks: [B, n, M].
        tags: [B, n].
        lengths: [B], on the CPU, all above zero.
        pairs: [B, n, 2] rows of the embeddings of pairs with the piece before and with the piece after, if there are.
        subwords: states that go into the tuned layers, where there are some.
        shares: [B, n, S] from subwords to pieces, see `dialogue.tagging.features.shares`.
    """

    words: Tensor
    forms: Tensor
    characters: Tensor
    dense: Tensor
    marks: Tensor
    tags: Tensor
    lengths: Tensor
    pairs: Tensor | None = None
    subwords: Subwords | None = None
    shares: Tensor | None = None


class Network(nn.Module):
    """Emissions and the potentials between tags."""

    def __init__(
        self,
        words: int,
        characters: int,
        dense: int,
        marks: int,
        tags: int,
        pairs: int = 0,
        layers: Fusion | None = None,
    ) -> None:
        super().__init__()
        self.words = nn.Embedding(words + 2, WORD, padding_idx=0)
        self.characters = nn.Embedding(characters + 2, CHARACTER, padding_idx=0)
        self.convolution = nn.Conv1d(CHARACTER, SPELLING, KERNEL, padding=KERNEL // 2)
        self.dense = nn.Linear(dense, DENSE) if dense else None
        self.layers = layers
        self.tuned = nn.Linear(layers.config.hidden, DENSE) if layers else None
        self.before = paired(pairs) if pairs else None
        self.after = paired(pairs) if pairs else None
        width = WORD + SPELLING + marks + DENSE * (bool(dense) + bool(layers)) + 2 * PAIR * bool(pairs)
        self.gru = nn.GRU(width, HIDDEN // 2, batch_first=True, bidirectional=True)
        self.emit = nn.Linear(HIDDEN, tags)
        self.start = nn.Parameter(torch.zeros(tags))
        self.transition = nn.Parameter(torch.zeros(tags, tags))
        self.end = nn.Parameter(torch.zeros(tags))
        self.dropout = nn.Dropout(PAIRED_DROPOUT if pairs else DROPOUT)
        self.register_buffer("_begins", torch.from_numpy(may_begin(tags)), persistent=False)
        self.register_buffer("_follows", torch.from_numpy(may_follow(tags)), persistent=False)

    def forward(self, batch: Batch) -> Tensor:
        """Emissions [B, n, T]."""
        spelled = spell(self.characters(batch.characters), self.convolution)  # [U, F]
        parts = [self.words(batch.words), spelled[batch.forms]]  # [B, n, E], [B, n, F]
        if self.dense is not None:
            parts.append(self.dense(batch.dense).relu())  # [B, n, D]
        if self.layers is not None and self.tuned is not None:
            tuned, _ = self.layers(batch.subwords)  # [B, S, H]
            parts.append(self.tuned(batch.shares @ tuned).relu())  # [B, n, D]
        if self.before is not None and self.after is not None and batch.pairs is not None:
            parts += [self.before(batch.pairs[..., 0]), self.after(batch.pairs[..., 1])]  # [B, n, P] each
        inputs = torch.cat([self.drop(torch.cat(parts, dim=2)), batch.marks], dim=2)
        states = both_ways(self.gru, inputs, batch.lengths)  # [B, n, 2h]
        emissions: Tensor = self.emit(self.drop(states))
        return emissions

    def drop(self, x: Tensor) -> Tensor:
        """One mask for all pieces of a text (Gal and Ghahramani 2016): [B, n, D]."""
        mask: Tensor = self.dropout(x.new_ones(len(x), 1, x.shape[2]))
        return x * mask

    def loss(self, batch: Batch) -> Tensor:
        """Mean negative log probability of the tags, in nats a text."""
        return self.sequence_loss(self(batch), batch.tags, batch.lengths)

    def sequence_loss(self, emission: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """Mean over texts of log partition minus score: emissions [B, n, T], tags [B, n], lengths [B]."""
        emissions = emission.unbind(1)  # a slice at each t would have its gradient filled up with zeros
        start = self.start.masked_fill(~self._begins, FORBIDDEN)  # type: ignore[operator]
        transition = self.transition.masked_fill(~self._follows, FORBIDDEN)  # type: ignore[operator]
        follow = transition.exp()  # [T, T]
        alpha = start + emissions[0]  # [B, T]
        here = torch.arange(emission.shape[1]) < lengths[:, None]  # [B, n]
        picked = emission.gather(2, tags[..., None])[..., 0] * here  # [B, n]
        passed = transition[tags[:, :-1], tags[:, 1:]] * here[:, 1:]  # [B, n - 1]
        score = start[tags[:, 0]] + picked.sum(dim=1) + passed.sum(dim=1)  # [B]
        for t in range(1, emission.shape[1]):
            # exp in a common scale: a matrix product is far cheaper than a sum over [B, T, T]
            top = alpha.amax(dim=1, keepdim=True)
            summed = ((alpha - top).exp() @ follow).clamp_min(1e-37).log() + top
            alpha = torch.where(here[:, t : t + 1], summed + emissions[t], alpha)
        last = tags.gather(1, (lengths - 1)[:, None])[:, 0]
        return (torch.logsumexp(alpha + self.end, dim=1) - score - self.end[last]).mean()


def paired(pairs: int) -> nn.Embedding:
    """An embedding of pairs. It begins small, for most pairs are seen a few times only."""
    embedding = nn.Embedding(pairs + 2, PAIR, padding_idx=0)
    nn.init.normal_(embedding.weight, 0.0, PAIR_SCALE)
    return embedding
