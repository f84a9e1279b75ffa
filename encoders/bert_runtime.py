"""What runs a pretrained encoder: the protocol, and ONNX Runtime for the BERT-shaped and for some of their layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from encoders.bert_onnx import EXACT, HIDDEN, LAST_FOUR, export_layers, hidden_name, unsigned
from encoders.bert_tables import Embeddings
from encoders.bert_weights import TopLayers
from encoders.features import BoolArray, FloatArray
from encoders.threads import limit

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

MODEL_FILE = "model.onnx"
Opened = TypeVar("Opened")


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
    """

    def __init__(self, model: bytes, embeddings: Embeddings) -> None:
        self._model, self._embeddings, self._session = model, embeddings, _exact_session(model)
        outputs = self._session.get_outputs()
        self.hidden: int = outputs[0].shape[-1]
        self.layers = len(outputs) - 3  # the first state, that of four layers, and `EXACT`
        _demand(self._session, {"embeddings", "mask"}, {LAST_FOUR, hidden_name(self.layers)})

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
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote. Raises `ValueError` naming the file that is missing or damaged."""
        embeddings = Embeddings.load(folder)
        return _read(folder / MODEL_FILE, lambda model: cls(model, embeddings))


class OnnxLayers:
    """Some layers of the BERT shape with 8-bit weights in ONNX Runtime; several threads may call it.

    Args:
        model: serialised by `bert_onnx.export_layers`.
    """

    def __init__(self, model: bytes) -> None:
        self._model, self._session = model, _exact_session(model)
        _demand(self._session, {"states", "mask"}, {HIDDEN})

    @classmethod
    def of(cls, top: TopLayers) -> Self:
        """From float weights, which are rounded."""
        return cls(export_layers(top))

    @property
    def hidden(self) -> int:
        """H, the width of a state."""
        width: int = self._session.get_inputs()[0].shape[-1]
        return width

    def __call__(self, states: FloatArray, mask: BoolArray) -> FloatArray:
        """States that come out [B, S, H], of those that go in; mask [B, S] is true where a state counts."""
        found: FloatArray = self._session.run([HIDDEN], {"states": states, "mask": mask.astype(np.int32)})[0]
        return found

    def save(self, file: Path) -> None:
        """Write the model."""
        file.write_bytes(self._model)

    @classmethod
    def load(cls, file: Path) -> Self:
        """Read what `save` wrote. Raises `ValueError` naming the file when it is missing or damaged."""
        return _read(file, cls)


def _demand(session: InferenceSession, inputs: set[str], outputs: set[str]) -> None:
    """Raises `ValueError` where a model is another than the one that is called with these inputs for these outputs."""
    taken, given = {one.name for one in session.get_inputs()}, {one.name for one in session.get_outputs()}
    if taken != inputs or not outputs <= given:
        raise ValueError(f"it takes {sorted(taken)} and gives {sorted(given)}, expected {sorted(inputs)}")


def _read(file: Path, opened: Callable[[bytes], Opened]) -> Opened:
    """What a file's bytes open as. Raises `ValueError` naming it when it is missing or damaged."""
    try:
        return opened(file.read_bytes())
    except Exception as error:  # each fault of ONNX Runtime is a class of its own
        raise ValueError(f"{file} is missing or damaged: {error}") from error


def _exact_session(model: bytes) -> InferenceSession:
    """A session of the model, or on a processor that would not multiply its bytes exactly of its slower twin."""
    session = _session(model)
    return session if _is_exact(session) else _session(unsigned(model))


def _is_exact(session: InferenceSession) -> bool:
    """Whether this processor multiplies the model's bytes exactly."""
    given = session.get_inputs()[0]
    nothing = {given.name: np.zeros((1, 1, given.shape[-1]), np.float32), "mask": np.ones((1, 1), np.int32)}
    return bool(session.run([EXACT], nothing)[0].all())


def _session(model: bytes) -> InferenceSession:
    import onnxruntime

    options: Any = onnxruntime.SessionOptions()
    options.intra_op_num_threads = limit()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads leave the cores to others
    options.enable_cpu_mem_arena = False  # it keeps the memory of the largest batch for ever
    options.enable_mem_pattern = False  # shapes differ from batch to batch
    options.log_severity_level = 3  # errors are raised
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
