"""Sentence vectors of the data sets by the packaged English encoder, made once and kept beside the results.

What `discover` and `review` are measured on: the features are the same for every method, so only the methods differ.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dialogue.encoding import EncoderSet
from encoders.bert import BertEncoder
from encoders.cache import FeatureCache
from encoders.threads import limit_threads
from encoders.tokenizer import tokenize

CACHE = Path(os.environ.get("STARFOLD_BENCH_CACHE", "~/.cache/starfold-bench")).expanduser()


@dataclass(frozen=True)
class Seen:
    """N texts: their sentence vectors [N, S] float32 of length one, and the number of each one's intent."""

    vectors: np.ndarray
    labels: np.ndarray
    names: list[str]


def seen(name: str, split: str) -> Seen:
    """A split of a data set under STARFOLD_DATASETS."""
    file = Path(os.environ["STARFOLD_DATASETS"]) / name / f"{split}.jsonl"
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    names = sorted({row["intent"] for row in rows})
    labels = np.array([names.index(row["intent"]) for row in rows])
    kept = CACHE / f"{name}-{split}.npy"
    if not kept.exists():
        limit_threads(1)
        CACHE.mkdir(parents=True, exist_ok=True)
        utterances = [tokenize(row["text"]) for row in rows]
        encoder = BertEncoder().fit(utterances[:1], ["any"], seed=0)
        units = EncoderSet({"bert": encoder}, {"bert": "bert"}, None).see(
            utterances, FeatureCache(CACHE / "features.db")
        )
        np.save(kept, np.asarray(units.seen["bert"].sentence, np.float32))
    return Seen(np.load(kept), labels, names)
