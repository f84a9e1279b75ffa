"""New intents found among messages nobody labelled: a Dirichlet process mixture against k-means and HDBSCAN.

    STARFOLD_DATASETS=... python -m tests.bench.discover         CLINC150, three choices of 50 held-out intents

The bot knows 100 intents of CLINC150, thirty training texts each; the messages are the test texts of the other 50. All
methods see the same vectors. K-means is told the true number of clusters in one row and finds it by the silhouette in
another; HDBSCAN's smallest cluster is 5. `space` means the space learned from the known intents. Adjusted Rand index
and normalised mutual information over all messages; what HDBSCAN calls noise is a cluster of its own.
"""

from __future__ import annotations

import json
import time
import warnings
from pathlib import Path
from statistics import mean

import numpy as np

from dialogue.learning.mixture import Known, cluster
from dialogue.learning.space import space_of
from tests.bench.seen import seen

RESULTS = Path(__file__).parent / "results" / "discover.json"
HELD_OUT, EXAMPLES, SEEDS = 50, 30, (0, 1, 2)
TRIED = range(20, 121, 10)


def main() -> None:
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    rows: dict[str, list[dict[str, float]]] = {}
    for seed in SEEDS:
        taught, labels, messages, truth = split(seed)
        for name, (guess, seconds) in methods(taught, labels, messages, seed).items():
            rows.setdefault(name, []).append(
                {
                    "ari": float(adjusted_rand_score(truth, guess)),
                    "nmi": float(normalized_mutual_info_score(truth, guess)),
                    "clusters": len(set(guess)),
                    "seconds": seconds,
                }
            )
            print(seed, name, rows[name][-1], flush=True)
    means = {name: {key: round(mean(r[key] for r in found), 3) for key in found[0]} for name, found in rows.items()}
    RESULTS.write_text(json.dumps(means, indent=1) + "\n", "utf-8")
    print("| method | ARI | NMI | clusters (50) | seconds |\n|---|---|---|---|---|")
    for name, found in means.items():
        print(f"| {name} | {found['ari']} | {found['nmi']} | {found['clusters']} | {found['seconds']} |")


def split(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Taught vectors and labels of the known intents; vectors of the messages, and their hidden intents."""
    train, test = seen("clinc150", "train"), seen("clinc150", "test")
    rng = np.random.default_rng(seed)
    hidden = rng.choice(len(train.names), HELD_OUT, replace=False)
    known = [i for i in range(len(train.names)) if i not in hidden]
    rows = np.concatenate([rng.permutation(np.flatnonzero(train.labels == i))[:EXAMPLES] for i in known])
    asked = np.flatnonzero(np.isin(test.labels, hidden))
    taught = train.vectors[rows].astype(float)
    return taught, np.repeat(np.arange(len(known)), EXAMPLES), test.vectors[asked].astype(float), test.labels[asked]


def methods(taught: np.ndarray, labels: np.ndarray, messages: np.ndarray, seed: int) -> dict[str, tuple]:
    """Clusters of the messages and seconds taken, by method."""
    from sklearn.cluster import HDBSCAN, KMeans

    start = time.perf_counter()
    space = space_of(taught, labels, messages)
    nothing = Known(np.zeros((0, len(space.spread))), np.zeros(0, np.int64))
    runs = [cluster(space.points, space.spread, nothing, seed=seed + number) for number in range(2)]
    best = max(runs, key=lambda clustering: clustering.log_posterior)
    found = {"Dirichlet process mixture, space": (best.labels, round(time.perf_counter() - start, 1))}
    warnings.simplefilter("ignore", FutureWarning)
    for name, points in (("vectors", messages), ("space", space.points)):
        start = time.perf_counter()
        told = KMeans(HELD_OUT, n_init=3, random_state=seed).fit_predict(points)
        found[f"k-means told 50, {name}"] = told, round(time.perf_counter() - start, 1)
        start = time.perf_counter()
        found[f"k-means by silhouette, {name}"] = by_silhouette(points, seed), round(time.perf_counter() - start, 1)
        start = time.perf_counter()
        found[f"HDBSCAN, {name}"] = HDBSCAN(5).fit_predict(points), round(time.perf_counter() - start, 1)
    return found


def by_silhouette(points: np.ndarray, seed: int) -> np.ndarray:
    """K-means with the number of clusters of the highest silhouette."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    tried = [KMeans(k, n_init=1, random_state=seed).fit_predict(points) for k in TRIED]
    return max(tried, key=lambda labels: silhouette_score(points, labels))


if __name__ == "__main__":
    main()
