"""What examples of out-of-scope messages are worth: CLINC150 with 0, 20 and 100 of them.

    python -m tests.bench.outside [--size 10] [--given 0,20,100]

The bot (`pipeline: fast`) learns so many texts an intent, drawn from train, and of oos_train so many as the intent
`out_of_scope`; it is measured on valid and oos_valid, so no test split is read. A message is none of the bot's business
by P(unknown) and the probability of that intent together. Data sets are found in STARFOLD_DATASETS, rows go to
results/outside.jsonl.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from dialogue.training.evaluate import OUT_OF_SCOPE, evaluate_nlu
from tests.bench.frozen import read, splits
from tests.bench.seen import CACHE

RESULTS = Path(__file__).parent / "results" / "outside.jsonl"
PROJECT = "version: '1'\nname: outside\nlanguage: en\ndata: [.]\npipeline: fast\n"
KEPT = ("accuracy", "ece", "ece_all", "aurc", "oos_auroc", "oos_aupr", "oos_fpr95")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="10", help="examples an intent, or full")
    parser.add_argument("--given", default="0,20,100", help="out-of-scope examples, by comma")
    options = parser.parse_args()
    for given in map(int, options.given.split(",")):
        row = {"size": options.size, "given": given, **measured(options.size, given)}
        with RESULTS.open("a", encoding="utf-8") as out:
            out.write(json.dumps(row) + "\n")
    print(table())


def measured(size: str, given: int) -> dict[str, Any]:
    """The bot with so many examples of what is out of scope."""
    data = Path(os.environ["STARFOLD_DATASETS"])
    train, _ = splits(f"clinc150/{size}/dev", 0, data)
    outside = read(data / "clinc150" / "oos_train.jsonl").texts[:given]
    examples = [*zip(train.texts, train.intents, strict=True), *((text, OUT_OF_SCOPE) for text in outside)]
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "bot.yml").write_text(PROJECT, "utf-8")
        taught = Path(place) / "train.jsonl"
        taught.write_text("".join(json.dumps({"text": t, "intent": i}) + "\n" for t, i in examples), "utf-8")
        valid, oos = (data / "clinc150" / f"{name}.jsonl" for name in ("valid", "oos_valid"))
        found = evaluate_nlu(train=taught, test=valid, oos=oos, project=Path(place), cache=CACHE)
    return {name: found[name] for name in KEPT}


def table() -> str:
    """The newest row of each."""
    rows = [json.loads(line) for line in RESULTS.read_text("utf-8").splitlines()]
    newest = {(row["size"], row["given"]): row for row in rows}
    lines = [f"| examples an intent | out of scope | {' | '.join(KEPT)} |", f"|{'---|' * (2 + len(KEPT))}"]
    for (size, given), row in newest.items():
        lines.append(f"| {size} | {given} | {' | '.join(f'{row[name]:.4f}' for name in KEPT)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
