"""The conformance kit: what every encoder must do, built in or not.

from encoders.testing import check_encoder
check_encoder(lambda: MyEncoder(size=8))
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from scipy.sparse import csr_matrix

from encoders.base import Encoder, NotFittedError
from encoders.features import Features, FloatArray, Utterance, word_mask
from encoders.tokenizer import tokenize

TOLERANCE = 1e-4
TEXTS = (
    ("book a table for two tonight", "book"),
    ("I want to book a seat", "book"),
    ("please reserve two seats for friday", "book"),
    ("what is the weather like", "weather"),
    ("will it rain tomorrow", "weather"),
    ("is it cold outside", "weather"),
    ("thanks a lot", "thank"),
    ("thank you very much", "thank"),
)
ODD = (
    "",
    " \t\n\u200b",
    "?!",
    "naïve ＦＵＬＬ ﬁ ß İ",
    "👩‍🚀🇨🇳👍🏽 to the moon",
    "望远镜 and ไทย and हिन्दी",
    "e\u0301\u0301\u0301 \u202eright to left\u202c",
    "nul \x00 and \ud800 alone \udfff",
    "\U0010ffff\ue000\ufeff",
    "unheardofword zzzzqqqq",
)
LONG = (" ".join(["word", "望远镜", "👍"] * 2000))[:10_000], "x" * 10_000


class ConformanceError(AssertionError):
    """An encoder breaks the contract; the message says how."""


def check_encoder(
    make: Callable[[], Encoder],
    utterances: Sequence[Utterance] = (),
    labels: Sequence[str] | None = None,
) -> None:
    """Fit, encode, save and load encoders from `make` and compare.

    Args:
        make: gives a fresh, unfitted encoder each time.
        utterances: what to fit on; a few English texts when empty.
        labels: one an utterance.

    Raises:
        ConformanceError: at the first thing that is not as `encoders.base.Encoder` says.
    """
    if not utterances:
        utterances, labels = [tokenize(text) for text, _ in TEXTS], [label for _, label in TEXTS]
    check_not_fitted(make())
    encoder = make()
    _require(encoder.fit(utterances, labels, seed=1) is encoder, "fit must return the encoder itself")
    odd = [*utterances, *(tokenize(text) for text in (*ODD, *LONG))]
    features = encoder.encode(odd)
    check_features(encoder, odd, features)
    check_batches(encoder, odd, features)
    _same(encoder.fit(utterances, labels, seed=1).encode(odd), features, "a second fit must forget the first")
    _same(make().fit(utterances, labels, seed=1).encode(odd), features, "the same seed must give the same features")
    check_storage(make, encoder, odd, features)
    check_features(encoder, [], encoder.encode([]))
    encoder = make().fit([], [], seed=1)
    check_features(encoder, odd, encoder.encode(odd))


def check_not_fitted(encoder: Encoder) -> None:
    """An encoder that was not fitted says so."""
    _require(isinstance(encoder.supervised, bool), "supervised must be a bool")
    with TemporaryDirectory() as folder:
        uses: dict[str, Callable[[], object]] = {
            "encode": lambda: encoder.encode([tokenize("hello")]),
            "dim": lambda: encoder.dim,
            "save": lambda: encoder.save(Path(folder)),
        }
        for name, use in uses.items():
            try:
                use()
            except NotFittedError:
                continue
            raise ConformanceError(f"{name} before fit must raise NotFittedError")


def check_features(encoder: Encoder, utterances: Sequence[Utterance], features: Features) -> None:
    """Shapes, types, mask and zeros are as `Features` says."""
    mask = word_mask(tuple(utterances))
    words, sentence = dense(features)
    _require(np.array_equal(features.mask, mask), "the mask must have a place for each token, and no other")
    _require(
        words.shape == (*mask.shape, encoder.dim), f"words are {words.shape}, expected {(*mask.shape, encoder.dim)}"
    )
    _require(
        len(sentence) == len(utterances) and sentence.ndim == 2, f"sentences are {sentence.shape}, expected [B, S]"
    )
    for name, array in (("words", features.words), ("sentence", features.sentence)):
        _require(array.dtype == np.float32, f"{name} are {array.dtype}, expected float32")
    _require(not words[~mask].any(), "words must be zero where the mask is false")
    blank = [not utterance.tokens for utterance in utterances]
    _require(not sentence[blank].any(), "the sentence of a blank text must be zero")


def check_batches(encoder: Encoder, utterances: Sequence[Utterance], features: Features) -> None:
    """A text's numbers do not depend on its neighbours or their order."""
    _same(encoder.encode(list(reversed(utterances))), _rows(features, slice(None, None, -1)), "order must not matter")
    for row, utterance in enumerate(utterances):
        alone = encoder.encode([utterance])
        wanted = _rows(features, slice(row, row + 1))
        _same(alone, wanted, f"{utterance.text[:40]!r} alone must have the features it has in a batch")


def check_storage(
    make: Callable[[], Encoder], encoder: Encoder, utterances: Sequence[Utterance], features: Features
) -> None:
    """A loaded encoder gives what the saved one gave; an empty folder is refused with a sentence."""
    kind = type(make())
    with TemporaryDirectory() as name:
        folder = Path(name)
        try:
            kind.load(folder)
        except ValueError as error:
            _require(str(folder) in str(error), f"loading an empty folder must name the missing file, got: {error}")
        else:
            raise ConformanceError("loading an empty folder must raise ValueError")
        encoder.save(folder)
        _require(any(folder.iterdir()), "save must write something")
        loaded = kind.load(folder)
        _same(loaded.encode(utterances), features, "a loaded encoder must give the same features")
        with TemporaryDirectory() as again:
            loaded.save(Path(again))
            _same(kind.load(Path(again)).encode(utterances), features, "a loaded encoder must be savable")


def dense(features: Features) -> tuple[FloatArray, FloatArray]:
    """Words [B, T, D] and sentences [B, S] as plain arrays."""
    words, sentence = features.words, features.sentence
    if isinstance(words, csr_matrix):
        words = words.toarray().reshape(*features.mask.shape, -1) if len(features) else _empty(features)
    return words, sentence.toarray() if isinstance(sentence, csr_matrix) else sentence


def _empty(features: Features) -> FloatArray:
    return np.zeros((*features.mask.shape, features.words.shape[1]), np.float32)


def _rows(features: Features, rows: slice) -> Features:
    """Some rows, without the places that none of them fills."""
    words, sentence = dense(features)
    mask = features.mask[rows]
    longest = max(1, int(mask.sum(axis=1).max(initial=0)))
    return Features(words[rows, :longest], mask[:, :longest], sentence[rows])


def _same(found: Features, wanted: Features, rule: str) -> None:
    pairs = zip((*dense(found), found.mask), (*dense(wanted), wanted.mask), ("words", "sentence", "mask"), strict=True)
    for one, other, name in pairs:
        if one.shape != other.shape:
            raise ConformanceError(f"{rule}: {name} are {one.shape}, expected {other.shape}")
        apart = float(np.abs(one.astype(np.float32) - other.astype(np.float32)).max(initial=0))
        if apart > TOLERANCE:
            raise ConformanceError(f"{rule}: {name} differ by {apart:.2g}, at most {TOLERANCE} is allowed")


def _require(truth: bool, rule: str) -> None:
    if not truth:
        raise ConformanceError(rule)
