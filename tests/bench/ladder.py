"""The ladder: every encoder alone with logistic regression, their late average, and the fused bot.

    python -m tests.bench.ladder                              the whole, about three hours on two cores
    python -m tests.bench.ladder --only clinc150/10           one data set and size
    python -m tests.bench.ladder --only clinc150/10 --rung fusion
    python -m tests.bench.ladder --large                      all-mpnet-base-v2 in place of MiniLM, about three hours

Data sets are found in `--data DIR` or STARFOLD_DATASETS. Every result is a line of results/ladder.jsonl; `--table`
prints them. `--large` measures two more rungs, `mpnet` and `fusion+mpnet`; `en-mpnet/bot.yml` says where that model
is found. Features of pretrained encoders are cached between runs in `--cache`, so the times of later runs leave them
out.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, pstdev
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dialogue.config_file import load_config
from dialogue.encoding import EncoderSet
from dialogue.plugins import build_encoders
from dialogue.training import metrics
from dialogue.training.evaluate import Measurement, measure_nlu, outside, score
from dialogue.training.tables import read_examples
from encoders.cache import FeatureCache
from encoders.tokenizer import tokenize

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "ladder.jsonl"
LARGE, LARGE_ENCODER, LARGE_FUSION = "en-mpnet", "mpnet", "fusion+mpnet"
FULL_C, SMALL = 30.0, 2000
GRID = (3.0, 30.0)


@dataclass(frozen=True)
class Task:
    """One data set at one size."""

    name: str
    train: str
    test: str
    project: str
    seeds: tuple[int, ...]
    valid: str | None = None
    valid_oos: str | None = None
    oos: str | None = None


def clinc(size: str, train: str, seeds: tuple[int, ...]) -> Task:
    at = "clinc150/{}.jsonl".format
    return Task(f"clinc150/{size}", at(train), at("test"), "en", seeds, at("valid"), at("oos_valid"), at("oos_test"))


TASKS = (
    clinc("10", "few_shot/train_10", (0, 1, 2)),
    Task("banking77/10", "banking77/few_shot/train_10.jsonl", "banking77/test.jsonl", "en", (0, 1, 2)),
    Task("banking77/full", "banking77/train.jsonl", "banking77/test.jsonl", "en", (0, 1, 2)),
    clinc("full", "train", (0, 1, 2)),
    Task("massive_zh/full", "massive_zh/train.jsonl", "massive_zh/test.jsonl", "zh", (0,)),
    clinc("5", "few_shot/train_5", (0, 1, 2)),
    Task("banking77/5", "banking77/few_shot/train_5.jsonl", "banking77/test.jsonl", "en", (0, 1, 2)),
)


def main() -> None:
    options = arguments()
    if not options.table:
        for task in large() if options.large else TASKS:
            if options.only in (None, task.name) and options.seed in (None, *task.seeds):
                for row in run(task, options.rung, options.seed, options.data, options.cache):
                    with RESULTS.open("a", encoding="utf-8") as out:
                        out.write(json.dumps(row) + "\n")
                    print(json.dumps(row), flush=True)
    print(table())


def large() -> list[Task]:
    """The English tasks with the larger encoder."""
    return [replace(task, project=LARGE) for task in TASKS if task.project == "en"]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("STARFOLD_DATASETS"))
    parser.add_argument("--only", choices=[task.name for task in TASKS])
    parser.add_argument("--rung", help="an encoder's name, late or fusion; all of them by default")
    parser.add_argument("--large", action="store_true", help="the rungs with all-mpnet-base-v2")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "starfold-bench")
    parser.add_argument("--table", action="store_true", help="only print what was measured before")
    options = parser.parse_args()
    if options.data is None and not options.table:
        parser.error("say where the data sets are: --data DIR or STARFOLD_DATASETS")
    return options


def run(task: Task, rung: str | None, seed_wanted: int | None, data: Path, cache: Path) -> Iterator[dict[str, Any]]:
    """The rows of one task, cheapest first."""
    for seed in task.seeds if seed_wanted is None else (seed_wanted,):
        os.environ["SEED"] = str(seed)
        whole, alone = (LARGE_FUSION, LARGE_ENCODER) if task.project == LARGE else ("fusion", None)
        if rung != whole:
            yield from single(task, rung or alone, seed, data, cache)
        if rung in (None, whole):
            yield {**fused(task, seed, data, cache), "rung": whole}


def single(task: Task, rung: str | None, seed: int, data: Path, cache: Path) -> Iterator[dict[str, Any]]:
    """Each encoder alone with logistic regression, and the average of their probabilities."""
    config = load_config(HERE / task.project)
    train, test = read_examples(data / task.train), read_examples(data / task.test)
    utterances = [[tokenize(e.text, config.language) for e in examples] for examples in (train, test)]
    labels = [e.intent for e in train]
    truth = np.array([e.intent for e in test])
    together = 0.0
    for name, encoder in build_encoders(config).items():
        if rung not in (None, "late", name):
            continue
        start = time.process_time()
        fitted = EncoderSet({name: encoder.fit(utterances[0], labels, seed=seed)}, {name: ""}, None)
        store = FeatureCache(cache / "features.db")
        x, z = (fitted.see(texts, store).seen[name].sentence for texts in utterances)
        classes, p = logistic_regression(x, labels, z, seed)
        together = together + p
        if rung != "late":
            yield row(task, name, seed, classes, p, truth, time.process_time() - start)
    if rung in (None, "late"):
        yield row(task, "late", seed, classes, np.asarray(together), truth, None)


def logistic_regression(x: Any, labels: Sequence[str], z: Any, seed: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Classes [K] and probabilities [N, K]; for small sets the strength is chosen by two-fold cross-validation."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    strength = FULL_C
    if len(labels) <= SMALL:
        folds = StratifiedKFold(2, shuffle=True, random_state=seed)
        scores = [cross_val_score(LogisticRegression(C=c, max_iter=300), x, labels, cv=folds).mean() for c in GRID]
        strength = GRID[int(np.argmax(scores))]
    model = LogisticRegression(C=strength, max_iter=300).fit(x, labels)
    return model.classes_, model.predict_proba(z)


def row(
    task: Task, rung: str, seed: int, classes: NDArray[Any], p: NDArray[Any], truth: NDArray[Any], cpu: float | None
) -> dict[str, Any]:
    return {
        "task": task.name,
        "rung": rung,
        "seed": seed,
        "accuracy": float((classes[p.argmax(axis=1)] == truth).mean()),
        "cpu_seconds": cpu,
    }


def fused(task: Task, seed: int, data: Path, cache: Path) -> dict[str, Any]:
    """The whole bot, by `starfold test nlu`."""
    files = {name: data / file for name in ("valid", "valid_oos", "oos") if (file := getattr(task, name))}
    found = measure_nlu(
        train=data / task.train, test=data / task.test, project=HERE / task.project, cache=cache, **files
    )
    return {"task": task.name, **found.numbers, **answered(found, files, cache)}


def answered(found: Measurement, files: Mapping[str, Path], cache: Path) -> dict[str, float]:
    """Share of in-scope messages answered where 1 % of all answers may be wrong, and how many of them are.

    The threshold is the lowest that keeps the error on held-out messages: `valid` with `valid_oos`, without them the
    training texts left out one by one. To answer what is out of scope is wrong.
    """
    sure, right = found.model.head.left_out.known, found.model.head.left_out.right
    if "valid" in files:
        held = score(found.model, read_examples(files["valid"]) + outside(files.get("valid_oos")), cache)
        sure, right = held.score, held.right
    kept = found.scored.score >= metrics.threshold_for_error(sure, right, 0.01)
    wrong = float((~found.scored.right[kept]).mean()) if kept.any() else 0.0
    return {"answered_at_1pct": float(kept[found.scored.known].mean()), "wrong_at_1pct": wrong}


def table() -> str:
    """What was measured, newest row of each seed, mean over the seeds."""
    newest: dict[tuple[str, str, int], dict[str, Any]] = {}
    for line in RESULTS.read_text("utf-8").splitlines() if RESULTS.exists() else ():
        found = json.loads(line)
        newest[found["task"], found["rung"], found["seed"]] = found
    lines = [
        "| set | rung | accuracy | ECE | AUROC | at threshold: in scope / OOS recall | seeds |",
        "|---|---|---|---|---|---|---|",
    ]
    for task in TASKS:
        for rung in dict.fromkeys(rung for name, rung, _ in newest if name == task.name):
            rows = [r for (name, other, _), r in newest.items() if (name, other) == (task.name, rung)]
            lines.append(f"| {task.name} | {rung} | {cells(rows)} | {len(rows)} |")
    return "\n".join(lines)


def cells(rows: Sequence[dict[str, Any]]) -> str:
    """Accuracy, calibration, out-of-scope ranking and decision of one rung."""

    def of(key: str, digits: int, scale: float = 1.0) -> str:
        values = [r[key] * scale for r in rows if r.get(key) is not None]
        spread = f" ±{pstdev(values):.{digits}f}" if len(values) > 1 and pstdev(values) > 0 else ""
        return f"{mean(values):.{digits}f}{spread}" if values else "-"

    decision = f"{of('in_scope_accuracy_at_threshold', 1, 100)} / {of('oos_recall_at_threshold', 1, 100)}"
    return f"{of('accuracy', 2, 100)} | {of('ece', 3)} | {of('oos_auroc', 4)} | {decision}"


if __name__ == "__main__":
    main()
