"""word2vec and fasttext: trained, and read from the files people have."""

import gzip
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from encoders.fasttext import FastTextEncoder
from encoders.pooling import sif_weights
from encoders.tokenizer import tokenize
from encoders.word2vec import Word2VecEncoder

VECTORS = {"moon": [1.0, 0.0, 0.5], "sun": [0.0, 2.0, 0.0], "the": [0.5, 0.5, -1.0]}
TEXTS = [tokenize(text) for text in ("the moon", "the sun", "the moon and the sun", "see the moon tonight") * 5]
ROWS = [f"{word} {' '.join(map(str, row))}" for word, row in VECTORS.items()]


def write(file: Path) -> Path:
    name = file.name
    if name.endswith((".kv", ".bin")):
        from gensim.models import KeyedVectors

        made = KeyedVectors(3)
        made.add_vectors(list(VECTORS), np.array(list(VECTORS.values()), np.float32))
        made.save(str(file)) if name.endswith(".kv") else made.save_word2vec_format(str(file), binary=True)
        return file
    lines = ROWS if "glove" in name else ["3 3", *ROWS]
    content = ("\n".join(lines) + "\n").encode()
    file.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return file


@pytest.mark.parametrize("name", ["v.vec", "v.txt", "glove.txt", "v.vec.gz", "glove.txt.gz", "v.bin", "v.kv"])
def test_pretrained_files_are_read(name: str, tmp_path: Path) -> None:
    encoder = Word2VecEncoder(vectors=str(write(tmp_path / name))).fit(TEXTS)
    features = encoder.encode([tokenize("The MOON unheard"), tokenize("unheard")])
    np.testing.assert_allclose(features.words[0], [VECTORS["the"], VECTORS["moon"], [0, 0, 0]])
    assert not features.sentence[1].any()
    weights = sif_weights([[token.text for token in text.tokens] for text in TEXTS])
    mean = weights["the"] * np.array(VECTORS["the"]) + weights["moon"] * np.array(VECTORS["moon"])
    np.testing.assert_allclose(features.sentence[0], mean / np.linalg.norm(mean), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("missing.vec", "does not exist"),
        ("v.xyz", "is of no known format; expected one of"),
        ("broken.bin", "cannot be read as .bin"),
        ("broken.vec.gz", "cannot be read as .vec"),
        ("broken.kv", "cannot be read as .kv"),
        ("broken.txt", "cannot be read as .txt: line 2"),
    ],
)
def test_unreadable_files_are_named(name: str, said: str, tmp_path: Path) -> None:
    if "missing" not in name:
        (tmp_path / name).write_bytes(b"one 1 2 3\ntwo 1 2\n")
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path / name} {said}")):
        Word2VecEncoder(vectors=str(tmp_path / name)).fit(TEXTS)


def test_sif_weighs_rare_words_more() -> None:
    weights = sif_weights([["the", "the", "the", "moon"]])
    assert weights["moon"] == pytest.approx(1e-3 / (1e-3 + 0.25))
    assert weights["the"] < weights["moon"]


@pytest.mark.parametrize(("typo", "word"), [("telescpoe", "telescope"), ("cloudz", "clouds"), ("visti", "visit")])
def test_fasttext_puts_a_typo_nearest_to_its_word(typo: str, word: str) -> None:
    corpus = ("book a telescope tour", "rain and clouds", "telescope visit tour", "no rain") * 20
    encoder = FastTextEncoder(dim=32).fit([tokenize(text) for text in corpus])
    known = sorted({form for text in corpus for form in text.split()})
    rows = encoder.encode([tokenize(" ".join([typo, *known]))]).words[0]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    assert known[int((rows[1:] @ rows[0]).argmax())] == word


def test_fasttext_reads_a_pretrained_file_and_cleans_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "temporary").mkdir()
    (tmp_path / "saved").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    trained = FastTextEncoder(dim=8).fit(TEXTS)
    trained.save(tmp_path / "saved")
    assert list((tmp_path / "temporary").iterdir()) == []
    read = FastTextEncoder(vectors=str(tmp_path / "saved" / "fasttext.bin")).fit(TEXTS)
    assert read.dim == 8
    np.testing.assert_array_equal(read.encode(TEXTS[:4]).words, trained.encode(TEXTS[:4]).words)
    for name in ("missing.bin", "damaged.bin"):
        (tmp_path / "damaged.bin").write_bytes(b"nothing")
        with pytest.raises(ValueError, match=name.replace(".", r"\.")):
            FastTextEncoder(vectors=str(tmp_path / name)).fit(TEXTS)


@pytest.mark.parametrize("encoder", ["word2vec:Word2VecEncoder", "fasttext:FastTextEncoder"])
def test_training_is_the_same_in_another_process(encoder: str) -> None:
    module, _, name = encoder.partition(":")
    script = (
        f"from encoders.{module} import {name}; from encoders.tokenizer import tokenize\n"
        "texts = [tokenize(t) for t in ('the moon', 'the sun and the moon', 'tonight') * 9]\n"
        f"print({name}(dim=8).fit(texts, seed=4).encode(texts[:3]).words.tolist())\n"
    )
    runs = [
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True) for _ in range(2)
    ]
    assert runs[0].stdout == runs[1].stdout
    assert [run.stderr for run in runs] == ["", ""]


def test_another_seed_gives_other_vectors() -> None:
    for encoder in (Word2VecEncoder(dim=8), FastTextEncoder(dim=8)):
        one, other = (encoder.fit(TEXTS, seed=seed).encode(TEXTS[:1]).words for seed in (1, 2))
        assert np.abs(one - other).max() > 1e-6
