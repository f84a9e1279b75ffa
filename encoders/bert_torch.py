"""Pretrained encoders in torch through transformers: every family that `AutoModel` loads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from encoders.bert_runtime import Hidden
from encoders.bert_weights import WORDS, Architecture, plain
from encoders.features import BoolArray, FloatArray

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class TorchRuntime:
    """A transformers model in evaluation mode, float32.

    Attributes:
        model: any `PreTrainedModel` that returns its hidden states.
        hidden: H.
        layers: L.
    """

    model: Any
    hidden: int
    layers: int

    @classmethod
    def of(cls, model: Any) -> Self:
        """Wrap a model; sizes come from its config."""
        return cls(model.float().eval(), int(model.config.hidden_size), int(model.config.num_hidden_layers))

    def __call__(self, ids: NDArray[np.int64], mask: BoolArray, *, top: bool, below: Sequence[int]) -> Hidden:
        """Run a batch; see `bert_runtime.Runtime`."""
        import torch

        with torch.inference_mode():
            found = self.model(
                input_ids=torch.from_numpy(ids),
                attention_mask=torch.from_numpy(mask).long(),
                output_hidden_states=True,
            )
            states = found.hidden_states[-self.layers - 1 :]  # L + 1 of [B, S, H]
            return Hidden(
                last=_numpy(states[-1]) if top else None,
                last4=_numpy(torch.stack(states[1:][-4:]).mean(dim=0)) if top else None,
                below=_numpy(torch.cat([states[self.layers - n] for n in below], dim=2)) if below else None,
            )

    def save(self, folder: Path) -> None:
        """Write config.json and model.safetensors."""
        with _quiet():
            self.model.save_pretrained(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a transformers folder; nothing is fetched.

        Raises:
            ValueError: if it is not one, or is damaged.
        """
        from transformers import AutoModel

        try:
            with _quiet():
                return cls.of(AutoModel.from_pretrained(folder, local_files_only=True))
        except Exception as error:  # transformers, safetensors and torch each raise their own
            raise ValueError(f"{folder} holds no transformers model that can be loaded: {error}") from error


def bert_model(architecture: Architecture, tensors: Mapping[str, FloatArray]) -> Any:
    """A `transformers.BertModel` without pooler from weights under its names (`model_type` bert only)."""
    import torch
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=len(tensors[WORDS]),
        hidden_size=architecture.hidden,
        num_hidden_layers=architecture.layers,
        num_attention_heads=architecture.heads,
        intermediate_size=architecture.feed_forward,
        hidden_act=architecture.activation,
        max_position_embeddings=architecture.positions,
        layer_norm_eps=architecture.epsilon,
    )
    model = BertModel(config, add_pooling_layer=False)
    model.load_state_dict({name: torch.from_numpy(np.array(tensor)) for name, tensor in tensors.items()})
    return model


def bert_tensors(model: Any) -> dict[str, FloatArray]:
    """A BERT-shaped model's weights as numpy arrays under `BertModel`'s names."""
    return {plain(name): _numpy(tensor.float()) for name, tensor in model.state_dict().items()}


def fast_tokenizer(folder: Path) -> Tokenizer:
    """The `tokenizers.Tokenizer` of a transformers folder.

    Raises:
        ValueError: if there is none with character offsets.
    """
    from transformers import AutoTokenizer

    try:
        with _quiet():
            found = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # each tokenizer raises its own
        raise ValueError(f"{folder} holds no tokenizer that can be loaded: {error}") from error
    if not found.is_fast:
        raise ValueError(f"the tokenizer in {folder} has no character offsets; expected one with a tokenizer.json")
    core: Tokenizer = found.backend_tokenizer
    return core


def _numpy(tensor: Tensor) -> FloatArray:
    array: FloatArray = tensor.detach().numpy()
    return array


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' progress bars and remarks; its settings are put back afterwards."""
    from transformers.utils import logging

    bars, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
