"""How many labels a bot needs when it chooses what to ask: `starfold review` against random choice.

    STARFOLD_DATASETS=... python -m tests.bench.review          CLINC150 and BANKING77, three pools each

Nothing is labelled at first. Of a pool of 4,000 training texts a batch at a time is labelled, chosen at random or as
`review` chooses; after each the Gaussian process on the packaged encoder's vectors (kernel and noise fixed) answers the
whole test set. Reported: accuracy at so many labels, and the labels random choice needs for what review reaches.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from dialogue.learning.review import covariance, select, torn
from dialogue.posterior.kernel import MultiViewKernel, ViewKernel, take
from dialogue.posterior.link import Link
from dialogue.posterior.process import fit_process
from tests.bench.seen import seen

RESULTS = Path(__file__).parent / "results" / "review.json"
KERNEL, NOISE = MultiViewKernel({"bert": ViewKernel(1.0, 3.0)}), 0.1
POOL, BATCHES, SEEDS = 4000, {"clinc150": 100, "banking77": 50}, (0, 1, 2)
STEPS = 18


def main() -> None:
    found = {}
    for name, batch in BATCHES.items():
        train, test = seen(name, "train"), seen(name, "test")
        assert train.names == test.names
        curves: dict[str, list[list[float]]] = {"random": [], "review": []}
        for seed in SEEDS:
            rows = np.random.default_rng(seed).permutation(len(train.labels))[:POOL]
            pool, labels = {"bert": train.vectors[rows]}, train.labels[rows]
            for how in curves:
                curves[how].append(curve(how, pool, labels, {"bert": test.vectors}, test.labels, batch, seed))
                print(name, seed, how, np.round(curves[how][-1], 4).tolist(), flush=True)
        mean = {how: np.mean(several, axis=0) for how, several in curves.items()}
        sizes = [batch * (step + 1) for step in range(STEPS)]
        found[name] = {
            "labels": sizes,
            **{how: np.round(values, 4).tolist() for how, values in mean.items()},
            "random_needs": [needed(sizes, mean["random"], value) for value in mean["review"]],
        }
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    for name, numbers in found.items():
        print(f"| {name}: labels | random | review | random needs for as much |\n|---|---|---|---|")
        for row in zip(numbers["labels"], numbers["random"], numbers["review"], numbers["random_needs"], strict=True):
            print("| " + " | ".join(str(value) for value in row) + " |")


def curve(
    how: str, pool: dict, labels: np.ndarray, test: dict, truth: np.ndarray, batch: int, seed: int
) -> list[float]:
    """Test accuracy after each batch of labels."""
    order = np.random.default_rng(seed + 100).permutation(len(labels)).tolist()
    chosen: list[int] = []
    accuracies = []
    for _ in range(STEPS):
        chosen += order[len(chosen) : len(chosen) + batch] if how == "random" else asked(pool, labels, chosen, batch)
        process, classes = fitted(pool, labels, chosen)
        guess = classes[process.mean(process.rows(test)).argmax(axis=1)]
        accuracies.append(float((guess == truth).mean()))
    return accuracies


def asked(pool: dict, labels: np.ndarray, chosen: list[int], batch: int) -> list[int]:
    """What `review` asks about next."""
    rest = np.setdiff1d(np.arange(len(labels)), chosen)
    views = take(pool, rest)
    prior = KERNEL.gram(views)
    if not chosen:
        return rest[select(prior, np.ones(len(rest)), NOISE, batch)].tolist()
    process, _ = fitted(pool, labels, chosen)
    rows = process.rows(views)
    weights = torn(Link()(process.mean(rows)))
    return rest[select(covariance(process, prior, rows), weights, NOISE, batch)].tolist()


def fitted(pool: dict, labels: np.ndarray, chosen: list[int]):
    """The process on the labelled texts, and which intents its classes are."""
    classes, numbers = np.unique(labels[chosen], return_inverse=True)
    noise = np.full(len(chosen), NOISE, np.float32)
    return fit_process(KERNEL, take(pool, np.array(chosen)), numbers, len(classes), noise).process, classes


def needed(sizes: list[int], accuracies: np.ndarray, wanted: float) -> int | None:
    """How many random labels reach an accuracy, between the sizes by a straight line; None when none does."""
    if accuracies.max() < wanted:
        return None
    return int(np.interp(wanted, np.maximum.accumulate(accuracies), sizes))


if __name__ == "__main__":
    main()
