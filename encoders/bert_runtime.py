"""What runs a pretrained encoder: the protocol, and ONNX Runtime for the BERT-shaped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from encoders.bert_onnx import LAST_FOUR, hidden_name
from encoders.bert_tables import Embeddings
from encoders.features import BoolArray, FloatArray

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

MODEL_FILE = "model.onnx"


@dataclass(frozen=True, slots=True)
class Hidden:
    """Hidden states of a padded batch, [B, S, H] float32; None when not asked for.

    Attributes:
        last: the last layer's.
        last4: the mean of the last four layers' (of all layers when there are fewer).
        below: what goes into the last n layers, for each of k n asked for, side by side: [B, S, k * H].
    """

    last: FloatArray | None = None
    last4: FloatArray | None = None
    below: FloatArray | None = None


class Runtime(Protocol):
    """Runs the encoder on padded batches."""

    @property
    def hidden(self) -> int:
        """H, the width of a state."""
        ...

    @property
    def layers(self) -> int:
        """L, how many layers there are."""
        ...

    def __call__(self, ids: NDArray[np.int64], mask: BoolArray, *, top: bool, below: Sequence[int]) -> Hidden:
        """Hidden states of ids [B, S].

        Args:
            ids: subword ids.
            mask: [B, S], true where an id counts.
            top: whether `last` and `last4` are wanted.
            below: for each n what goes into the last n layers.
        """
        ...

    def save(self, folder: Path) -> None:
        """Write all it needs."""
        ...


class OnnxRuntime:
    """8-bit weights in ONNX Runtime; several threads may call it.

    Args:
        model: serialised by `bert_onnx.export`.
        embeddings: the tables under it.
        threads: of one run; 0 lets ONNX Runtime take one a core.
    """

    def __init__(self, model: bytes, embeddings: Embeddings, threads: int = 0) -> None:
        self._model, self._embeddings, self._session = model, embeddings, _session(model, threads)
        outputs = self._session.get_outputs()
        self.hidden: int = outputs[0].shape[-1]
        self.layers = len(outputs) - 2

    def __call__(self, ids: NDArray[np.int64], mask: BoolArray, *, top: bool, below: Sequence[int]) -> Hidden:
        """Run a batch; see `Runtime`."""
        wanted = {"last": hidden_name(self.layers), "last4": LAST_FOUR} if top else {}
        lower = [hidden_name(self.layers - n) for n in below]
        names = list(dict.fromkeys([*wanted.values(), *lower]))
        inputs = {"embeddings": self._embeddings(ids), "mask": mask.astype(np.int32)}
        found = dict(zip(names, self._session.run(names, inputs), strict=True))
        side_by_side = np.concatenate([found[name] for name in lower], axis=2) if lower else None
        return Hidden(**{role: found[name] for role, name in wanted.items()}, below=side_by_side)

    def save(self, folder: Path) -> None:
        """Write model.onnx and embeddings.safetensors."""
        (folder / MODEL_FILE).write_bytes(self._model)
        self._embeddings.save(folder)

    @classmethod
    def load(cls, folder: Path, threads: int = 0) -> Self:
        """Read what `save` wrote. Raises `ValueError` naming the file that is missing or damaged."""
        file = folder / MODEL_FILE
        embeddings = Embeddings.load(folder)
        try:
            return cls(file.read_bytes(), embeddings, threads)
        except Exception as error:  # each fault of ONNX Runtime is a class of its own
            raise ValueError(f"{file} is missing or damaged: {error}") from error


def _session(model: bytes, threads: int) -> InferenceSession:
    import onnxruntime

    options: Any = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads leave the cores to others
    options.enable_cpu_mem_arena = False  # it keeps the memory of the largest batch for ever
    options.enable_mem_pattern = False  # shapes differ from batch to batch
    options.log_severity_level = 3  # errors are raised
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
