"""How encoders keep what they learned: JSON for settings and vocabularies, safetensors for arrays, no pickle."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TYPES: Mapping[str, type[np.generic]] = {"I8": np.int8, "F32": np.float32}


def write_json(file: Path, content: Mapping[str, Any]) -> None:
    """Write one JSON object; lone surrogates are escaped."""
    file.write_text(json.dumps(content), "utf-8")


def read_json(file: Path, *keys: str) -> dict[str, Any]:
    """Read one JSON object.

    Raises:
        ValueError: naming the file, if it is missing, damaged or lacks one of the keys.
    """
    try:
        content = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{file} is missing or damaged: {error}") from error
    if not isinstance(content, dict) or (missing := sorted(set(keys) - content.keys())):
        raise ValueError(f"{file} is damaged: expected an object with {', '.join(missing or keys)}")
    return content


def write_arrays(file: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays as safetensors."""
    from safetensors.numpy import save_file

    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, str(file))


def map_arrays(file: Path, *names: str) -> dict[str, NDArray[Any]]:
    """Map the arrays of a safetensors file (int8 and float32) into memory: a page is read when it is first needed.

    The format is 8 bytes of header length, a JSON header, then the data.

    Raises:
        ValueError: naming the file, if it is missing, truncated or lacks one of the arrays.
    """
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            header = json.loads(stream.read(min(length, file.stat().st_size)))
        return {name: _map_array(file, 8 + length, header[name]) for name in names}
    except (OSError, ValueError, KeyError, TypeError, struct.error) as error:
        raise ValueError(f"{file} is missing or damaged: {error}") from error


def _map_array(file: Path, data: int, entry: Mapping[str, Any]) -> NDArray[Any]:
    shape = tuple(entry["shape"])
    dtype = TYPES[entry["dtype"]]
    if 0 in shape:
        return np.zeros(shape, dtype)
    return np.asarray(np.memmap(file, dtype, "r", offset=data + entry["data_offsets"][0], shape=shape))
