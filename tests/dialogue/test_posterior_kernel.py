"""The multi-view kernel against a naive double loop, and its views on disk."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

import dialogue.posterior.kernel as kernel_module
from dialogue.posterior.arrays import load_arrays, load_views, save_arrays, save_views
from dialogue.posterior.kernel import MultiViewKernel, ViewKernel, by_column, cosines, count, join, take, unit
from tests.dialogue.toys import KERNEL, labelled, noise_rows, sparse, two_views


def dense(view: Any) -> Any:
    return view.toarray() if isinstance(view, csr_matrix) else view


def naive(kernel: MultiViewKernel, a: dict[str, Any], b: dict[str, Any]) -> Any:
    """k(x, x') = sum of w exp(-g (1 - cos)), pair by pair, in float64."""
    n, m = count(a), count(b)
    k = np.zeros((n, m))
    for name, part in kernel.parts.items():
        left, right = dense(a[name]).astype(float), dense(b[name]).astype(float)
        for i in range(n):
            for j in range(m):
                k[i, j] += part.weight * math.exp(-part.slope * (1 - float(left[i] @ right[j])))
    return k


def with_a_blank(views: dict[str, Any], row: int) -> dict[str, Any]:
    """The same views, where one text is all zeros."""
    blanked = {}
    for name, view in views.items():
        array = dense(view).copy()
        array[row] = 0
        blanked[name] = csr_matrix(array) if isinstance(view, csr_matrix) else array
    return blanked


def test_kernel_is_the_naive_sum_over_views_also_for_blank_texts() -> None:
    a = with_a_blank(two_views(labelled(4, 3)), 5)
    b = with_a_blank(two_views(labelled(3, 2), seed=7), 0)
    assert np.allclose(KERNEL(a, b), naive(KERNEL, a, b), atol=1e-6)


def test_gram_is_the_naive_kernel_with_ones_on_the_diagonal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_module, "BLOCK", 5)
    views = with_a_blank(two_views(labelled(4, 3)), 2)
    expected = naive(KERNEL, views, views)
    np.fill_diagonal(expected, 1.0)
    found = KERNEL.gram(views)
    assert found.dtype == np.float32
    assert np.allclose(found, expected, atol=1e-6)
    assert np.linalg.eigvalsh(found.astype(float)).min() > -1e-6


@pytest.mark.parametrize("rows", [3, kernel_module.FEW + 1])
def test_sparse_cosines_agree_with_dense_ones_for_few_and_for_many_texts(rows: int) -> None:
    a, b = sparse(noise_rows(rows, 20, 0)), sparse(noise_rows(9, 20, 1))
    assert np.allclose(cosines(a, b), a.toarray() @ b.toarray().T, atol=1e-6)
    assert isinstance(cosines(a, b), np.ndarray)
    assert np.allclose(cosines(a, by_column({"sparse": b})["sparse"]), cosines(a, b), atol=1e-6)


def test_a_view_of_weight_zero_costs_and_counts_nothing() -> None:
    kernel = MultiViewKernel({"dense": ViewKernel(1.0, 2.0), "sparse": ViewKernel(0.0, 1.0)})
    views = two_views(labelled(2, 2))
    assert list(kernel.by_view(views, views)) == ["dense"]


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(1, 5), st.integers(0, 10_000), st.booleans())
def test_unit_gives_length_one_or_zero(rows: int, width: int, seed: int, as_sparse: bool) -> None:
    raw = 10 * np.random.default_rng(seed).standard_normal((rows, width)).astype(np.float32)
    raw[np.random.default_rng(seed).random(rows) < 0.3] = 0
    found = dense(unit(csr_matrix(raw) if as_sparse else raw))
    lengths = np.linalg.norm(found, axis=1)
    assert np.allclose(lengths, (np.linalg.norm(raw, axis=1) > 0).astype(float), atol=1e-5)
    assert np.allclose(found * np.linalg.norm(raw, axis=1, keepdims=True), raw, atol=1e-4)


def test_join_and_take_are_inverse() -> None:
    views = two_views(labelled(3, 2))
    joined = join([take(views, slice(0, 2)), take(views, np.array([2, 3, 4, 5]))])
    for name in views:
        assert np.array_equal(dense(joined[name]), dense(views[name]))
        assert type(joined[name]) is type(views[name])


def test_views_of_different_lengths_are_refused_with_their_sizes() -> None:
    with pytest.raises(ValueError, match="'dense': 6, 'sparse': 4"):
        count({"dense": two_views(labelled(3, 2))["dense"], "sparse": two_views(labelled(2, 2))["sparse"]})


def test_views_come_back_from_disk(tmp_path: Path) -> None:
    views = two_views(labelled(3, 2))
    save_views(tmp_path / "views.safetensors", views)
    found = load_views(tmp_path / "views.safetensors")
    assert set(found) == set(views)
    for name in views:
        assert type(found[name]) is type(views[name])
        assert np.array_equal(dense(found[name]), dense(views[name]))


def test_damaged_arrays_are_named(tmp_path: Path) -> None:
    file = tmp_path / "some.safetensors"
    with pytest.raises(ValueError, match=r"some\.safetensors is missing or damaged"):
        load_arrays(file)
    file.write_bytes(b"not safetensors")
    with pytest.raises(ValueError, match=r"some\.safetensors is missing or damaged"):
        load_arrays(file)
    save_arrays(file, {"here": np.zeros(2, np.float32)})
    with pytest.raises(ValueError, match="it lacks gone"):
        load_arrays(file, ("here", "gone"))
