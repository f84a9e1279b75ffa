"""Does a prior of intents fed by use help, where people ask for some things far more often than for others?

    python -m tests.bench.usage --data DIR

CLINC150, ten training texts an intent, views frozen as in `posteriors`. Half of valid is said to the bot with Zipf's
frequencies, the r-th intent of a random order in proportion to 1 / r; the expected counts of what it understood feed
the prior. The other half is measured on, each text by its intent's share. No test split is touched.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from dialogue.posterior.head import Head, HeadConfig, assemble
from dialogue.posterior.intent_prior import IntentPrior, shares
from dialogue.posterior.kernel import IntArray, take
from tests.bench.frozen import Case, case

CASE = "clinc150/10/dev"
SEEDS = (0, 1, 2)
SAMPLES = 32
SAID = (0, 30, 100, 300, 1000, 3000)
STRENGTHS = (10.0, 30.0, 100.0, 300.0, 1e9)
RESULTS = Path(__file__).parent / "results" / "usage.json"


def main() -> None:
    options = arguments()
    made = case(CASE, 0, options.data, options.cache)
    head = assemble(HeadConfig(samples=SAMPLES), made.fit(0), float("nan"), seed=0)
    found = [measured(made, head, seed, exponent) for exponent in (1.0, 0.0) for seed in SEEDS]
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    for exponent in (1.0, 0.0):
        print(f"\nZipf exponent {exponent:g}\n")
        print(table([one["rows"] for one in found if one["exponent"] == exponent]))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("STARFOLD_DATASETS"))
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "starfold-bench")
    options = parser.parse_args()
    if options.data is None:
        parser.error("say where the data sets are: --data DIR or STARFOLD_DATASETS")
    return options


def measured(made: Case, head: Head, seed: int, exponent: float) -> dict[str, Any]:
    """Accuracy and NLL by messages said and strength, for one order of the intents."""
    rng = np.random.default_rng(seed)
    frequency = 1 / (1 + rng.permutation(made.classes)) ** exponent
    frequency /= frequency.sum()
    said, asked = halves(made.truth, rng)
    heard = head.predict(take(made.new, said), keep_draws=False)
    stream = rng.choice(len(said), max(SAID), p=weights(made.truth[said], frequency))
    groups = np.arange(made.classes)
    base = shares(groups, made.labels, np.ones(len(made.labels), np.float32))
    latent = head.process.latent(head.process.rows(take(made.new, asked)))
    draws, truth = head.posterior.draw(latent), made.truth[asked]
    rows: list[dict[str, Any]] = []
    for count in SAID:
        counts = heard.mean[stream[:count]].sum(axis=0)
        for strength in STRENGTHS:
            prior = IntentPrior(strength, base, tuple(map(float, counts)), tuple(groups.tolist()))
            found = scores(prior(draws).mean(axis=0), truth, frequency)
            rows.append({"said": count, "strength": strength, **found})
    rows.append({"said": None, "strength": None, **scores(draws.mean(axis=0), truth, frequency)})
    return {"seed": seed, "exponent": exponent, "rows": rows}


def halves(truth: IntArray, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
    """In-scope texts in two halves, of each intent as many."""
    mixed = rng.permutation(np.flatnonzero(truth >= 0))
    order = mixed[np.argsort(truth[mixed], kind="stable")]
    return order[::2], order[1::2]


def weights(truth: IntArray, frequency: Any) -> Any:
    """Of each text, so that the intents have their frequencies."""
    found = frequency[truth] / np.bincount(truth)[truth]
    return found / found.sum()


def scores(known: Any, truth: IntArray, frequency: Any) -> dict[str, float]:
    """Accuracy and negative log likelihood, texts weighed."""
    share, right = weights(truth, frequency), known.argmax(axis=1) == truth
    nll = -np.log(known[np.arange(len(truth)), truth] + 1e-12)
    return {"accuracy": float(share @ right), "nll": float(share @ nll)}


def table(runs: list[list[dict[str, Any]]]) -> str:
    """Means over the orders, NLL and accuracy."""
    cells: dict[tuple[Any, Any], str] = {}
    for same in zip(*runs, strict=True):
        accuracy, nll = (np.mean([row[name] for row in same]) for name in ("accuracy", "nll"))
        cells[same[0]["said"], same[0]["strength"]] = f"{accuracy:.4f}, {nll:.3f}"
    lines = [f"| messages said | {' | '.join(f'strength {s:g}' for s in STRENGTHS)} |", "|---" * 6 + "|"]
    lines += [f"| {said} | {' | '.join(cells[said, strength] for strength in STRENGTHS)} |" for said in SAID]
    return "\n".join([*lines, f"\nWithout the prior: {cells[None, None]}."])


if __name__ == "__main__":
    main()
