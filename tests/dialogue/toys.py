"""Small made-up data: views of texts that fall into intents."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from dialogue.posterior.kernel import MultiViewKernel, View, ViewKernel, unit
from dialogue.posterior.process import Fit, fit_process


def rows_of(labels: Any, width: int, spread: float, seed: int) -> Any:
    """Unit rows [N, width] around one random direction an intent."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((int(labels.max()) + 1, width))
    rows = centres[labels] + spread * rng.standard_normal((len(labels), width))
    return unit(rows.astype(np.float32))


def noise_rows(count: int, width: int, seed: int) -> Any:
    """Unit rows that know nothing of any intent."""
    return unit(np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32))


def good_and_noise(labels: Any) -> dict[str, Any]:
    """A view that knows something of the intents, and one that knows nothing."""
    return {"good": rows_of(labels, 10, 1.2, 0), "noise": noise_rows(len(labels), 10, 1)}


def sparse(rows: Any, share: float = 0.4) -> csr_matrix:
    """Rows with their smallest entries left out, unit again, CSR."""
    cut = np.quantile(np.abs(rows), share)
    kept = unit(csr_matrix(np.where(np.abs(rows) > cut, rows, 0).astype(np.float32)))
    assert isinstance(kept, csr_matrix)
    return kept


def two_views(labels: Any, spread: float = 0.5, seed: int = 0) -> dict[str, View]:
    """A dense and a sparse view."""
    dense, other = rows_of(labels, 12, spread, seed), rows_of(labels, 30, spread, seed + 1)
    return {"dense": dense, "sparse": sparse(other)}


KERNEL = MultiViewKernel({"dense": ViewKernel(0.7, 2.0), "sparse": ViewKernel(0.3, 1.0)})


def fitted(labels: Any, noise: float = 0.1, spread: float = 0.5, seed: int = 0) -> Fit:
    """A process on `two_views`."""
    variance = np.full(len(labels), noise, np.float32)
    return fit_process(KERNEL, two_views(labels, spread, seed), labels, int(labels.max()) + 1, variance)


def labelled(intents: int, each: int) -> Any:
    """`each` texts of each intent."""
    return np.repeat(np.arange(intents), each)
