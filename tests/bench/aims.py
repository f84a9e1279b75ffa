"""Where the project stands against its aims: one row a figure, read from the results beside this script.

    python -m tests.bench.aims

A figure is of the newest run of its own script, named in the last column; means are over seeds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from statistics import mean
from typing import Any

RESULTS = Path(__file__).parent / "results"
LADDER = "ladder --only {}"
LARGE = "+mpnet"


@dataclass(frozen=True)
class Aim:
    """One figure: its name, what is aimed at, what was reached (None: not measured), and the command.

    `least` tells whether the aim is a lower bound; `digits` how it is written.
    """

    name: str
    aim: float
    reached: float | None
    command: str
    least: bool = True
    digits: int = 2

    @property
    def short(self) -> float:
        """How much is lacking; 0 where the aim is reached."""
        if self.reached is None:
            return float("nan")
        return max(0.0, (self.aim - self.reached) * (1 if self.least else -1))


def main() -> None:
    measured = [*of_both(""), *responses(), *example_bot()]
    larger = [one.reached for one in of_both(LARGE)]
    print("| what | aim | reached | short by | with all-mpnet-base-v2 | command: `python -m tests.bench.` |")
    print("|---|---|---|---|---|---|")
    for one, other in zip_longest(measured, larger):
        sign, digits = "≥" if one.least else "≤", one.digits
        reached = "not measured" if one.reached is None else f"{one.reached:.{digits}f}"
        short = "-" if one.reached is None else f"{one.short:.{digits}f}" if one.short > 0 else "reached"
        beside = "-" if other is None else f"{other:.{digits}f}"
        print(f"| {one.name} | {sign} {one.aim:.{digits}f} | {reached} | {short} | {beside} | `{one.command}` |")


def of_both(large: str) -> list[Aim]:
    """What was measured with MiniLM, and with `LARGE`, a suffix of the rungs' names, in its place (`--large`)."""
    return [*understanding(large), *selective(large), *entities(large)]


def understanding(large: str) -> list[Aim]:
    """Intents: accuracy, calibration, what is out of scope, and fusion against every rung below it."""
    accuracy = (
        ("CLINC150, accuracy", "clinc150/full", 97.9),
        ("CLINC150, ten examples", "clinc150/10", 95.0),
        ("CLINC150, five", "clinc150/5", 92.7),
        ("BANKING77, accuracy", "banking77/full", 95.0),
        ("BANKING77, ten examples", "banking77/10", 89.8),
        ("BANKING77, five", "banking77/5", 84.0),
        ("MASSIVE zh-CN, accuracy", "massive_zh/full", 86.0),
    )
    clinc, command = fusion("clinc150/full", large), LADDER.format("clinc150/full")
    return [
        *(Aim(name, aim, fusion(task, large)("accuracy", 100), LADDER.format(task)) for name, task, aim in accuracy),
        Aim("CLINC150, AUROC of out of scope", 0.990, clinc("oos_auroc"), command, digits=4),
        Aim("CLINC150, ECE", 0.008, clinc("ece"), command, least=False, digits=4),
        Aim("CLINC150 at one threshold, in scope", 95.5, clinc("in_scope_accuracy_at_threshold", 100), command),
        Aim("CLINC150 at that threshold, out of scope", 85.0, clinc("oos_recall_at_threshold", 100), command),
        Aim("fusion above its best rung, worst set", 0.0, None if large else least_lead(), "ladder"),
    ]


def selective(large: str) -> list[Aim]:
    """What is answered where few answers may be wrong."""
    banking, clinc = fusion("banking77/full", large), fusion("clinc150/full", large)
    return [
        Aim(
            "BANKING77, answered at 2 % wrong",
            92.0,
            banking("coverage_at_2pct_error", 100),
            LADDER.format("banking77/full"),
        ),
        Aim(
            "of those wrong", 2.0, banking("error_at_that_coverage", 100), LADDER.format("banking77/full"), least=False
        ),
        Aim("CLINC150 and out of scope, at 1 %", 93.0, clinc("answered_at_1pct", 100), LADDER.format("clinc150/full")),
        Aim("of those wrong", 1.0, clinc("wrong_at_1pct", 100), LADDER.format("clinc150/full"), least=False),
    ]


def entities(large: str) -> list[Aim]:
    """Slots and whole sentences."""
    commands = {
        rung: f"slots --only {task} --rung {rung}" for task, rung in (("snips", "bot"), ("massive_zh", "tagger"))
    }
    snips = newest(rows("slots"), task="snips", split="test", rung="bot" + large)
    massive = newest(rows("slots"), task="massive_zh", split="test", rung="tagger" + large)
    return [
        Aim("SNIPS, intent", 99.0, snips("accuracy", 100), commands["bot"]),
        Aim("SNIPS, slot F1", 97.0, snips("slot_f1", 100), commands["bot"]),
        Aim("SNIPS, whole sentence", 93.0, snips("sentence_accuracy", 100), commands["bot"]),
        Aim("MASSIVE zh-CN, slot F1", 80.0, massive("slot_f1", 100), commands["tagger"]),
    ]


def responses() -> list[Aim]:
    """Responses picked from a hundred."""
    found = {rung: newest(rows("responses"), rung=rung, split="test")("accuracy") for rung in ("bm25", "fusion")}
    lead = found["fusion"] / found["bm25"] if found["fusion"] and found["bm25"] else None
    return [Aim("SGD, 1 of 100, times BM25", 2.0, lead, "responses")]


def example_bot() -> list[Aim]:
    """What the example bot answers of what is none of its business, each language as it is configured."""
    found = json.loads((RESULTS / "nova.json").read_text("utf-8"))
    configured = (("English", "en, tune: last_layers"), ("Chinese", "zh, tune: none"))
    return [
        Aim(f"Nova, {name}: out of scope answered, %", 2.0, 100 * found[key]["out_of_scope_answered"], "nova", False)
        for name, key in configured
    ]


def fusion(task: str, large: str = "") -> Callable[..., float | None]:
    """The whole bot's row of the ladder."""
    return newest(rows("ladder"), task=task, rung="fusion" + large)


def least_lead() -> float:
    """Points by which the fusion is above the best other rung, on the set where it is least."""
    found = rows("ladder")
    leads = []
    for task in dict.fromkeys(row["task"] for row in found):
        rungs = {row["rung"] for row in found if row["task"] == task and "mpnet" not in row["rung"]}
        reached = {rung: newest(found, task=task, rung=rung)("accuracy", 100) or 0.0 for rung in rungs}
        leads.append(reached.pop("fusion") - max(reached.values()))
    return min(leads)


def rows(name: str) -> list[dict[str, Any]]:
    """What a script has written down; nothing where it has not run."""
    file = RESULTS / f"{name}.jsonl"
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()] if file.exists() else []


def newest(found: Sequence[dict[str, Any]], **wanted: str) -> Callable[..., float | None]:
    """The figures of the rows that are as wanted: the mean over seeds of the newest rows; None without any."""
    of = {row["seed"]: row for row in found if all(row.get(key) == value for key, value in wanted.items())}

    def figure(key: str, scale: float = 1.0) -> float | None:
        known = [row[key] * scale for row in of.values() if row.get(key) is not None]
        return mean(known) if known else None

    return figure


if __name__ == "__main__":
    main()
