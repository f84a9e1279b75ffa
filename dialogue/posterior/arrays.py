"""Named arrays in a safetensors file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from scipy.sparse import csr_matrix

from dialogue.posterior.kernel import View, Views


def save_arrays(file: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays under their names."""
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, file)


def load_arrays(file: Path, names: Sequence[str] | None = None) -> dict[str, NDArray[Any]]:
    """Read arrays. Raises `ValueError` when the file is missing or damaged, or lacks one of `names`."""
    try:
        arrays: dict[str, NDArray[Any]] = load_file(file)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{file} is missing or damaged: {error}") from error
    if lacking := [name for name in names or () if name not in arrays]:
        raise ValueError(f"{file} is damaged: it lacks {', '.join(lacking)}")
    return arrays


def save_views(file: Path, views: Views) -> None:
    """Write views: a dense one as `name`, a sparse one as `name.data`, `.indices`, `.indptr`, `.shape`."""
    arrays: dict[str, NDArray[Any]] = {}
    for name, view in views.items():
        if isinstance(view, csr_matrix):
            parts = {"data": view.data, "indices": view.indices, "indptr": view.indptr, "shape": np.array(view.shape)}
            arrays.update({f"{name}.{part}": array for part, array in parts.items()})
        else:
            arrays[name] = view
    save_arrays(file, arrays)


def load_views(file: Path) -> dict[str, View]:
    """Read what `save_views` wrote. Raises `ValueError` when it is missing or damaged."""
    arrays = load_arrays(file)
    views: dict[str, View] = {}
    for name, array in arrays.items():
        if name.endswith(".data"):
            name = name.removesuffix(".data")
            index = (array, arrays[f"{name}.indices"], arrays[f"{name}.indptr"])
            views[name] = csr_matrix(index, shape=tuple(arrays[f"{name}.shape"]))
        elif not name.endswith((".indices", ".indptr", ".shape")):
            views[name] = array
    return views
