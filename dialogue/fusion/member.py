"""One member of the cross-fitted pair: what was trained on labels, without the texts it will be judged by.

Features that were trained on a text's label know the answer, and a kernel on them would look better than it is. So
the training texts are dealt into folds; each member learns from all folds but one, and the training texts' features
come from the member that never saw them. A new text is read by all members and their features are averaged. All
members start from the same weights and are tuned little, so their features remain comparable.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from dialogue.fusion.forward import Fused
from dialogue.fusion.shape import FusionConfig
from dialogue.fusion.units import Seen, Units, lay_flat
from dialogue.posterior.arrays import load_arrays, save_arrays
from dialogue.posterior.kernel import IntArray, View, join, take, unit
from encoders.base import Encoder
from encoders.bert_runtime import OnnxLayers
from encoders.catalog import resolve
from encoders.features import Utterance

FUSION_VIEW = "fusion"
BATCH = 256


@dataclass(frozen=True, slots=True)
class Member:
    """`encoders` that learn from labels, by their own names, with their `types`, and fusions by their views' names.

    Several fusions are draws from a posterior; `notes` says how the drawing went, and is not saved.
    """

    encoders: Mapping[str, Encoder]
    types: Mapping[str, str]
    fusions: Mapping[str, Fused]
    notes: Mapping[str, float] = field(default_factory=dict)

    def see(self, utterances: Sequence[Utterance], units: Units) -> dict[str, View]:
        """The views [N, S] of the member's own encoders and of its fusions."""
        seen = {name: see(encoder, utterances) for name, encoder in self.encoders.items()}
        views: dict[str, View] = {name: view.sentence for name, view in seen.items()}
        if self.fusions:
            narrowed = units.beside(seen).narrowed()
            views.update({name: fusion.encode(narrowed) for name, fusion in self.fusions.items()})
        return views

    def save(self, folder: Path) -> None:
        """Write one folder for each encoder, and three files for each fusion."""
        for name, encoder in self.encoders.items():
            (folder / name).mkdir()
            encoder.save(folder / name)
        for name, fusion in self.fusions.items():
            save_fusion(folder, fusion, name)

    @classmethod
    def load(cls, folder: Path, types: Mapping[str, str]) -> Member:
        """Read what `save` wrote. Raises `ValueError` naming a missing or damaged file."""
        encoders = {name: resolve(kind).load(folder / name) for name, kind in types.items()}
        names = sorted(file.stem for file in folder.glob(f"{FUSION_VIEW}*.json"))
        return cls(encoders, types, {name: load_fusion(folder, name) for name in names})


def fusion_view(number: int) -> str:
    """What the view of that one of several fusions is called."""
    return f"{FUSION_VIEW} {number + 1}" if number else FUSION_VIEW


def save_fusion(folder: Path, fusion: Fused, name: str = FUSION_VIEW) -> None:
    """Write `name`.json, `name`.safetensors and `name`.onnx into an existing folder."""
    (folder / f"{name}.json").write_text(json.dumps(asdict(fusion.config), indent=1), "utf-8")
    save_arrays(folder / f"{name}.safetensors", fusion.gates)
    fusion.blocks.save(folder / f"{name}.onnx")


def load_fusion(folder: Path, name: str = FUSION_VIEW) -> Fused:
    """Read what `save_fusion` wrote. Raises `ValueError` when it is damaged."""
    gates, blocks = load_arrays(folder / f"{name}.safetensors"), OnnxLayers.load(folder / f"{name}.onnx")
    try:
        return Fused(FusionConfig(**json.loads((folder / f"{name}.json").read_text("utf-8"))), gates, blocks)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{folder / name}.json, {name}.safetensors and {name}.onnx do not fit: {error}") from error


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
