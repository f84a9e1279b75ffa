"""Word vectors made of subwords by fastText: typos and unseen words get vectors too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import numpy as np
from typing_extensions import Self

from encoders.base import NotFittedError
from encoders.features import Features, Utterance
from encoders.options import Positive
from encoders.pooling import RATE, enough_epochs, sif_weights, static_features, word_forms
from encoders.storage import read_json, write_json
from encoders.tokenizer import well_formed

SUBSAMPLING = 1e-3  # fastText's own 1e-4 is for corpora of billions of words; on a bot's it drops most of them
SETTINGS_FILE, MODEL_FILE = "fasttext.json", "fasttext.bin"


class FastTextEncoder:
    """Subword vectors (Bojanowski et al. 2017, skip-gram); the sentence is the SIF mean of the words.

    See `pooling.sif_weights`. A word without a single n-gram is zero.

    Args:
        vectors: a pretrained fastText .bin to read instead of training.
        dim: D of trained vectors; a pretrained file has its own.
        epochs: passes over the texts; None takes few for many texts and many for few (`pooling.enough_epochs`).
        window: words to each side that count as context.
        min_count: how often a word must occur to get a vector of its own beside its subwords.
        char_ngrams: shortest and longest subword.
        buckets: rows shared by all subwords through hashing; the model takes about 4 * D bytes a row.
    """

    supervised: ClassVar[bool] = False

    def __init__(
        self,
        *,
        vectors: str | None = None,
        dim: Positive = 100,
        epochs: Positive | None = None,
        window: Positive = 5,
        min_count: Positive = 1,
        char_ngrams: tuple[int, int] = (1, 4),
        buckets: Positive = 20_000,
    ) -> None:
        self.vectors = vectors
        self.options: dict[str, Any] = {
            "dim": dim,
            "epochs": epochs,
            "window": window,
            "min_count": min_count,
            "char_ngrams": char_ngrams,
            "buckets": buckets,
        }
        self.model_: Any = None  # None when there was no word to train on
        self.weights_: dict[str, float] | None = None

    @property
    def dim(self) -> int:
        """Width D of the word vectors. Raises `NotFittedError` before `fit`."""
        self._weights()
        return int(self.options["dim"] if self.model_ is None else self.model_.get_dimension())

    def fit(self, utterances: Sequence[Utterance], labels: Sequence[str] | None = None, *, seed: int = 0) -> Self:
        """Train on the texts, or read the pretrained file; the weights of the words come from the texts either way.

        Raises:
            ValueError: if the file is missing or damaged.
        """
        texts = [_forms(utterance) for utterance in utterances]
        self.model_ = _train(texts, seed=seed, **self.options) if self.vectors is None else read(Path(self.vectors))
        self.weights_ = sif_weights(texts)
        return self

    def encode(self, utterances: Sequence[Utterance]) -> Features:
        """Words [B, T, D] and L2-normalised sentences [B, D]."""
        weights = self._weights()
        forms = sorted({form for utterance in utterances for form in word_forms(utterance)})
        if self.model_ is None:
            forms = []
        rows = np.zeros((len(forms), self.dim), np.float32)
        for row, form in enumerate(forms):
            rows[row] = self.model_.get_word_vector(well_formed(form))
        return static_features(utterances, rows, {form: row for row, form in enumerate(forms)}, weights)

    def save(self, folder: Path) -> None:
        """Write fasttext.json and, in fastText's own format, fasttext.bin."""
        settings = {"vectors": self.vectors, "options": self.options, "trained": self.model_ is not None}
        write_json(folder / SETTINGS_FILE, {**settings, "weights": self._weights()})
        if self.model_ is not None:
            self.model_.save_model(str(folder / MODEL_FILE))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote. Raises `ValueError` naming the file that is missing or damaged."""
        settings = read_json(folder / SETTINGS_FILE, "vectors", "options", "trained", "weights")
        options = settings["options"]
        encoder = cls(vectors=settings["vectors"], **{**options, "char_ngrams": tuple(options["char_ngrams"])})
        encoder.model_ = read(folder / MODEL_FILE) if settings["trained"] else None
        encoder.weights_ = settings["weights"]
        return encoder

    def _weights(self) -> dict[str, float]:
        if self.weights_ is None:
            raise NotFittedError("the fasttext encoder has no vectors; call fit or load first")
        return self.weights_


def read(file: Path) -> Any:
    """A fastText .bin model. Raises `ValueError` when it is missing or damaged."""
    import fasttext

    if not file.is_file():
        raise ValueError(f"vectors: {file} does not exist; expected a fastText .bin file")
    try:
        return fasttext.load_model(str(file))
    except (ValueError, RuntimeError, MemoryError) as error:
        raise ValueError(f"vectors: {file} is damaged or no fastText .bin file: {error}") from error


def _forms(utterance: Utterance) -> list[str]:
    return [well_formed(form) for form in word_forms(utterance)]


def _train(
    texts: list[list[str]],
    *,
    dim: int,
    epochs: int | None,
    window: int,
    min_count: int,
    char_ngrams: tuple[int, int],
    buckets: int,
    seed: int,
) -> Any:
    """Skip-gram in one thread, so that the same seed gives the same vectors; None when there is no word."""
    counts = Counter(word for text in texts for word in text)
    if not any(count >= min_count for count in counts.values()):
        return None
    import fasttext

    with TemporaryDirectory() as folder:
        file = Path(folder) / "texts"
        order = np.random.default_rng(seed).permutation(len(texts))  # the library itself always draws with seed 0
        file.write_text("".join(" ".join(texts[row]) + "\n" for row in order), "utf-8")
        model = fasttext.train_unsupervised(
            str(file),
            model="skipgram",
            dim=dim,
            epoch=epochs or enough_epochs(texts),
            ws=window,
            minCount=min_count,
            minn=char_ngrams[0],
            maxn=char_ngrams[1],
            bucket=buckets,
            t=SUBSAMPLING,
            lr=RATE,
            thread=1,
            verbose=0,
        )
        model.save_model(str(file))
        del model  # its dictionary has room for 30 million words; read from a file it is as large as it must be
        return read(file)
