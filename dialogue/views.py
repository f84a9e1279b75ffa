"""Each encoder's view of whole texts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from scipy.sparse import issparse

from dialogue.fusion.units import Units
from dialogue.posterior.kernel import FloatArray, View, Views
from encoders.features import Utterance


def sentences(units: Units) -> dict[str, View]:
    """Each encoder's sentence view."""
    return {name: seen.sentence for name, seen in units.seen.items()}


def apart(views: Views, utterances: Sequence[Utterance]) -> dict[str, View]:
    """Views in which a text of punctuation alone is, to dense encoders, like itself only: they take `?` for a yes."""
    found = dict(views)
    rows = [row for row, utterance in enumerate(utterances) if utterance.wordless]
    for name, view in views.items() if rows else ():
        if not issparse(view):
            found[name] = view.copy()
            found[name][rows] = [own_direction(utterances[row].text, view.shape[1]) for row in rows]
    return found


def own_direction(text: str, width: int) -> FloatArray:
    """A vector [width] of length one that only this text has, nearly orthogonal to every other's."""
    seed = int.from_bytes(hashlib.sha256(text.strip().encode("utf-8", "replace")).digest()[:8], "big")
    vector = np.random.default_rng(seed).standard_normal(width).astype(np.float32)
    found: FloatArray = vector / np.linalg.norm(vector)
    return found
