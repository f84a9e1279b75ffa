"""What each named pipeline of bot.yml costs and how well it understands, on development draws.

    python -m tests.bench.pipelines                                        all of them; about half an hour
    python -m tests.bench.pipelines --case banking77/10/dev --only fast    one pipeline on one set; a minute or two
    python -m tests.bench.pipelines --table                                the table again, without measuring

Data sets are found in `--data DIR` or STARFOLD_DATASETS. Training texts are ten an intent drawn from train, and what is
measured on is never a test split (`tests.bench.frozen.splits`). Every measurement is a process of its own and reuses no
features, so that its processor time and its peak of memory are whole. Rows go to results/pipelines.jsonl.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any, get_args

import numpy as np

from dialogue.pipelines import PipelineName
from dialogue.training.evaluate import Measurement, measure_nlu
from tests.bench.frozen import Split, splits

RESULTS = Path(__file__).parent / "results" / "pipelines.jsonl"
CASES = ("clinc150/10/dev", "banking77/10/dev", "massive_zh/10/dev")
PIPELINES = get_args(PipelineName)
ENGLISH = ("fast", "balanced", "best")
KEPT = ("accuracy", "ece", "oos_auroc", "train_cpu_seconds", "peak_mb", "ms_per_message_p50", "train_size")


def main() -> None:
    options = arguments()
    if options.table:
        print(table())
    elif options.case and options.only:
        row = measured(options.case, f"pipeline: {options.only}\n", options.seed, options.data)
        keep({"case": options.case, "pipeline": options.only, **row})
    else:
        for case in (options.case,) if options.case else CASES:
            for name in (options.only,) if options.only else PIPELINES if "zh" in case else ENGLISH:
                again = [sys.executable, "-m", __spec__.name, "--case", case, "--only", name]
                subprocess.run([*again, "--seed", str(options.seed), "--data", str(options.data)], check=True)
        print(table())


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("STARFOLD_DATASETS"))
    parser.add_argument("--case", choices=CASES)
    parser.add_argument("--only", choices=PIPELINES)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--table", action="store_true", help="only print what was measured before")
    options = parser.parse_args()
    if options.data is None and not options.table:
        parser.error("say where the data sets are: --data DIR or STARFOLD_DATASETS")
    return options


def measured(case: str, sections: str, seed: int, data: Path) -> dict[str, Any]:
    """Quality and cost of a bot with those sections of bot.yml, trained and asked in this process."""
    found = asked(case, sections, seed, data).numbers
    return {"seed": seed, **{key: found[key] for key in KEPT}}


def asked(case: str, sections: str, seed: int, data: Path, cache: Path | None = None) -> Measurement:
    """A bot with those sections of bot.yml, and what it makes of the case's messages."""
    train, held = splits(case, seed, data)
    known = np.array(held.intents) != ""
    outside = held.pick(np.flatnonzero(~known))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        language = "zh" if "zh" in case else "en"
        (folder / "bot.yml").write_text(f"language: {language}\ndata: [.]\nseed: {seed}\n{sections}", "utf-8")
        return measure_nlu(
            train=written(folder / "train.jsonl", train),
            test=written(folder / "test.jsonl", held.pick(np.flatnonzero(known))),
            oos=written(folder / "oos.jsonl", outside) if outside.texts else None,
            project=folder,
            cache=cache,
        )


def written(file: Path, split: Split) -> Path:
    """A file of texts and intents, as `starfold test nlu` reads it."""
    pairs = zip(split.texts, split.intents, strict=True)
    lines = [json.dumps({"text": text, "intent": intent or "outside"}) for text, intent in pairs]
    file.write_text("\n".join(lines) + "\n", "utf-8")
    return file


def keep(row: dict[str, Any]) -> None:
    """Show a row and write it down."""
    print(json.dumps(row), flush=True)
    with RESULTS.open("a", encoding="utf-8") as out:
        out.write(json.dumps(row) + "\n")


def table() -> str:
    """The newest row of each set, pipeline and seed, the mean over the seeds."""
    rows = [json.loads(line) for line in RESULTS.read_text("utf-8").splitlines()] if RESULTS.exists() else []
    newest = {(row["case"], row["pipeline"], row["seed"]): row for row in rows}
    lines = [
        "| set | pipeline | accuracy | ECE | AUROC | train CPU-s | peak MB | ms a message | draws |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for case, name in product(CASES, PIPELINES):
        draws = [row for row in newest.values() if (row["case"], row["pipeline"]) == (case, name)]
        if draws:
            of = {key: mean(row[key] for row in draws) for key in KEPT if draws[0][key] is not None}
            auroc = f"{of['oos_auroc']:.4f}" if "oos_auroc" in of else "-"
            cost = " | ".join(f"{of[key]:.0f}" for key in ("train_cpu_seconds", "peak_mb", "ms_per_message_p50"))
            quality = f"{of['accuracy'] * 100:.2f} | {of['ece']:.3f} | {auroc}"
            lines.append(f"| {case} | {name} | {quality} | {cost} | {len(draws)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
