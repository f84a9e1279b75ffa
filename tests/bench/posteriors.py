"""The family of posteriors side by side, on frozen views.

    python -m tests.bench.posteriors                                the table
    python -m tests.bench.posteriors --case banking77/10/test       one set: set/size/dev or set/size/test
    python -m tests.bench.posteriors --case clinc150/10/dev --only mcmc,laplace
    python -m tests.bench.posteriors --coverage                     does the interval hold what refits say?
    python -m tests.bench.posteriors --learning                     which uncertainty falls with more examples?
    python -m tests.bench.posteriors --table                        the table again, without measuring

Data sets are found in `--data DIR` or STARFOLD_DATASETS; views are kept in `--cache`. Rows go to
results/posteriors.jsonl.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from dialogue.posterior.base import Predictive, Teachable
from dialogue.posterior.family import Choice
from dialogue.posterior.head import Head, HeadConfig, assemble
from dialogue.posterior.kernel import IntArray, take
from dialogue.posterior.process import Fit
from dialogue.training import metrics
from tests.bench.frozen import Case, case

RESULTS = Path(__file__).parent / "results" / "posteriors.jsonl"
CASES = ("banking77/5/dev", "banking77/10/dev", "clinc150/10/dev", "banking77/full/dev", "clinc150/full/dev")
FAMILY = {
    "point": Choice("point"),
    "conjugate": Choice("conjugate"),
    "laplace": Choice("laplace"),
    "laplace full": Choice("laplace", hessian="full"),
    "laplace diagonal": Choice("laplace", hessian="diagonal"),
    "variational": Choice("variational"),
    "variational rank 4": Choice("variational", rank=4),
    "ensemble": Choice("ensemble"),
    "mc_dropout": Choice("mc_dropout"),
    "niw": Choice("niw"),
    "mcmc": Choice("mcmc"),
    "mcmc sghmc": Choice("mcmc", sampler="sghmc"),
}
REFITS, TESTED = 4, 400


def main() -> None:
    options = arguments()
    if not options.table:
        for name in (options.case,) if options.case else CASES:
            made = case(name, options.seed, options.data, options.cache)
            if options.coverage:
                for kind in chosen(options.only or "conjugate"):
                    keep(covered(name, made, kind, options.seed))
            elif options.learning:
                learned(name, made, options.seed)
            else:
                fit = made.fit(options.seed)
                for kind in chosen(options.only):
                    keep(measured(name, made, fit, kind, options.seed))
    print(table())


def keep(row: dict[str, Any]) -> None:
    """Show a row and write it down."""
    print(json.dumps(row), flush=True)
    with RESULTS.open("a", encoding="utf-8") as out:
        out.write(json.dumps(row) + "\n")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("STARFOLD_DATASETS"))
    parser.add_argument("--case", help="set/size/split; all by default")
    parser.add_argument("--only", help=f"of the family, by comma: {', '.join(FAMILY)}")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "starfold-bench")
    parser.add_argument("--coverage", action="store_true")
    parser.add_argument("--learning", action="store_true")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if options.data is None and not options.table:
        parser.error("say where the data sets are: --data DIR or STARFOLD_DATASETS")
    return options


def chosen(only: str | None) -> list[str]:
    """Names of the family."""
    return [name for name in FAMILY if only is None or name in only.split(",")]


def measured(name: str, made: Case, fit: Fit, kind: str, seed: int) -> dict[str, Any]:
    """Quality and cost of one posterior."""
    start = time.process_time()
    head = assemble(HeadConfig(FAMILY[kind]), fit, float("nan"), seed=seed)
    trained = time.process_time() - start
    found = head.predict(made.new, keep_draws=False)
    known, truth = made.truth >= 0, made.truth[made.truth >= 0]
    p = found.known[known]
    right = p.argmax(axis=1) == truth
    return {
        "case": name,
        "seed": seed,
        "posterior": kind,
        "accuracy": float(right.mean()),
        "nll": float(-np.log(p[np.arange(len(p)), truth] + 1e-12).mean()),
        "ece": metrics.ece(p.max(axis=1), right),
        "ece_of_luck": luck(p.max(axis=1)),
        "width": float((found.upper - found.lower)[known, p.argmax(axis=1)].mean()),
        **metrics.ranking(found.unknown[known], found.unknown[~known]),
        "train_cpu_seconds": trained,
        "draw_ms": milliseconds(head, made),
        "teach_ms": taught(head),
        "notes": {key: round(value, 4) for key, value in head.posterior.notes().items()},
    }


def luck(confidence: Any) -> float:
    """The calibration error that perfectly calibrated confidences would have on as many texts."""
    rng = np.random.default_rng(0)
    return float(np.mean([metrics.ece(confidence, rng.random(len(confidence)) < confidence) for _ in range(20)]))


def milliseconds(head: Any, made: Case) -> float:
    """Processor time of the draws of one text, kernel row at hand."""
    rows = [head.process.rows(take(made.new, np.array([i]))) for i in range(20)]
    start = time.process_time()
    for row in rows:
        head.posterior.draw(head.process.latent(row))
    return (time.process_time() - start) / len(rows) * 1000


def taught(head: Head) -> float | None:
    """Processor time in milliseconds of learning one more text, the last one again, where that is closed form."""
    if not isinstance(head.posterior, Teachable):
        return None
    taken = []
    for _ in range(5):
        start = time.process_time()
        head.posterior.teach(head.process)
        taken.append(time.process_time() - start)
    return float(np.median(taken)) * 1000


def covered(name: str, made: Case, kind: str, seed: int) -> dict[str, Any]:
    """How often the 90 % interval of the best intent holds what bots say that learned from other examples.

    The training texts are dealt into `REFITS` parts, each intent evenly. A bot learns from each, its kernel weighed
    anew; the intervals of each are held against the probabilities of all others, on in-scope texts that none has seen.
    """
    parts = dealt(made.labels, REFITS, seed)
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(made.truth >= 0))[:TESTED]
    seen = take(made.new, np.sort(rows))
    found = [predicted(made, kind, part, seed, seen) for part in parts]
    inside = []
    for i, one in enumerate(found):
        at = np.arange(len(one.mean)), one.mean.argmax(axis=1)
        for j, other in enumerate(found):
            if i != j:
                inside.append((one.lower[at] <= other.mean[at]) & (other.mean[at] <= one.upper[at]))
    rate = float(np.mean(inside))
    return {"case": name, "seed": seed, "posterior": kind, "examples": len(parts[0]), "coverage": rate}


def dealt(labels: IntArray, parts: int, seed: int) -> list[IntArray]:
    """Training texts in parts, as many of each intent in each."""
    from dialogue.posterior.softmax_map import alternate

    fold = alternate(labels, parts, seed)
    return [np.flatnonzero(fold == m) for m in range(parts)]


def predicted(made: Case, kind: str, rows: IntArray, seed: int, views: Any) -> Predictive:
    """What a bot says that learned from some of the training texts."""
    fit = made.fit(seed, rows)
    return assemble(HeadConfig(FAMILY[kind]), fit, float("nan"), seed=seed).predict(views, keep_draws=False)


def learned(name: str, made: Case, seed: int) -> None:
    """Entropy of in-scope texts in its two parts, from a quarter, a half and all of the training texts.

    Mutual information is what more examples could tell (epistemic), the rest is what they could not (aleatoric).
    """
    folds = dealt(made.labels, 4, seed)
    views = take(made.new, np.flatnonzero(made.truth >= 0))
    for quarters in (1, 2, 4):
        some = np.sort(np.concatenate(folds[:quarters]))
        found = predicted(made, "conjugate", some, seed, views)
        epistemic = float(found.mutual_information.mean())
        rest = float((found.entropy - found.mutual_information).mean())
        keep({"case": name, "seed": seed, "examples": len(some), "epistemic": epistemic, "aleatoric": rest})


def table() -> str:
    """The newest rows: quality and cost, coverage, learning."""
    rows = [json.loads(line) for line in RESULTS.read_text("utf-8").splitlines()] if RESULTS.exists() else []
    quality = newest(row for row in rows if "accuracy" in row)
    lines = [
        "| set | posterior | accuracy | NLL | ECE (by luck) | AUROC | width | train CPU-s | ms |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in quality:
        auroc = f"{row['oos_auroc']:.4f}" if row["oos_auroc"] is not None else "-"
        lines.append(
            f"| {row['case']} | {row['posterior']} | {row['accuracy']:.4f} | {row['nll']:.3f} | {row['ece']:.3f} "
            f"({row['ece_of_luck']:.3f}) | {auroc} | {row['width']:.3f} | {row['train_cpu_seconds']:.1f} "
            f"| {row['draw_ms']:.2f} |"
        )
    lines += ["", "| set | posterior | examples | coverage |", "|---|---|---|---|"]
    for row in newest(row for row in rows if "coverage" in row):
        lines.append(f"| {row['case']} | {row['posterior']} | {row['examples']} | {row['coverage']:.3f} |")
    lines += ["", "| set | examples | epistemic | aleatoric |", "|---|---|---|---|"]
    for row in newest(row for row in rows if "epistemic" in row):
        lines.append(f"| {row['case']} | {row['examples']} | {row['epistemic']:.3f} | {row['aleatoric']:.3f} |")
    return "\n".join(lines)


def newest(rows: Any) -> list[dict[str, Any]]:
    """The last row of each case, seed, posterior and number of examples."""
    return list({(r["case"], r["seed"], r.get("posterior"), r.get("examples")): r for r in rows}.values())


if __name__ == "__main__":
    main()
