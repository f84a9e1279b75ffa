"""The example bot in both languages: what training costs, what it understands, what it pretends to understand.

    python -m tests.bench.nova            both languages, fusion tuned and left out; about five minutes on two cores

The held-out messages of tests/conversations/heldout are only ever measured on. A message counts as answered when the
bot acts on it at once; asking back, asking to rephrase, falling back and handing over do not. A message that is out of
scope is answered as if known when the bot acts on it as on any intent but `out_of_scope`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from dialogue.message import Message
from dialogue.project import open_bot
from policies.types import Kind

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
HELD_OUT = ROOT / "tests" / "conversations" / "heldout"
RESULTS = HERE / "results" / "nova.json"
OUT_OF_SCOPE = "out_of_scope"
PROJECTS = {"en": ROOT, "zh": ROOT / "data" / "zh"}


def main() -> None:
    found = {}
    for language in PROJECTS:
        for tune in ("last_layers", "none"):
            with tempfile.TemporaryDirectory() as place:
                project = prepare(Path(place), language, tune)
                found[f"{language}, tune: {tune}"] = {**trained(project), **held_out(project, language)}
                print(language, tune, json.dumps(found[f"{language}, tune: {tune}"], indent=1), flush=True)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    print(table(found))


def prepare(place: Path, language: str, tune: str) -> Path:
    """A copy of the bot with its own store and caches."""
    shutil.copytree(ROOT / "data", place / "data", ignore=shutil.ignore_patterns(".starfold", "__pycache__"))
    shutil.copy(ROOT / "bot.yml", place / "bot.yml")
    project = place if language == "en" else place / "data" / "zh"
    file = project / "bot.yml"
    text = file.read_text("utf-8")
    if "\nfusion:" not in text:
        text += "\nfusion:\n  tune: last_layers\n"
    if "\nstore:" not in text:
        text += "\nstore:\n  url: sqlite:///.starfold/conversations.db\n"
    text = re.sub(r"\btune: \w+", f"tune: {tune}", text)
    file.write_text(text.replace("sqlite:///.starfold/conversations.db", "sqlite://"), "utf-8")
    return project


def trained(project: Path) -> dict[str, float]:
    """What `starfold train` takes, as a process of its own from its start to its end; modules are compiled as ever."""
    compiled = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    start = time.perf_counter()
    child = subprocess.Popen([sys.executable, "-m", "dialogue", "train", "--project", str(project)], env=compiled)
    _, status, used = os.wait4(child.pid, 0)
    if status != 0:
        raise SystemExit(f"training failed with status {status}")
    return {
        "train_cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "train_wall_seconds": round(time.perf_counter() - start, 1),
        "train_peak_mb": round(used.ru_maxrss / 1024),
    }


def held_out(project: Path, language: str) -> dict[str, Any]:
    """Understanding and restraint on the held-out messages."""
    bot = open_bot(project)
    seen = {kind: list(turns(bot, HELD_OUT / f"{language}_{kind}_scope.jsonl")) for kind in ("in", "out_of")}
    bot.close()
    inside, outside = seen["in"], seen["out_of"]
    right = [t for t in inside if t["guess"] == t["truth"]]
    wrong = [t for t in inside if t["guess"] != t["truth"]]
    answered = [t for t in inside if t["answered"]]
    kinds = Counter(t["kind"] for t in outside)
    fooled = Counter(t["kind"] for t in outside if t["answered"] and t["guess"] != OUT_OF_SCOPE)
    milliseconds = sorted(t["milliseconds"] for t in inside)
    return {
        "in_scope": len(inside),
        "accuracy": round(len(right) / len(inside), 4),
        "answered": round(len(answered) / len(inside), 4),
        "right_among_answered": round(sum(t["guess"] == t["truth"] for t in answered) / len(answered), 4),
        "median_confidence_right": round(median(t["mean"] for t in right), 4),
        "median_confidence_wrong": round(median(t["mean"] for t in wrong), 4) if wrong else None,
        "out_of_scope": len(outside),
        "out_of_scope_answered": round(sum(fooled.values()) / len(outside), 4),
        "out_of_scope_answered_by_kind": {kind: f"{fooled[kind]} of {n}" for kind, n in sorted(kinds.items())},
        "turn_ms_p50": round(median(milliseconds), 1),
        "turn_ms_p95": round(milliseconds[int(0.95 * len(milliseconds))], 1),
        "posterior_share_of_turn": round(median(t["posterior"] / t["milliseconds"] for t in inside), 3),
    }


def turns(bot: Any, file: Path) -> Iterator[dict[str, Any]]:
    """Each message as the first of a conversation."""
    for number, line in enumerate(file.read_text("utf-8").splitlines()):
        message = json.loads(line)
        start = time.perf_counter()
        turn = bot.handle(Message(message["text"], sender=f"{file.stem}-{number}"))
        spent = (time.perf_counter() - start) * 1000
        top = turn.belief.top
        guess = top.name
        if guess in turn.belief.responses:
            guess = turn.belief.responses[guess][0].name
        yield {
            "truth": message["intent"],
            "kind": message.get("kind"),
            "guess": guess,
            "mean": top.mean,
            "answered": turn.decision.kind is Kind.ACT,
            "milliseconds": spent,
            "posterior": turn.milliseconds[
                "posterior"
            ],  # kernel and mean, draws, interval: more than the last two alone
        }


def table(found: dict[str, dict[str, Any]]) -> str:
    """The results as Markdown."""
    keys = [key for key in next(iter(found.values())) if key != "out_of_scope_answered_by_kind"]
    lines = [f"| | {' | '.join(found)} |", "|---" * (len(found) + 1) + "|"]
    for key in keys:
        lines.append(f"| {key.replace('_', ' ')} | {' | '.join(str(numbers[key]) for numbers in found.values())} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
