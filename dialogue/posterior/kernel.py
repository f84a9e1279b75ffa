"""One kernel out of many views.

k(x, x') = sum over views v of w_v exp(-g_v (1 - cos_v(x, x'))), with weights w that sum to 1, so k(x, x) = 1.

A sum of kernels is the prior of a sum of independent functions, one per view (Rasmussen & Williams 2006, section
4.2.4): each encoder proposes its own function of the text, and the weights say how much of the answer it may explain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_matrix, csr_matrix, vstack

FloatArray: TypeAlias = NDArray[np.float32]
IntArray: TypeAlias = NDArray[np.int64]
View: TypeAlias = FloatArray | csr_matrix | csc_matrix
Views: TypeAlias = Mapping[str, View]

BLOCK = 256
FEW = 64
SMALL = 1_000_000  # multiplications of a product up to which BLAS does not copy both sides first: a few texts, 3 times


@dataclass(frozen=True, slots=True)
class ViewKernel:
    """One view's part of the kernel: its share `weight` of the prior variance and the `slope` g of its exponential."""

    weight: float
    slope: float

    def of(self, cosine: FloatArray) -> FloatArray:
        """Its share of the covariance, in the memory of the cosines."""
        cosine -= 1
        cosine *= self.slope
        np.exp(cosine, out=cosine)
        cosine *= self.weight
        return cosine


@dataclass(frozen=True, slots=True)
class MultiViewKernel:
    """The weighted sum. `parts` has one entry per view; weights sum to 1."""

    parts: Mapping[str, ViewKernel]

    def __call__(self, a: Views, b: Views) -> FloatArray:
        """Covariances [A, B] of the prior."""
        return sum(self.by_view(a, b).values(), start=np.zeros((), np.float32))

    @property
    def floor(self) -> float:
        """The covariance of texts that have nothing in common: cosine 0 in every view."""
        return float(sum(part.weight * np.exp(-part.slope) for part in self.parts.values()))

    def by_view(self, a: Views, b: Views) -> dict[str, FloatArray]:
        """Each view's share of the covariance, [A, B]. Views of weight zero are left out."""
        return {name: part.of(cosines(a[name], b[name])) for name, part in self.parts.items() if part.weight > 0}

    def gram(self, views: Views) -> FloatArray:
        """Covariances [N, N] of N texts with each other: rows up to the diagonal in blocks, the rest mirrored."""
        n = count(views)
        k = np.empty((n, n), np.float32)
        for start in range(0, n, BLOCK):
            stop = min(n, start + BLOCK)
            k[start:stop, :stop] = self(take(views, slice(start, stop)), take(views, slice(stop)))
            k[:start, start:stop] = k[start:stop, :start].T
        k[np.diag_indices(n)] = 1.0
        return k


def cosines(a: View, b: View) -> FloatArray:
    """Inner products [A, B] of rows of length one (or zero)."""
    if not isinstance(a, csr_matrix):
        return inner(a, b)
    if a.shape[0] <= FEW and not isinstance(b, csc_matrix):
        return np.asarray((b @ a.toarray().T).T, np.float32)  # no transposed copy of a large b
    return np.asarray((a @ b.T).toarray(), np.float32)


def inner(a: FloatArray, b: FloatArray) -> FloatArray:
    """Inner products [A, B] of the rows of dense matrices."""
    if len(a) > FEW:
        return a @ b.T
    rows = max(1, SMALL // max(1, a.size))
    return np.concatenate([a @ b[i : i + rows].T for i in range(0, max(1, len(b)), rows)], axis=1)


def by_column(views: Views) -> dict[str, View]:
    """Views to compare few texts with again and again: of a sparse one only the columns they have are then read."""
    return {name: view.tocsc() if isinstance(view, csr_matrix) else view for name, view in views.items()}


def unit(rows: View) -> View:
    """Rows at Euclidean length 1; a zero row stays zero."""
    if isinstance(rows, csr_matrix):
        sums = np.concatenate([[0.0], np.cumsum(np.square(rows.data, dtype=np.float64))])[rows.indptr]  # up to each row
        norms = np.repeat(np.sqrt(np.diff(sums)), np.diff(rows.indptr))
        scaled = np.divide(rows.data, norms, out=np.zeros(len(norms)), where=norms > 0)
        return csr_matrix((scaled.astype(np.float32), rows.indices, rows.indptr), shape=rows.shape)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)


def count(views: Views) -> int:
    """How many texts N the views hold. Raises `ValueError` when they disagree."""
    sizes = {name: view.shape[0] for name, view in views.items()}
    if len(set(sizes.values())) != 1:
        raise ValueError(f"views hold different numbers of texts: {sizes}")
    return int(next(iter(sizes.values())))


def take(views: Views, rows: slice | IntArray) -> dict[str, View]:
    """Some rows of every view."""
    return {name: view[rows] for name, view in views.items()}


def join(several: Sequence[Views]) -> dict[str, View]:
    """Texts after texts: the views of all, one below the other."""
    return {
        name: vstack([v[name] for v in several], format="csr")
        if isinstance(several[0][name], csr_matrix)
        else np.concatenate([v[name] for v in several])
        for name in several[0]
    }
