from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from encoders import bert_runtime
from encoders.bert import BertEncoder
from encoders.bert_onnx import unsigned
from encoders.bert_runtime import OnnxRuntime
from encoders.bert_tables import Embeddings
from tests.encoders.tiny import save_tiny

IDS = np.array([[2, 17, 30, 41, 3], [2, 99, 3, 0, 0]])
MASK = IDS > 0


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    model = save_tiny("bert", tmp_path_factory.mktemp("bert"))
    BertEncoder(model=str(model), runtime="onnx", max_tokens=24).fit([]).save(folder)
    return folder


def last(runtime: OnnxRuntime, rows: slice = slice(None)) -> np.ndarray:
    hidden = runtime(IDS[rows], MASK[rows], top=True, below=[])
    assert hidden.last is not None
    return hidden.last


def test_weights_around_128_give_the_same_numbers_to_the_bit(saved: Path) -> None:
    model = (saved / "model.onnx").read_bytes()
    twin = unsigned(model)
    bytes_in = [one for one in onnx.load_model_from_string(twin).graph.initializer if one.name.endswith(".bytes")]
    assert {one.data_type for one in bytes_in} == {onnx.TensorProto.UINT8}
    embeddings = Embeddings.load(saved)
    assert np.array_equal(last(OnnxRuntime(model, embeddings)), last(OnnxRuntime(twin, embeddings)))


def test_a_processor_that_saturates_gets_the_slower_weights(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = onnx.load(saved / "model.onnx")
    due = next(one for one in model.graph.initializer if one.name == "probe.due")
    due.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(due) + 1, due.name))  # as if the product were too small
    embeddings = Embeddings.load(saved)
    expected = last(OnnxRuntime((saved / "model.onnx").read_bytes(), embeddings))
    rewritten = []
    monkeypatch.setattr(bert_runtime, "unsigned", lambda given: rewritten.append(given) or unsigned(given))
    slower = OnnxRuntime(model.SerializeToString(), embeddings)
    assert rewritten == [model.SerializeToString()]
    assert np.array_equal(last(slower), expected)


def test_the_probe_sees_sixteen_bits_overflow(saved: Path) -> None:
    constants = {one.name: numpy_helper.to_array(one) for one in onnx.load(saved / "model.onnx").graph.initializer}
    state, weight = (constants[f"probe.{name}"].astype(np.int64) for name in ("state", "bytes"))
    pairs = (state[:, :, None] * weight[None]).reshape(4, 2, 2, 4).sum(axis=2)  # what vpmaddubsw adds up
    saturated = np.clip(pairs, -(2**15), 2**15 - 1).sum(axis=1) - 128 * weight.sum(axis=0)
    exact = state @ weight - 128 * weight.sum(axis=0)
    assert saturated.max() < constants["probe.due"][0] < exact.min()


def test_a_text_does_not_depend_on_its_batch(saved: Path) -> None:
    runtime = OnnxRuntime.load(saved)
    assert np.array_equal(last(runtime)[:1], last(runtime, slice(0, 1)))


def test_a_row_of_zeros_stays_finite(saved: Path) -> None:
    model = onnx.load(saved / "model.onnx")
    for one in model.graph.initializer:
        if one.name.endswith("LayerNorm.bias") or one.name.endswith("LayerNorm.weight"):
            one.CopyFrom(numpy_helper.from_array(np.zeros_like(numpy_helper.to_array(one)), one.name))
    inputs = {"embeddings": np.zeros((1, 2, 32), np.float32), "mask": np.ones((1, 2), np.int32)}
    zero = bert_runtime._session(model.SerializeToString()).run(["hidden.3"], inputs)[0]
    assert np.array_equal(zero, np.zeros_like(zero))
