"""One member of the cross-fitted pair: what was trained on labels, without the texts it will be judged by.

Features that were trained on a text's label know the answer, and a kernel on them would look better than it is. So
the training texts are dealt into folds; each member learns from all folds but one, and the training texts' features
come from the member that never saw them. A new text is read by all members and their features are averaged. All
members start from the same weights and are tuned little, so their features remain comparable.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from dialogue.fusion.forward import Fused
from dialogue.fusion.shape import FusionConfig
from dialogue.fusion.units import Seen, Units, lay_flat
from dialogue.posterior.arrays import load_arrays, save_arrays
from dialogue.posterior.kernel import IntArray, View, join, take, unit
from encoders.base import Encoder
from encoders.catalog import resolve
from encoders.features import Utterance

FUSION_VIEW = "fusion"
BATCH = 256


@dataclass(frozen=True, slots=True)
class Member:
    """`encoders` that learn from labels, by their own names, with their `types`, and the fusion, if there is one."""

    encoders: Mapping[str, Encoder]
    types: Mapping[str, str]
    fusion: Fused | None

    def see(self, utterances: Sequence[Utterance], units: Units) -> dict[str, View]:
        """The views [N, S] of the member's own encoders and of its fusion."""
        seen = {name: see(encoder, utterances) for name, encoder in self.encoders.items()}
        views: dict[str, View] = {name: view.sentence for name, view in seen.items()}
        if self.fusion is not None:
            views[FUSION_VIEW] = self.fusion.encode(units.beside(seen).narrowed())
        return views

    def save(self, folder: Path) -> None:
        """Write one folder for each encoder, and fusion.json with fusion.safetensors."""
        for name, encoder in self.encoders.items():
            (folder / name).mkdir()
            encoder.save(folder / name)
        if self.fusion is not None:
            save_fusion(folder, self.fusion)

    @classmethod
    def load(cls, folder: Path, types: Mapping[str, str]) -> Member:
        """Read what `save` wrote. Raises `ValueError` naming a missing or damaged file."""
        encoders = {name: resolve(kind).load(folder / name) for name, kind in types.items()}
        return cls(encoders, types, load_fusion(folder) if (folder / "fusion.json").exists() else None)


def save_fusion(folder: Path, fusion: Fused) -> None:
    """Write fusion.json and fusion.safetensors into an existing folder."""
    (folder / "fusion.json").write_text(json.dumps(asdict(fusion.config), indent=1), "utf-8")
    save_arrays(folder / "fusion.safetensors", fusion.arrays)


def load_fusion(folder: Path) -> Fused:
    """Read what `save_fusion` wrote. Raises `ValueError` when it is damaged."""
    arrays = load_arrays(folder / "fusion.safetensors")
    try:
        return Fused(FusionConfig(**json.loads((folder / "fusion.json").read_text("utf-8"))), arrays)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{folder / 'fusion.json'} and fusion.safetensors do not fit: {error}") from error


def see(encoder: Encoder, utterances: Sequence[Utterance]) -> Seen:
    """An encoder's view of all texts, in batches, so that one long text does not pad them all."""
    starts = range(0, max(1, len(utterances)), BATCH)
    return lay_flat(encoder.encode(utterances[start : start + BATCH]) for start in starts)


def average(views: Sequence[Mapping[str, View]]) -> dict[str, View]:
    """The members' views of the same texts, averaged and put back to length one."""
    return {name: unit(sum(view[name] for view in views) / len(views)) for name in views[0]} if views else {}


def out_of_fold(views: Sequence[Mapping[str, View]], fold: IntArray) -> dict[str, View]:
    """Each training text's views by the member that did not see it: `views[m]` are of the texts with `fold` m."""
    if not views:
        return {}
    rows = np.concatenate([np.flatnonzero(fold == m) for m in range(len(views))])
    return take(join(views), np.argsort(rows))
