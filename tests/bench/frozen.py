"""What the bench of posteriors stands on: frozen views, made once for each set and kept.

A case is a data set at a size, split and seed: its training texts and those to measure on, as the encoders of the
bench's bot.yml without a fusion see them. It is pickled into a folder outside the repository, so that posteriors are
compared on the very same numbers.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dialogue.config_file import load_config
from dialogue.fusion.member import average
from dialogue.posterior.kernel import IntArray, ViewKernel, Views, take
from dialogue.posterior.process import Fit, fit_process
from dialogue.posterior.weighing import weigh
from dialogue.training.members import Material, train_members
from dialogue.training.tables import read_examples
from dialogue.training.trainer import START, START_OTHER, fit_encoders
from dialogue.views import apart, sentences
from encoders.cache import FeatureCache
from encoders.tokenizer import tokenize

HERE = Path(__file__).parent
HELD_OUT = 1500


@dataclass(frozen=True)
class Split:
    """Texts and their intents."""

    texts: list[str]
    intents: list[str]

    def pick(self, rows: IntArray) -> Split:
        return Split([self.texts[i] for i in rows], [self.intents[i] for i in rows])


@dataclass(frozen=True)
class Case:
    """The views of N training texts with their labels [N] of `classes`, and of the texts to measure on.

    `start` is where the search for the kernel begins, `truth` the classes of the texts to measure on, -1 for out of
    scope.
    """

    views: Views
    labels: IntArray
    classes: int
    start: dict[str, ViewKernel]
    new: Views
    truth: IntArray

    def fit(self, seed: int, rows: IntArray | None = None) -> Fit:
        """The views weighed and the process fitted, on all training texts or some."""
        some, labels = (self.views, self.labels) if rows is None else (take(self.views, rows), self.labels[rows])
        weighed = weigh(some, labels, self.start, seed=seed)
        return fit_process(weighed.kernel, some, labels, self.classes, np.full(len(labels), weighed.noise, np.float32))


def case(name: str, seed: int, data: Path, cache: Path) -> Case:
    """The case called `set/size/split`, such as `clinc150/10/dev` or `banking77/full/test`.

    `dev` is made of training and validation texts alone: few-shot draws of one's own, measured on valid (CLINC150,
    MASSIVE) or on 1,500 training texts that were not drawn (BANKING77). `test` is the published protocol.
    """
    file = cache / "frozen" / f"{name.replace('/', '-')}-{seed}.pickle"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        made = make(*splits(name, seed, data), seed, cache, "zh" if "zh" in name else "en")
        file.write_bytes(pickle.dumps(made))
    found: Case = pickle.loads(file.read_bytes())  # written by ourselves
    return found


def splits(name: str, seed: int, data: Path) -> tuple[Split, Split]:
    """Training texts and texts to measure on."""
    where, size, part = name.split("/")
    folder = data / where
    if part == "test":
        train = read(folder / ("train.jsonl" if size == "full" else f"few_shot/train_{size}.jsonl"))
        outside = read(folder / "oos_test.jsonl") if where == "clinc150" else Split([], [])
        return train, joined(read(folder / "test.jsonl"), outside)
    train = read(folder / "train.jsonl")
    rng = np.random.default_rng(100 + seed)
    order = rng.permutation(len(train.texts))
    if where == "banking77":
        held, order = train.pick(np.sort(order[:HELD_OUT])), order[HELD_OUT:]
    else:
        outside = read(folder / "oos_valid.jsonl") if where == "clinc150" else Split([], [])
        more = read(folder / "oos_train.jsonl") if where == "clinc150" else Split([], [])
        held = joined(read(folder / "valid.jsonl"), outside, more)
    return train.pick(np.sort(order if size == "full" else few(train.intents, order, int(size)))), held


def few(intents: Sequence[str], order: IntArray, each: int) -> IntArray:
    """The first `each` of every intent in an order."""
    taken: dict[str, list[int]] = {}
    for i in order:
        kept = taken.setdefault(intents[i], [])
        if len(kept) < each:
            kept.append(int(i))
    return np.array([i for kept in taken.values() for i in kept])


def read(file: Path) -> Split:
    examples = read_examples(file)
    outside = file.name.startswith("oos")
    return Split([e.text for e in examples], ["" if outside else e.intent for e in examples])


def joined(*parts: Split) -> Split:
    return Split([t for part in parts for t in part.texts], [i for part in parts for i in part.intents])


def make(train: Split, held: Split, seed: int, cache: Path, project: str) -> Case:
    """Look at all texts."""
    os.environ["SEED"] = str(seed)
    config = load_config(HERE / project)
    config = config.model_copy(update={"fusion": config.fusion.model_copy(update={"tune": "none"})})
    utterances, others = ([tokenize(text, config.language) for text in part.texts] for part in (train, held))
    classes = sorted(set(train.intents))
    number = {intent: i for i, intent in enumerate(classes)}
    labels = np.array([number[intent] for intent in train.intents], np.int64)
    encoders, learners = fit_encoders(config, utterances, train.intents, quiet)
    store = FeatureCache(cache / "features.db")
    units, seen = encoders.see(utterances, store), encoders.see(others, store)
    material = Material(utterances, train.intents, labels, units, [], None, np.full(len(labels), -1, np.int64))
    members, fitted = train_members(config, material, encoders, learners, quiet)
    views = apart({**sentences(units), **fitted}, utterances)
    new = apart({**sentences(seen), **average([member.see(others, seen) for member in members])}, others)
    kinds = {**encoders.types, **{name: config.encoders[name].type for name in learners}}
    start = {name: START.get(kinds[name], START_OTHER) for name in views}
    return Case(
        views, labels, len(classes), start, new, np.array([number.get(intent, -1) for intent in held.intents], np.int64)
    )


def quiet(stage: str, done: int, total: int) -> None:
    """Progress that nobody reads."""
