"""What a posterior of the whole fusion is worth beside the default, on development draws.

    python -m tests.bench.deep                                           all of it; about a quarter of an hour
    python -m tests.bench.deep --case banking77/10/dev --only default    one bot on one set; a minute or two
    python -m tests.bench.deep --table                                   the table again, without measuring

Data sets are found in `--data DIR` or STARFOLD_DATASETS. Draws, and a process of its own for each measurement, are as
in `tests.bench.pipelines`; nothing is ever measured on a test split. Rows go to results/deep.jsonl.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tests.bench.pipelines import asked

RESULTS = Path(__file__).parent / "results" / "deep.jsonl"
CASES = ("banking77/10/dev", "clinc150/10/dev")
BOTS = {
    "default": "",
    "ensemble": "posterior: {type: ensemble, of: fusion, members: 4}\n",
    "mcmc": "posterior: {type: mcmc, of: fusion, members: 4}\n",
}
KEPT = ("accuracy", "nll", "ece", "oos_auroc", "train_cpu_seconds", "peak_mb", "ms_per_message_p50")


def main() -> None:
    options = arguments()
    if options.table:
        print(table())
    elif options.case and options.only:
        keep({"case": options.case, "bot": options.only, **measured(options.case, options.only, options)})
    else:
        for case in (options.case,) if options.case else CASES:
            for name in (options.only,) if options.only else BOTS:
                again = [sys.executable, "-m", __spec__.name, "--case", case, "--only", name]
                subprocess.run([*again, "--seed", str(options.seed), "--data", str(options.data)], check=True)
        print(table())


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("STARFOLD_DATASETS"))
    parser.add_argument("--case", choices=CASES)
    parser.add_argument("--only", choices=BOTS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", type=Path, help="features to reuse; times are not whole then")
    parser.add_argument("--table", action="store_true", help="only print what was measured before")
    options = parser.parse_args()
    if options.data is None and not options.table:
        parser.error("say where the data sets are: --data DIR or STARFOLD_DATASETS")
    return options


def measured(case: str, name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Quality and cost of one of the bots, trained and asked in this process."""
    found = asked(case, BOTS[name], options.seed, options.data, options.cache)
    rows = np.flatnonzero(found.scored.known)
    said = found.scored.predictive
    best = said.known[rows].argmax(axis=1)
    return {
        "seed": options.seed,
        **{key: found.numbers[key] for key in KEPT},
        "width": float(np.median((said.upper - said.lower)[rows, best])),
        "mutual_information": float(said.mutual_information[rows].mean()),
        "fusion_weight": found.model.head.weights["fusion"],
        "notes": {key: round(value, 4) for key, value in found.model.head.notes().items()},
    }


def keep(row: dict[str, Any]) -> None:
    """Show a row and write it down."""
    print(json.dumps(row), flush=True)
    with RESULTS.open("a", encoding="utf-8") as out:
        out.write(json.dumps(row) + "\n")


def table() -> str:
    """The newest row of each set, bot and seed."""
    rows = [json.loads(line) for line in RESULTS.read_text("utf-8").splitlines()] if RESULTS.exists() else []
    newest = {(row["case"], row["bot"], row["seed"]): row for row in rows}
    lines = [
        "| set | posterior | accuracy | NLL | ECE | AUROC | width | train CPU-s | peak MB | ms a message |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in sorted(newest.values(), key=lambda row: (CASES.index(row["case"]), [*BOTS].index(row["bot"]))):
        auroc = f"{row['oos_auroc']:.4f}" if row["oos_auroc"] is not None else "-"
        cost = " | ".join(f"{row[key]:.0f}" for key in ("train_cpu_seconds", "peak_mb", "ms_per_message_p50"))
        quality = f"{row['accuracy'] * 100:.2f} | {row['nll']:.3f} | {row['ece']:.3f} | {auroc} | {row['width']:.3f}"
        lines.append(f"| {row['case']} | {row['bot']} | {quality} | {cost} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
