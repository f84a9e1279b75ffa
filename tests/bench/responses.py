"""Which of a hundred responses belongs to a conversation: R_100@1 on a part of the Schema-Guided Dialogue data.

    python -m tests.bench.responses                         all rungs, on the test batches
    python -m tests.bench.responses --split valid --size 3000 --rung fusion    what to choose by

1-of-100 accuracy (Henderson et al. 2019, aclanthology.org/W19-4101): the responses of a batch of 100 examples are the
candidates for each of its contexts. The batches are fixed by `<split>_batches100.json`; a candidate with the text of
the right response counts as right. A context is its last three turns. The rungs: `bm25` (Robertson and Zaragoza 2009),
the cosine between the sentences of one frozen encoder, `late` (the sum of those cosines, each standardised within a
context's candidates), and `fusion`: a dual encoder over all of them, tuned to pick a response among those of its batch.

The data are in `sgd_response/` of `--data DIR` or STARFOLD_DATASETS. Rows go to results/responses.jsonl. Features of
pretrained encoders are cached between runs in `--cache`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dialogue.config import Config
from dialogue.encoding import Continued, EncoderSet
from dialogue.fusion.training import Lessons, Recipe, encode, train_fusion
from dialogue.fusion.units import Units
from dialogue.plugins import build_encoders
from dialogue.posterior.kernel import FloatArray
from dialogue.training.members import continued_layers, shape_of
from dialogue.training.memory import keep_freed_memory
from encoders.cache import FeatureCache
from encoders.features import Utterance
from encoders.threads import limit_threads
from encoders.tokenizer import tokenize

RESULTS = Path(__file__).parent / "results" / "responses.jsonl"
TURNS = 3  # of a context that are read
MOST_TOKENS = 60  # words of a context, the last ones
LAYERS, EPOCHS, BATCH, RATE = 2, 2, 64, 2e-4
K1, B = 1.2, 0.75


@dataclass(frozen=True)
class Pairs:
    """N contexts and their responses; of a split to measure on also batches of row numbers."""

    contexts: list[str]
    responses: list[str]
    batches: list[list[int]]

    def __len__(self) -> int:
        return len(self.contexts)


def main() -> None:
    options = arguments()
    keep_freed_memory()
    config = Config(pipeline="balanced")
    limit_threads(config.threads)
    asked = read(options.data, options.split)
    for rung, scores, seconds in rungs(config, asked, options):
        row = {"rung": rung, "split": options.split, "accuracy": right(asked, scores), "train_cpu_seconds": seconds}
        row |= {"train_size": options.size if rung == "fusion" else 0, "seed": options.seed}
        with RESULTS.open("a", encoding="utf-8") as out:
            out.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("STARFOLD_DATASETS"))
    parser.add_argument("--split", choices=["valid", "test"], default="test")
    parser.add_argument("--size", type=int, default=16000, help="training examples, evenly from the file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--layers", type=int, default=LAYERS)
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "starfold-bench")
    options = parser.parse_args()
    if options.data is None:
        parser.error("say where the data sets are: --data DIR or STARFOLD_DATASETS")
    return options


def read(data: Path, split: str, size: int | None = None) -> Pairs:
    """All examples of a split, or so many evenly from it."""
    folder = data / "sgd_response"
    lines = (folder / f"{split}.jsonl").read_text("utf-8").splitlines()
    rows = range(len(lines)) if size is None else np.linspace(0, len(lines) - 1, size).astype(int)
    found = [json.loads(lines[i]) for i in rows]
    fixed = folder / f"{split}_batches100.json"
    batches = json.loads(fixed.read_text("utf-8")) if fixed.exists() else []
    contexts = [" ".join(" ".join(one["context"][-TURNS:]).split()[-MOST_TOKENS:]) for one in found]
    return Pairs(contexts, [one["response"] for one in found], batches)


def rungs(config: Config, asked: Pairs, options: argparse.Namespace) -> Iterator[tuple[str, list[FloatArray], float]]:
    """Each rung's scores [100, 100] of every batch, and the seconds its training took."""
    taught = read(options.data, "train", options.size)
    yield "bm25", bm25(taught.responses, asked), 0.0
    texts = [tokenized(some) for some in (taught.contexts, taught.responses, asked.contexts, asked.responses)]
    built = {name: encoder for name, encoder in build_encoders(config).items() if not encoder.supervised}
    fitted = {name: encoder.fit([*texts[0], *texts[1]]) for name, encoder in built.items()}
    types = {name: config.encoders[name].type for name in fitted}
    encoders = EncoderSet(fitted, types, Continued("bert", options.layers))
    store = FeatureCache(options.cache / "features.db")
    units = [encoders.see(some, store) for some in texts]
    frozen = {}
    for name in fitted:
        contexts, responses = (some.seen[name].sentence for some in units[2:])
        frozen[name] = [dense(contexts[rows] @ responses[rows].T) for rows in asked.batches]
        yield name, frozen[name], 0.0
    yield "late", [sum(map(standardised, several)) for several in zip(*frozen.values(), strict=True)], 0.0
    start = time.process_time()
    contexts, responses = fused(encoders, [some.without("bert").narrowed() for some in units], options)
    yield "fusion", [contexts[rows] @ responses[rows].T for rows in asked.batches], time.process_time() - start


