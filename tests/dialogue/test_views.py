"""A text of punctuation alone is like itself, and like no other."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from dialogue.training.corpus import Corpus
from dialogue.training.trainer import train_model
from dialogue.views import apart, own_direction
from encoders.tokenizer import tokenize
from tests.dialogue.tinybots import config, corpus


@pytest.mark.parametrize("text", ["?", "...", "！？", "。", " -- ", "\ud800?", "\ufffd\ufffd"])
def test_punctuation_alone_has_no_words(text: str) -> None:
    assert tokenize(text).wordless


@pytest.mark.parametrize("text", ["", "  ", "a?", "42", "👍", "+", "€", "是。", "\u200b"])
def test_everything_else_has_or_is_blank(text: str) -> None:
    assert not tokenize(text).wordless


def test_such_a_text_gets_a_direction_of_its_own_in_dense_views_alone() -> None:
    utterances = [tokenize(text) for text in ("yes", "?", " ? ", "??")]
    dense = np.full((4, 384), 384**-0.5, np.float32)
    views = {"dense": dense, "sparse": csr_matrix(np.eye(4, dtype=np.float32))}
    found = apart(views, utterances)
    assert found["sparse"] is views["sparse"]
    assert (dense == dense[0, 0]).all(), "what was given stays as it is"
    cosines = found["dense"] @ found["dense"].T
    assert np.allclose(cosines.diagonal(), 1, atol=1e-5)
    assert cosines[1, 2] == pytest.approx(1, abs=1e-5)
    assert abs(cosines[[0, 0, 1], [1, 3, 3]]).max() < 0.25
    assert apart(views, utterances[:1] * 4)["dense"] is dense


def test_directions_of_different_texts_are_nearly_orthogonal() -> None:
    many = np.stack([own_direction("?" * n, 128) for n in range(1, 50)])
    assert abs(many @ many.T - np.eye(49)).max() < 0.5


def test_a_bot_knows_the_punctuation_it_was_taught_and_no_other(tmp_path: object) -> None:
    made = config(tmp_path, fusion={"tune": "none"})
    plain = train_model(made, corpus(12))
    dense = [view for view in plain.views([tokenize("?!")]).values() if isinstance(view, np.ndarray)]
    assert dense
    for view in dense:
        assert np.allclose(view[0], own_direction("?!", view.shape[1]))
    assert plain.parse("?!").unknown == pytest.approx(plain.parse("...").unknown, abs=0.1)
    assert plain.parse("?!").unknown > 0.3
    taught = corpus(12)
    told = Corpus((*taught.texts, "?!", "?!?", "?! ?!"), (*taught.classes, *["greet"] * 3), answers=taught.answers)
    belief = train_model(made, told).parse("?!")
    assert belief.top is not None
    assert belief.top.name == "greet"
    assert belief.unknown < plain.parse("?!").unknown
