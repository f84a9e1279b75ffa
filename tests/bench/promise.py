"""Whether a gate that promises at most so many wrong answers keeps its word.

    python -m tests.bench.promise                     all sets, a few minutes
    python -m tests.bench.promise --only banking77    one of them
    python -m tests.bench.promise --table             the table again, without measuring

The default bot learns the official ten examples an intent and answers each test message once; nothing is chosen by
them. Then, a thousand times, the gate's threshold (`target_error`, confidence .95) is set on some of the messages:

- split: on a random half; broken where the error among the answers of the other half is above the target. That half
  has luck of its own, which the promise does not cover.
- drawn: on as many, drawn with replacement; broken where the error among the answers of all messages is above the
  target. This is what the theorem speaks of: all messages are the world, and its error is known.

`plain` is the lowest threshold from which no more than the target is wrong on the same messages, without a bound. Last,
the gate as it is set without a file (`held_out: null`), by the examples, each left out: one bot, one threshold. Data
sets are found in `--data DIR` or STARFOLD_DATASETS. Rows go to results/promise.jsonl.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dialogue.config import Config
from dialogue.posterior.kernel import FloatArray
from dialogue.report.outcomes import Bools
from dialogue.training.evaluate import corpus_of, outside, score
from dialogue.training.metrics import threshold_for_error
from dialogue.training.tables import read_examples
from dialogue.training.trainer import train_model
from policies.promise import NEVER, keeping
from policies.types import HeldOut

RESULTS = Path(__file__).parent / "results" / "promise.jsonl"
SETS = ("banking77", "clinc150", "clinc150 and out of scope")
TARGETS, CONFIDENCE = (0.02, 0.05), 0.95
TIMES = 1000


@dataclass(frozen=True)
class Answers:
    """How sure the bot is of N answers [N], and whether each is right [N]."""

    scores: FloatArray
    right: Bools

    def pick(self, rows: Any) -> Answers:
        return Answers(self.scores[rows], self.right[rows])

    def gate(self, target: float) -> float:
        """The threshold of the gate that is set on these."""
        return keeping(HeldOut(tuple(self.scores.tolist()), tuple(self.right.tolist())), target, CONFIDENCE)

    def plain(self, target: float) -> float:
        return min(threshold_for_error(self.scores, self.right, target), NEVER)

    def error(self, threshold: float) -> float:
        """The share of the answers that is wrong, 0 when nothing is answered."""
        answered = self.scores >= threshold
        return float((~self.right[answered]).mean()) if answered.any() else 0.0

    def answered(self, threshold: float) -> float:
        return float((self.scores >= threshold).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("STARFOLD_DATASETS"))
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "starfold-bench")
    parser.add_argument("--only", choices=("banking77", "clinc150"))
    parser.add_argument("--table", action="store_true", help="only print what was measured before")
    options = parser.parse_args()
    if options.data is None and not options.table:
        parser.error("say where the data sets are: --data DIR or STARFOLD_DATASETS")
    if not options.table:
        for name in ("banking77", "clinc150") if options.only is None else (options.only,):
            for row in measured(name, options.data / name, options.cache):
                print(json.dumps(row), flush=True)
                with RESULTS.open("a", encoding="utf-8") as out:
                    out.write(json.dumps(row) + "\n")
    print(table())


def measured(name: str, folder: Path, cache: Path) -> Iterator[dict[str, Any]]:
    """One bot, its answers to the test messages, in scope and, where there are such, with those out of scope."""
    config = Config(cache=str(cache))
    model = train_model(config, corpus_of(read_examples(folder / "few_shot" / "train_10.jsonl")))
    oos = folder / "oos_test.jsonl"
    scored = score(model, read_examples(folder / "test.jsonl") + (outside(oos) if oos.exists() else []), cache)
    answers = Answers(scored.score, scored.right)
    left_out = Answers(model.head.left_out.known, model.head.left_out.right)
    yield from promised(name, answers.pick(scored.known), left_out)
    if oos.exists():
        yield from promised(f"{name} and out of scope", answers, left_out)


def promised(name: str, answers: Answers, left_out: Answers) -> Iterator[dict[str, Any]]:
    """For each target: what becomes of the promise over many choices of the messages it is set on."""
    for target in TARGETS:
        for rule in (Answers.gate, Answers.plain):
            rng = np.random.default_rng(0)
            for how in ("split", "drawn"):
                tries = [tried(answers, rule, target, how, rng) for _ in range(TIMES)]
                yield {
                    "set": name,
                    "target": target,
                    "rule": rule.__name__,
                    "set on": how,
                    "messages": len(answers.scores) // 2,
                    "broken": float(np.mean([error > target for _, error in tries])),
                    "error": float(np.mean([error for _, error in tries])),
                    "answered": float(np.mean([share for share, _ in tries])),
                }
        threshold = left_out.gate(target)
        yield {
            "set": name,
            "target": target,
            "rule": "gate",
            "set on": "examples",
            "messages": len(left_out.scores),
            "broken": None,
            "error": answers.error(threshold),
            "answered": answers.answered(threshold),
        }


def tried(answers: Answers, rule: Any, target: float, how: str, rng: np.random.Generator) -> tuple[float, float]:
    """The share that is answered and the error among that, of a threshold set once."""
    n = len(answers.scores)
    order = rng.permutation(n) if how == "split" else rng.integers(n, size=n // 2)
    threshold = rule(answers.pick(order[: n // 2]), target)
    others = answers.pick(order[n // 2 :]) if how == "split" else answers
    return others.answered(threshold), others.error(threshold)


def table() -> str:
    """The newest row of each."""
    rows = [json.loads(line) for line in RESULTS.read_text("utf-8").splitlines()] if RESULTS.exists() else []
    newest = {(row["set"], row["target"], row["rule"], row["set on"]): row for row in rows}
    lines = [
        "| set | target | threshold | set on | messages | promise broken | mean error | answered |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in sorted(newest.values(), key=lambda row: (SETS.index(row["set"]), row["target"])):
        broken = "-" if row["broken"] is None else f"{row['broken'] * 100:.1f} %"
        lines.append(
            f"| {row['set']} | {row['target']} | {row['rule']} | {row['set on']} | {row['messages']} | {broken} "
            f"| {row['error']:.4f} | {row['answered']:.3f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