def tokenized(texts: Sequence[str]) -> list[Utterance]:
    return [tokenize(text, "en") for text in texts]


def fused(encoders: EncoderSet, units: Sequence[Units], options: argparse.Namespace) -> list[FloatArray]:
    """The contexts and responses to be measured, as the tuned fusion sees them."""
    contexts, responses, *asked = units
    top = continued_layers(encoders)
    network = train_fusion(
        shape_of(Config().fusion, top, contexts),
        top.layers,
        Lessons(contexts, np.arange(contexts.count), responses, np.arange(contexts.count)),
        None,
        Recipe(options.epochs, 1, BATCH, options.rate, 0.01, options.seed, answers=BATCH),
        lambda done, steps: print(f"step {done} of {steps}", flush=True) if done % 50 == 0 else None,
    )
    return [encode(network, some) for some in asked]


def bm25(known: Sequence[str], asked: Pairs) -> list[FloatArray]:
    """Scores by the words that a context and a response share, weighed by how rare they are in known responses."""
    seen = Counter(word for text in known for word in set(words(text)))
    length = np.mean([len(words(text)) for text in known])

    def score(query: set[str], response: Counter[str]) -> float:
        norm = K1 * (1 - B + B * response.total() / length)
        return sum(
            np.log1p((len(known) - seen[word] + 0.5) / (seen[word] + 0.5)) * n * (K1 + 1) / (n + norm)
            for word, n in response.items()
            if word in query
        )

    found = []
    for rows in asked.batches:
        responses = [Counter(words(asked.responses[i])) for i in rows]
        queries = [set(words(asked.contexts[i])) for i in rows]
        found.append(np.array([[score(query, response) for response in responses] for query in queries], np.float32))
    return found


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9']+", text.lower())


def dense(scores: Any) -> FloatArray:
    found: FloatArray = scores.toarray() if hasattr(scores, "toarray") else scores
    return found


def standardised(scores: FloatArray) -> FloatArray:
    """Each context's scores with mean 0 and deviation 1."""
    found: FloatArray = (scores - scores.mean(axis=1, keepdims=True)) / (scores.std(axis=1, keepdims=True) + 1e-6)
    return found


def right(asked: Pairs, scores: Sequence[FloatArray]) -> float:
    """The share of contexts whose best candidate has the text of their own response."""
    hits = []
    for rows, some in zip(asked.batches, scores, strict=True):
        texts = [asked.responses[i] for i in rows]
        hits += [texts[best] == text for text, best in zip(texts, some.argmax(axis=1).tolist(), strict=True)]
    return float(np.mean(hits))


if __name__ == "__main__":
    main()
