"""Bots that train in a moment: cheap encoders, small sizes, made-up texts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from typing_extensions import Self

from dialogue.config import Config
from dialogue.training.corpus import Corpus
from encoders.features import Features, Utterance, word_mask

WORDS = {
    "greet": "hello hi morning evening howdy greetings",
    "weather": "rain sun snow storm cloudy forecast",
    "food": "pizza soup bread cake pasta salad",
    "faq/wifi": "wifi internet network password online router",
    "faq/dogs": "dog cat pet animal leash puppy",
}
ANSWERS = {"faq/wifi": "The router's code hangs at the desk.", "faq/dogs": "Four legs are welcome here."}
GRU = {"type": "gru", "dim": 8, "word_dim": 8, "char_dim": 4, "spelling_dim": 4, "epochs": 3}


def texts(name: str, count: int) -> list[str]:
    """Texts of a class: two of its own words and one that all classes share."""
    own, shared = WORDS[name].split(), ("please", "now", "the", "what")
    return [f"{own[i % 6]} {shared[i % 4]} {own[(i * 5 + i // 6 + 1) % 6]}" for i in range(count)]


def corpus(each: int = 10, names: Sequence[str] = tuple(WORDS)) -> Corpus:
    """`each` texts of every class."""
    pairs = [(text, name) for name in names for text in texts(name, each)]
    answers = {name: text for name, text in ANSWERS.items() if name in names}
    return Corpus(tuple(text for text, _ in pairs), tuple(name for _, name in pairs), answers=answers)


def config(folder: Path, **sections: Any) -> Config:
    """Of a bot with two cheap encoders, and whatever else is asked for."""
    encoders = {"words": "onehot", "gru": GRU}
    fusion = {"epochs": 2, "learning_rate": 1e-3}
    posterior = {"samples": 32}
    given = {"encoders": encoders, "fusion": fusion, "posterior": posterior, **sections}
    return Config.model_validate({**given, "cache": str(folder / "cache"), "threads": 1})


class Witness:
    """An encoder that learns from labels and says of each text whether it was there: [1, 0] seen, [0, 1] not."""

    supervised: ClassVar[bool] = True

    def __init__(self) -> None:
        self.seen_: frozenset[str] = frozenset()

    @property
    def dim(self) -> int:
        return 2

    def fit(self, utterances: Sequence[Utterance], labels: Sequence[str] | None = None, *, seed: int = 0) -> Self:
        self.seen_ = frozenset(utterance.text for utterance in utterances)
        return self

    def encode(self, utterances: Sequence[Utterance]) -> Features:
        mask = word_mask(tuple(utterances))
        rows = [[1.0, 0.0] if utterance.text in self.seen_ else [0.0, 1.0] for utterance in utterances]
        sentence = np.array(rows, np.float32).reshape(-1, 2)
        return Features(mask[..., None] * sentence[:, None], mask, sentence)

    def save(self, folder: Path) -> None:
        (folder / "seen.json").write_text(json.dumps(sorted(self.seen_)), "utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        encoder = cls()
        encoder.seen_ = frozenset(json.loads((folder / "seen.json").read_text("utf-8")))
        return encoder
