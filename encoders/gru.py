"""A bidirectional GRU over words and their spelling, trained with the bot to tell its intents apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from typing_extensions import Self

from encoders.base import NotFittedError
from encoders.features import Features, FloatArray, Utterance, word_mask
from encoders.gru_forward import ARRAYS, Vocabulary, Ways, states
from encoders.options import Even, NotNegative, Positive, Rate
from encoders.pooling import normalise, word_forms
from encoders.storage import map_arrays, read_json, write_arrays, write_json

SETTINGS_FILE, ARRAYS_FILE = "gru.json", "gru.safetensors"
BATCH = 64


@dataclass(frozen=True)
class Trained:
    """What `fit` learned."""

    vocabulary: Vocabulary
    arrays: Mapping[str, FloatArray]

    @cached_property
    def ways(self) -> Ways:
        """Those of its arrays that are its GRU."""
        return Ways.of(self.arrays)


class GRUEncoder:
    """Words are the states of both directions side by side; the sentence is their mean beside their maximum.

    Both parts of the sentence are L2-normalised, and so is the whole. Training is in torch; encoding is in numpy and
    needs no torch. Without labels, or with a single one, there is nothing to tell apart and the network stays as drawn
    from the seed: a random projection that still sees order and spelling.

    Args:
        dim: D, both directions together; even.
        word_dim: width of a word's embedding.
        char_dim: width of a character's embedding.
        spelling_dim: width of what the convolution over the characters gives.
        epochs: passes over the texts; None takes few for many texts and more for few (`gru_training.enough_epochs`).
        learning_rate: of AdamW.
        min_count: how often a word must occur to have an embedding of its own.
        max_tokens: words of a text that are read; the rest is zero.
    """

    supervised: ClassVar[bool] = True

    def __init__(
        self,
        *,
        dim: Even = 128,
        word_dim: Positive = 64,
        char_dim: Positive = 16,
        spelling_dim: Positive = 32,
        epochs: NotNegative | None = None,
        learning_rate: Rate = 2e-2,
        min_count: Positive = 1,
        max_tokens: Positive = 128,
    ) -> None:
        self.options: dict[str, Any] = {
            "dim": dim,
            "word_dim": word_dim,
            "char_dim": char_dim,
            "spelling_dim": spelling_dim,
            "epochs": epochs,
            "learning_rate": learning_rate,
            "min_count": min_count,
            "max_tokens": max_tokens,
        }
        self.trained_: Trained | None = None

    @property
    def dim(self) -> int:
        """Width D of the word vectors; the sentence is 2 D. Raises `NotFittedError` before `fit`."""
        self._trained()
        return int(self.options["dim"])

    def fit(self, utterances: Sequence[Utterance], labels: Sequence[str] | None = None, *, seed: int = 0) -> Self:
        """Train on texts and labels.

        Raises:
            ValueError: if `dim` is odd, `epochs` negative or the labels are not as many as the texts.
        """
        from encoders.gru_training import Sizes, train

        if self.options["dim"] < 2 or self.options["dim"] % 2:
            raise ValueError(f"dim = {self.options['dim']}: expected an even number, half for each direction")
        if (epochs := self.options["epochs"]) is not None and epochs < 0:
            raise ValueError(f"epochs = {epochs}: expected 0 or more, or nothing for enough of them")
        texts = [self._forms(utterance) for utterance in utterances]
        if labels is not None and len(labels) != len(texts):
            raise ValueError(f"{len(texts)} texts but {len(labels)} labels: expected one a text")
        vocabulary = Vocabulary(
            _numbered((form for text in texts for form in text), self.options["min_count"]),
            _numbered((character for text in texts for form in text for character in form), 1),
        )
        numbers = {label: number for number, label in enumerate(sorted(set(labels or ())))}
        sizes = Sizes(*(self.options[name] for name in ("dim", "word_dim", "char_dim", "spelling_dim")))
        arrays = train(
            vocabulary,
            texts,
            [numbers[label] for label in labels] if labels else [0] * len(texts),
            sizes,
            epochs=self.options["epochs"],
            rate=self.options["learning_rate"],
            seed=seed,
        )
        self.trained_ = Trained(vocabulary, arrays)
        return self

    def encode(self, utterances: Sequence[Utterance]) -> Features:
        """Words [B, T, D] and sentences [B, 2 D]."""
        trained = self._trained()
        mask = word_mask(tuple(utterances))
        words = np.zeros((*mask.shape, self.dim), np.float32)
        sentence = np.zeros((len(utterances), 2 * self.dim), np.float32)
        texts = [self._forms(utterance) for utterance in utterances]
        order = sorted((row for row, text in enumerate(texts) if text), key=lambda row: len(texts[row]))
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            found, known = states(trained.vocabulary, trained.arrays, trained.ways, [texts[row] for row in rows])
            words[rows, : found.shape[1]] = found
            mean = found.sum(axis=1) / known.sum(axis=1, keepdims=True)
            top = np.where(known[..., None], found, -np.inf).max(axis=1)
            sentence[rows] = normalise(np.concatenate([normalise(mean), normalise(top)], axis=1))
        return Features(words, mask, sentence)

    def save(self, folder: Path) -> None:
        """Write gru.json and gru.safetensors."""
        trained = self._trained()
        vocabulary = {"words": list(trained.vocabulary.words), "characters": list(trained.vocabulary.characters)}
        write_json(folder / SETTINGS_FILE, {"options": self.options, **vocabulary})
        write_arrays(folder / ARRAYS_FILE, trained.arrays)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote, without torch. Raises `ValueError` naming the file that is missing or damaged."""
        settings = read_json(folder / SETTINGS_FILE, "options", "words", "characters")
        encoder = cls(**settings["options"])
        vocabulary = Vocabulary(*(_from_two(settings[name]) for name in ("words", "characters")))
        encoder.trained_ = Trained(vocabulary, map_arrays(folder / ARRAYS_FILE, *ARRAYS))
        return encoder

    def _forms(self, utterance: Utterance) -> list[str]:
        return word_forms(utterance)[: self.options["max_tokens"]]

    def _trained(self) -> Trained:
        if self.trained_ is None:
            raise NotFittedError("the gru encoder is not trained; call fit or load first")
        return self.trained_


def _numbered(items: Iterable[str], min_count: int) -> dict[str, int]:
    """What occurs often enough, sorted -> 2, 3, ..."""
    return _from_two(sorted(item for item, count in Counter(items).items() if count >= min_count))


def _from_two(items: Sequence[str]) -> dict[str, int]:
    return {item: number for number, item in enumerate(items, start=2)}
