"""The GRU encoder in torch, trained to tell the labels of texts apart."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence
from typing_extensions import Self

from encoders.adamw import AdamW
from encoders.features import FloatArray
from encoders.gru_forward import ARRAYS, KERNEL, UNKNOWN, Vocabulary

LEAST_BATCH, MOST_BATCH, STEPS = 16, 128, 8  # a batch is what gives that many steps an epoch, within the bounds
DROPOUT = 0.3
WORD_DROPOUT = 0.15  # how often a word is taken for unknown, so that its spelling has to do
SMOOTHING = 0.1  # of the labels
WEIGHT_DECAY = 0.01
HELD_OUT = 10  # every tenth text; with fewer than 10 of them held out there is no early stop
PATIENCE = 4  # epochs without a better held-out loss


@dataclass(frozen=True, slots=True)
class Sizes:
    """Widths: of the word states, of a word's embedding, of a character's, of a spelling."""

    dim: int
    word_dim: int
    char_dim: int
    spelling: int


class Network(nn.Module):
    """Embeddings, convolution, GRU, and a linear classifier over mean and maximum of the states."""

    def __init__(self, vocabulary: Vocabulary, sizes: Sizes, classes: int) -> None:
        super().__init__()
        self.words = nn.Embedding(len(vocabulary.words) + 2, sizes.word_dim, padding_idx=0)
        self.characters = nn.Embedding(len(vocabulary.characters) + 2, sizes.char_dim, padding_idx=0)
        self.convolution = nn.Conv1d(sizes.char_dim, sizes.spelling, KERNEL, padding=KERNEL // 2)
        width = sizes.word_dim + sizes.spelling
        self.gru = nn.GRU(width, sizes.dim // 2, batch_first=True, bidirectional=True)
        self.classifier = nn.Linear(2 * sizes.dim, max(1, classes))
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, words: Tensor, forms: Tensor, characters: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """One batch.

        Args:
            words: [B, T], rows of the word embeddings.
            forms: [B, T], rows of `characters`: each form is spelled once.
            characters: [U, C].
            lengths: [B].

        Returns:
            States [B, T, dim] and logits [B, K].
        """
        spelled = spell(self.characters(characters), self.convolution)  # [U, F]
        inputs = self.dropout(torch.cat([self.words(words), spelled[forms]], dim=2))  # [B, T, E + F]
        packed = pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(self.gru(packed)[0], batch_first=True)  # [B, T, dim]
        mask = (torch.arange(words.shape[1]) < lengths[:, None])[..., None]  # [B, T, 1]
        mean = states.sum(dim=1) / lengths[:, None]
        top = states.masked_fill(~mask, -2.0).amax(dim=1)  # states lie in -1..1
        return states, self.classifier(self.dropout(torch.cat([mean, top], dim=1)))


def spell(embedded: Tensor, convolution: nn.Conv1d) -> Tensor:
    """Convolution over characters as a product, cheaper for so few channels, and maximum: [U, C, c] -> [U, F]."""
    windows = nn.functional.pad(embedded, (0, 0, KERNEL // 2, KERNEL // 2)).unfold(1, KERNEL, 1)  # [U, C, c, KERNEL]
    kernel = convolution.weight.flatten(1)  # [F, c * KERNEL]
    return nn.functional.linear(windows.flatten(2), kernel, convolution.bias).amax(dim=1).relu()


@dataclass(frozen=True, slots=True)
class Corpus:
    """Texts as tensors.

    Attributes:
        words: [forms], the word id of each distinct form; the last form stands for padding.
        characters: [forms, C].
        texts: of each text the rows of its forms, [T].
        labels: one a text.
    """

    words: Tensor
    characters: Tensor
    texts: list[Tensor]
    labels: Tensor

    @classmethod
    def of(cls, vocabulary: Vocabulary, texts: Sequence[Sequence[str]], labels: Sequence[int]) -> Self:
        """Number the forms; texts without words are left out."""
        forms = sorted({form for text in texts for form in text})
        rows = {form: row for row, form in enumerate(forms)}
        kept = [(text, label) for text, label in zip(texts, labels, strict=True) if text]
        return cls(
            words=torch.tensor([*vocabulary.word_ids(forms), 0]),
            characters=torch.from_numpy(vocabulary.character_ids([*forms, ""])),
            texts=[torch.tensor([rows[form] for form in text]) for text, _ in kept],
            labels=torch.tensor([label for _, label in kept]),
        )

    def loss(self, network: Network, rows: Sequence[int]) -> Tensor:
        """Mean cross-entropy of some texts; in training with words dropped and labels smoothed."""
        batch = [self.texts[row] for row in rows]
        padded = pad_sequence(batch, batch_first=True, padding_value=len(self.words) - 1)  # [B, T]
        used, forms = torch.unique(padded, return_inverse=True)
        words = self.words[padded]
        if network.training:
            words = torch.where((torch.rand(words.shape) < WORD_DROPOUT) & (words > 0), UNKNOWN, words)
        _, logits = network(words, forms, self.characters[used], torch.tensor([len(text) for text in batch]))
        smoothing = SMOOTHING if network.training else 0.0
        return nn.functional.cross_entropy(logits, self.labels[list(rows)], label_smoothing=smoothing)

    def batches(self, rows: Sequence[int]) -> list[Sequence[int]]:
        """Texts of like length together, so that little is padded."""
        order = sorted(rows, key=lambda row: len(self.texts[row]))
        size = min(MOST_BATCH, max(LEAST_BATCH, len(order) // STEPS))
        return [order[start : start + size] for start in range(0, len(order), size)]


def train(
    vocabulary: Vocabulary,
    texts: Sequence[Sequence[str]],
    labels: Sequence[int],
    sizes: Sizes,
    *,
    epochs: int,
    rate: float,
    seed: int,
) -> dict[str, FloatArray]:
    """The network's arrays under the names `gru_forward` reads. With fewer than two labels they stay as drawn."""
    with _reproducible(seed):
        network = Network(vocabulary, sizes, len(set(labels)))
        if len(set(labels)) > 1:
            _fit(network, Corpus.of(vocabulary, texts, labels), epochs, rate, np.random.default_rng(seed))
        state = network.state_dict()
        return {name: state[name].detach().numpy().copy() for name in ARRAYS}


