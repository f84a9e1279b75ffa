"""The GRU encoder in torch, trained to tell the labels of texts apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from typing_extensions import Self

from encoders.adamw import AdamW
from encoders.features import FloatArray
from encoders.gru_forward import ARRAYS, KERNEL, UNKNOWN, Vocabulary
from encoders.gru_recurrence import both_ways

LEAST_BATCH, MOST_BATCH, STEPS = 16, 64, 8  # a batch is what gives that many steps an epoch, within the bounds
ENOUGH_STEPS, LEAST_EPOCHS, MOST_EPOCHS = 80, 3, 8  # as many passes as give that many steps, within the bounds
WORD_DROPOUT = 0.15  # how often a word is taken for unknown, so that its spelling has to do
SMOOTHING = 0.1  # of the labels
WEIGHT_DECAY = 0.01


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
        inputs = torch.cat([self.words(words), spelled[forms]], dim=2)  # [B, T, E + F]
        states = both_ways(self.gru, inputs, lengths)  # [B, T, dim]
        mask = (torch.arange(words.shape[1]) < lengths[:, None])[..., None]  # [B, T, 1]
        mean = states.sum(dim=1) / lengths[:, None]
        top = states.masked_fill(~mask, -2.0).amax(dim=1)  # states lie in -1..1
        return states, self.classifier(torch.cat([mean, top], dim=1))


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
        """Mean cross-entropy of some texts, with words dropped and labels smoothed."""
        batch = [self.texts[row] for row in rows]
        padded = pad_sequence(batch, batch_first=True, padding_value=len(self.words) - 1)  # [B, T]
        used, forms = torch.unique(padded, return_inverse=True)
        words = self.words[padded]
        words = torch.where((torch.rand(words.shape) < WORD_DROPOUT) & (words > 0), UNKNOWN, words)
        _, logits = network(words, forms, self.characters[used], torch.tensor([len(text) for text in batch]))
        return nn.functional.cross_entropy(logits, self.labels[list(rows)], label_smoothing=SMOOTHING)

    def batches(self, rows: Sequence[int]) -> list[Sequence[int]]:
        """Texts of like length together, so that little is padded."""
        order, size = sorted(rows, key=lambda row: len(self.texts[row])), batch_size(len(rows))
        return [order[start : start + size] for start in range(0, len(order), size)]


def batch_size(texts: int) -> int:
    """Texts in a batch, of so many texts."""
    return min(MOST_BATCH, max(LEAST_BATCH, texts // STEPS))


def enough_epochs(texts: int) -> int:
    """Passes over so many texts that teach the network enough."""
    steps = max(1, texts // batch_size(texts))
    return min(MOST_EPOCHS, max(LEAST_EPOCHS, ENOUGH_STEPS // steps))


def train(
    vocabulary: Vocabulary,
    texts: Sequence[Sequence[str]],
    labels: Sequence[int],
    sizes: Sizes,
    *,
    epochs: int | None,
    rate: float,
    seed: int,
) -> dict[str, FloatArray]:
    """The network's arrays under the names `gru_forward` reads. With fewer than two labels they stay as drawn.

    `epochs` is how many passes are made over the texts, None for `enough_epochs`.
    """
    with _reproducible(seed):
        network = Network(vocabulary, sizes, len(set(labels)))
        if len(set(labels)) > 1:
            passes = enough_epochs(len(texts)) if epochs is None else epochs
            _fit(network, Corpus.of(vocabulary, texts, labels), passes, rate, np.random.default_rng(seed))
        state = network.state_dict()
        return {name: state[name].detach().numpy().copy() for name in ARRAYS}


def _fit(network: Network, corpus: Corpus, epochs: int, rate: float, chance: np.random.Generator) -> None:
    """Cross-entropy by AdamW."""
    optimiser = AdamW(network.parameters(), rate, WEIGHT_DECAY)
    for _ in range(epochs):
        batches = corpus.batches(chance.permutation(len(corpus.texts)).tolist())
        for number in chance.permutation(len(batches)):
            optimiser.zero_grad()
            corpus.loss(network, batches[number]).backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()


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
