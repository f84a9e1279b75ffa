"""How well the report finds wrong labels: some of them changed on purpose, then looked for.

    STARFOLD_DATASETS=... python -m tests.bench.labels banking77         the other set: clinc150; minutes each

Of ten examples an intent (the official few-shot training files) one in twenty gets another label: any other at random,
or the one its own neighbours come closest to, as a tired person would. The default bot is trained on that, and each
example is judged by the others as the report does. Reported, mean of three seeds: average precision of the ranking, the
share of the changed labels that are on the list, and the share of the list that was changed. The sets have wrong labels
of their own, which here count as false alarms.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from sklearn.metrics import average_precision_score

from dialogue.config import Config
from dialogue.report.labels import left_out, suspects
from dialogue.training.evaluate import corpus_of
from dialogue.training.tables import read_examples
from dialogue.training.trainer import train_model

RESULTS = Path(__file__).parent / "results" / "labels.jsonl"
SHARE, SEEDS = 0.05, (0, 1, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=("banking77", "clinc150"))
    name = parser.parse_args().name
    examples = read_examples(Path(os.environ["STARFOLD_DATASETS"]) / name / "few_shot" / "train_10.jsonl")
    with tempfile.TemporaryDirectory() as cache:
        config = Config(cache=cache)
        clean, names = belief(config, examples)
        for how in ("random", "near"):
            found = [look(config, examples, clean, names, how, seed) for seed in SEEDS]
            row = {
                "set": name,
                "changed": how,
                **{key: round(float(np.mean([f[key] for f in found])), 3) for key in found[0]},
            }
            print(json.dumps(row), flush=True)
            with RESULTS.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")


def belief(config: Config, examples):
    """Left-out probabilities of the examples' intents, and the names of those."""
    model = train_model(config, corpus_of(examples))
    return left_out(model.head)[: len(examples)], model.meaning.classes


def look(config: Config, examples, clean: np.ndarray, names, how: str, seed: int) -> dict[str, float]:
    rng = np.random.default_rng(seed)
    changed = rng.choice(len(examples), round(SHARE * len(examples)), replace=False)
    told = list(examples)
    for i in changed:
        order = [names[k] for k in np.argsort(-clean[i]) if names[k] != examples[i].intent]
        told[i] = replace(told[i], intent=order[0] if how == "near" else order[rng.integers(len(order))])
    found, classes = belief(config, told)
    rows, own = np.arange(len(told)), np.array([classes.index(example.intent) for example in told])
    others = found.copy()
    others[rows, own] = -1
    truth = np.isin(rows, changed)
    listed = {(one.example.text, one.example.where) for one in suspects(found, classes, told)}
    shown = np.array([(example.text, example.where) in listed for example in told])
    return {
        "average_precision": average_precision_score(truth, others.max(axis=1) - found[rows, own]),
        "found": shown[changed].mean(),
        "right_of_listed": truth[shown].mean(),
        "listed": shown.sum(),
    }


if __name__ == "__main__":
    main()