def _fit(network: Network, corpus: Corpus, epochs: int, rate: float, chance: np.random.Generator) -> None:
    """Cross-entropy by AdamW; keeps the weights of the best epoch on the held-out texts."""
    order = chance.permutation(len(corpus.texts)).tolist()
    held = order[: len(order) // HELD_OUT] if len(order) >= 10 * HELD_OUT else []
    rest = order[len(held) :]
    optimiser = AdamW(network.parameters(), rate, WEIGHT_DECAY)
    best, best_loss, waited = network.state_dict(), math.inf, 0
    for _ in range(epochs):
        network.train()
        batches = corpus.batches(chance.permutation(rest).tolist())
        for number in chance.permutation(len(batches)):
            optimiser.zero_grad()
            corpus.loss(network, batches[number]).backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
        if not held:
            continue
        loss, waited = _held_out_loss(network, corpus, held), waited + 1
        if loss < best_loss:
            best, best_loss, waited = {k: v.clone() for k, v in network.state_dict().items()}, loss, 0
        if waited == PATIENCE:
            break
    if held:
        network.load_state_dict(best)


def _held_out_loss(network: Network, corpus: Corpus, held: list[int]) -> float:
    network.eval()
    with torch.inference_mode():
        return sum(float(corpus.loss(network, rows)) * len(rows) for rows in corpus.batches(held)) / len(held)


@contextmanager
def _reproducible(seed: int) -> Iterator[None]:
    """Own chance and one thread (more cost more than they gain on tensors this small); both put back afterwards."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
