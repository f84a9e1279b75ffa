"""Whether the example bot's intervals hold what a bot with other examples says: two halves of Nova's examples.

    python -m tests.bench.halves      about a minute

Nova in English is trained with the fusion left out. The examples of each intent are dealt into two halves; on each a
head of its own is fitted, views and prior's centre the same. Of each development message in scope: does the interval of
one bot's best intent hold the other bot's posterior mean of that intent? By how sure the first one is.
"""

from __future__ import annotations

import json
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np

from dialogue.config_file import load_config
from dialogue.model import Model
from dialogue.posterior.base import Predictive
from dialogue.posterior.head import Head, fit_head
from dialogue.posterior.kernel import IntArray, take
from dialogue.posterior.softmax_map import alternate
from dialogue.project import train
from encoders.tokenizer import tokenize
from tests.bench.nova import ROOT, prepare

MESSAGES = ROOT / "tests" / "conversations" / "development" / "en_in_scope.jsonl"
EDGES = (0.0, 0.5, 0.8, 0.95, 0.99, 1.01)


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        project = prepare(Path(place), "en", "none")
        train(project)
        model = Model.load(newest(load_config(project).model_path))
    texts = [json.loads(line)["text"] for line in MESSAGES.read_text("utf-8").splitlines()]
    views = model.views([tokenize(text, model.language) for text in texts])
    fold = alternate(model.head.process.labels, 2, 0)
    first, second = (half(model.head, np.flatnonzero(fold == m)).predict(views) for m in range(2))
    sure, covered, width = (
        np.concatenate(parts) for parts in zip(seen(first, second), seen(second, first), strict=True)
    )
    print("| sure | messages | covered | median width |\n|---|---|---|---|")
    for low, high in [*pairwise(EDGES), (EDGES[0], EDGES[-1])]:
        here = (sure >= low) & (sure < high)
        print(f"| {low} to {min(high, 1)} | {here.sum()} | {covered[here].mean():.3f} | {np.median(width[here]):.3f} |")


def newest(folder: Path) -> Path:
    """The model that was written last."""
    return max((file.parent for file in folder.rglob("model.json")), key=lambda found: found.stat().st_mtime)


def half(head: Head, rows: IntArray) -> Head:
    """A head on some of the training texts."""
    p = head.process
    return fit_head(head.config, take(p.views, rows), p.labels[rows], p.alpha.shape[1], p.kernel.parts, seed=0)


def seen(one: Predictive, other: Predictive) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How sure one is of its best intents, whether its intervals hold what the other says, and their widths."""
    rows, best = np.arange(len(one.mean)), one.mean.argmax(axis=1)
    low, high, said = one.lower[rows, best], one.upper[rows, best], other.mean[rows, best]
    return one.mean[rows, best], (said >= low) & (said <= high), high - low


if __name__ == "__main__":
    main()
