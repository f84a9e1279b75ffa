"""The learning curve: accuracy with 0, 1, 2, 5, 10, 50 and all examples an intent.

    python -m tests.bench.curve                                  the whole, about twenty minutes
    python -m tests.bench.curve --only banking77 --sizes 0,1,2   some of it
    python -m tests.bench.curve --table                          the table and the plot again, without measuring

The pipeline is `fast`, so that no view has learned from labels. Examples are drawn from train; measured on is what
`tests.bench.frozen.splits` holds back of train and valid, and no test split is read. Without an example the bot knows
the intents by their names alone, made readable. With up to ten examples three draws are made, beyond that one. Data
sets are found in `--data DIR` or STARFOLD_DATASETS. Rows go to results/curve.jsonl, the plot to results/curve.svg.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from statistics import mean, pstdev
from typing import Any

from dialogue.config import Config
from dialogue.report.charts import LEFT, RIGHT, TOP, percent, shares_of
from dialogue.report.style import light, plot_style
from dialogue.report.svg import Plot, Scale
from dialogue.training import metrics
from dialogue.training.corpus import readable, with_hints
from dialogue.training.evaluate import Scored, in_scope, score
from dialogue.training.trainer import train_model
from dialogue.training.types import Example
from tests.bench.frozen import Split, splits

HERE = Path(__file__).parent / "results"
ROWS, DRAWING = HERE / "curve.jsonl", HERE / "curve.svg"
SETS = {"clinc150": "CLINC150", "banking77": "BANKING77"}
SIZES = ("0", "1", "2", "5", "10", "50", "full")
DRAWS = {"50": 1, "full": 1}  # others have three
FLOOR = 266.0  # of the plot


def main() -> None:
    options = arguments()
    if not options.table:
        for name in (options.only,) if options.only else SETS:
            for size in options.sizes.split(","):
                for seed in range(DRAWS.get(size, 3)):
                    row = measured(name, size, seed, options.data, options.cache)
                    print(json.dumps(row), flush=True)
                    with ROWS.open("a", encoding="utf-8") as out:
                        out.write(json.dumps(row) + "\n")
    rows = newest()
    DRAWING.write_text(drawing(rows), "utf-8")
    print(table(rows))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("STARFOLD_DATASETS"))
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "starfold-bench")
    parser.add_argument("--only", choices=SETS)
    parser.add_argument("--sizes", default=",".join(SIZES), help="by comma")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if options.data is None and not options.table:
        parser.error("say where the data sets are: --data DIR or STARFOLD_DATASETS")
    return options


def measured(name: str, size: str, seed: int, data: Path, cache: Path) -> dict[str, Any]:
    """One draw. The seed chooses the examples, of BANKING77 also what is held back."""
    train, held = splits(f"{name}/{size if size != '0' else '1'}/dev", seed, data)
    names = {intent: readable(intent) for intent in train.intents}
    taught = Split([], []) if size == "0" else train
    start = time.process_time()
    model = train_model(
        Config(pipeline="fast", seed=seed, cache=str(cache)), with_hints(taught.texts, taught.intents, names)
    )
    spent = time.process_time() - start
    asked = [Example(text, intent) for text, intent in zip(held.texts, held.intents, strict=True)]
    scored = score(model, asked, cache)
    return {"set": name, "size": size, "seed": seed, "examples": len(taught.texts), "cpu": spent, **numbers(scored)}


def numbers(scored: Scored) -> dict[str, float | None]:
    ranked = metrics.ranking(scored.none[scored.known], scored.none[~scored.known])
    found = in_scope(scored)
    return {"accuracy": found["accuracy"], "ece": found["ece"], "oos_auroc": ranked["oos_auroc"]}


def newest() -> list[dict[str, Any]]:
    """The last row of each set, size and seed, the sizes in order."""
    rows = [json.loads(line) for line in ROWS.read_text("utf-8").splitlines()] if ROWS.exists() else []
    kept = {(row["set"], row["size"], row["seed"]): row for row in rows}
    return sorted(kept.values(), key=lambda row: (list(SETS).index(row["set"]), SIZES.index(row["size"]), row["seed"]))


def of(rows: list[dict[str, Any]], name: str, size: str, key: str) -> list[float]:
    """What was measured of one set and size."""
    return [row[key] for row in rows if (row["set"], row["size"]) == (name, size) and row[key] is not None]


def table(rows: list[dict[str, Any]]) -> str:
    """Means over the draws, with the deviation of the accuracy."""
    lines = ["| set | examples an intent | accuracy | ECE | AUROC | draws |", "|---|---|---|---|---|---|"]
    for name, size in dict.fromkeys((row["set"], row["size"]) for row in rows):
        right = [value * 100 for value in of(rows, name, size, "accuracy")]
        spread = f" ±{pstdev(right):.1f}" if len(right) > 1 else ""
        auroc = of(rows, name, size, "oos_auroc")
        lines.append(
            f"| {name} | {size} | {mean(right):.1f}{spread} | {mean(of(rows, name, size, 'ece')):.3f} "
            f"| {f'{mean(auroc):.3f}' if auroc else '-'} | {len(right)} |"
        )
    return "\n".join(lines)


def drawing(rows: list[dict[str, Any]]) -> str:
    """Both curves as an SVG of its own, light."""
    told = "; ".join(f"{title}: {said(rows, name)}" for name, title in SETS.items())
    plot = Plot("Right by number of examples", told, 320)
    x, y = Scale(-0.4, len(SIZES) - 0.6, LEFT, RIGHT), Scale(0, 1, FLOOR, TOP)
    plot.y_axis(y, LEFT, shares_of(0, 1), "right, in scope", RIGHT)
    plot.x_axis(x, FLOOR, list(enumerate(SIZES)), "examples an intent", TOP)
    for kind, (name, title) in zip(("first", "second"), SETS.items(), strict=True):
        found = [(i, of(rows, name, size, "accuracy")) for i, size in enumerate(SIZES)]
        points = [(x(i), y(mean(right))) for i, right in found if right]
        plot.line(f"curve {kind}", points)
        for at in points:
            plot.dot(f"{kind} dotted", *at, 4)
        plot.text(f"label {kind}", RIGHT - 90, FLOOR - (34 if kind == "first" else 16), title)
    colours = light()
    ground = f"<style>{plot_style(colours)} svg {{ background: {colours['card']}; }}</style>"
    head, _, rest = str(plot).partition("\n")
    return f"{head}\n{ground}\n{rest}\n"


def said(rows: list[dict[str, Any]], name: str) -> str:
    pairs = [(size, of(rows, name, size, "accuracy")) for size in SIZES]
    return ", ".join(f"{percent(mean(right), 1)} with {size}" for size, right in pairs if right)


if __name__ == "__main__":
    main()
