"""A BERT-shaped encoder, or some of its layers, for ONNX Runtime: written node by node, without tracing or torch.

A linear layer multiplies integers: its weights have 8 bits with a scale for each output, and each row of a state, which
is one subword, is rounded to 8 bits with a scale of its own. Unlike dynamic quantisation with one scale per tensor, the
result for a text does not depend on what else is in the batch. Integers of this kind can be multiplied about three
times as fast as `com.microsoft.MatMulNBits` multiplies weights in blocks, which are a little nearer to the original
(cosine .9999 instead of .998). The word embeddings stay outside the graph (`bert_tables`).

Processors without instructions for it (VNNI on x86) add two products in 16 bits, which these bytes exceed. The output
`EXACT` tells whether this one does; `unsigned` rewrites the weights for a slower product that is the same everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from encoders.bert_tables import quantise_rows
from encoders.bert_weights import Architecture, TopLayers, distances
from encoders.features import FloatArray

if TYPE_CHECKING:
    from onnx import NodeProto, TensorProto, ValueInfoProto

CONTRIB = "com.microsoft"
ACTIVATION_NODES = {"gelu": (CONTRIB, "Gelu"), "gelu_new": (CONTRIB, "FastGelu"), "relu": ("", "Relu")}
LAST_FOUR, HIDDEN, EXACT = "last4", "hidden", "exact"
OPSET, IR_VERSION = 17, 8
STEPS, ZERO = 127, 128  # a state's largest number, and the byte that stands for none
LEAST = np.float32(1e-12)  # keeps a row of zeros from being divided by zero
WEIGHT, WEIGHT_ZERO = ".bytes", "weight.zero"


def hidden_name(layer: int) -> str:
    """The graph's output that goes into layer `layer`, counted from 0; the number of layers gives the last state."""
    return f"hidden.{layer}"


def export(architecture: Architecture, tensors: Mapping[str, FloatArray]) -> bytes:
    """The encoder above its embeddings as a serialised ONNX model.

    Inputs: `embeddings` [B, S, E] float32 (word + position + type, before the layer norm), `mask` [B, S] int32.
    Outputs: `hidden.0` ... `hidden.L` [B, S, H], `last4` [B, S, H], the mean of the last four layers' states, and
    `exact` [1], whether this processor multiplies these bytes as it should.
    """
    graph = _Graph(tensors, architecture)
    states = [graph.embeddings(architecture.embedding != architecture.hidden)]
    graph.weigh(distances(tensors), states[0])
    for layer in range(architecture.layers):
        states.append(graph.layer(layer, states[-1], hidden_name(layer + 1)))
    graph.node("Mean", states[1:][-4:], LAST_FOUR)
    inputs = {"embeddings": architecture.embedding}
    return graph.serialised(inputs, dict.fromkeys([*states, LAST_FOUR], architecture.hidden))


def export_layers(top: TopLayers) -> bytes:
    """Some layers alone as a serialised ONNX model.

    Inputs: `states` [B, S, H] float32, `mask` [B, S] int32. Outputs: `hidden` [B, S, H], and `exact` [1] as above.
    """
    tensors = {
        f"encoder.layer.{i}.{name}": array for i, layer in enumerate(top.layers) for name, array in layer.items()
    }
    graph, state, width = _Graph(tensors, top), "states", len(top.layers[0]["output.LayerNorm.bias"])
    graph.weigh(top.distances, state)
    for i in range(len(top.layers)):
        state = graph.layer(i, state, HIDDEN if i + 1 == len(top.layers) else hidden_name(i + 1))
    return graph.serialised({"states": width}, {HIDDEN: width})


def unsigned(model: bytes) -> bytes:
    """The same model with weights as bytes around 128: the same numbers, multiplied without the 16-bit sums."""
    import onnx
    from onnx import numpy_helper

    found = onnx.load_model_from_string(model)
    for constant in found.graph.initializer:
        if constant.name.endswith(WEIGHT) or constant.name == WEIGHT_ZERO:
            values = numpy_helper.to_array(constant).view(np.uint8) ^ np.uint8(ZERO)
            constant.CopyFrom(numpy_helper.from_array(values, constant.name))
    serialised: bytes = found.SerializeToString()
    return serialised


class _Graph:
    """Nodes and constants of one encoder under construction."""

    def __init__(self, tensors: Mapping[str, FloatArray], shape: Architecture | TopLayers) -> None:
        self.tensors, self.shape = tensors, shape
        self.apart: list[str] = []
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self.constant("state.steps", np.array([STEPS], np.float32))
        self.constant("state.unit", np.array(1, np.float32))
        self.constant("state.step", np.array(1 / STEPS, np.float32))
        self.constant("state.least", np.array([LEAST], np.float32))
        self.constant("state.zero", np.array(ZERO, np.uint8))
        self.constant(WEIGHT_ZERO, np.array(0, np.int8))

    def node(self, kind: str, inputs: list[str], output: str, domain: str = "", **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [output], domain=domain, **attributes))
        return output

    def constant(self, name: str, values: NDArray[Any]) -> str:
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def serialised(self, inputs: Mapping[str, int], outputs: Mapping[str, int]) -> bytes:
        """The model: names of float inputs and outputs [B, S, width] with their widths; `mask` and `EXACT` besides."""
        from onnx import helper

        self.probe()

        def values(widths: Mapping[str, int]) -> list[ValueInfoProto]:
            kind = helper.TensorProto.FLOAT
            return [helper.make_tensor_value_info(name, kind, ["B", "S", width]) for name, width in widths.items()]

        mask = helper.make_tensor_value_info("mask", helper.TensorProto.INT32, ["B", "S"])
        exact = helper.make_tensor_value_info(EXACT, helper.TensorProto.BOOL, [1])
        graph = helper.make_graph(
            self.nodes, "encoder", [*values(inputs), mask], [*values(outputs), exact], self.constants
        )
        versions = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, 1)]
        found: bytes = helper.make_model(graph, opset_imports=versions, ir_version=IR_VERSION).SerializeToString()
        return found

    def embeddings(self, project: bool) -> str:
        """Layer norm over the summed embeddings, then the projection if there is one."""
        name = "embeddings.LayerNorm"
        inputs = ["embeddings", *self.pair(name)]
        output = name if project else hidden_name(0)
        self.node("LayerNormalization", inputs, output, axis=-1, epsilon=self.shape.epsilon)
        return self.linear("embeddings_project", self.rounded(output), hidden_name(0)) if project else output

    def weigh(self, distances: FloatArray | None, state: str) -> None:
        """What attention adds by distance, for as many places as `state` has: [1, h, S, S]; nothing without."""
        if distances is None:
            return
        reach = len(distances) // 2
        whole = {name: self.constant(f"apart.{name}", np.array(value)) for name, value in (("zero", 0), ("one", 1))}
        ends = [self.constant(f"apart.{name}", np.array(end)) for name, end in (("left", -reach), ("right", reach))]
        first, second = (self.constant(f"apart.axis{axis}", np.array([axis])) for axis in (0, 1))
        sizes = self.node("Shape", [state], "apart.sizes")
        length = self.node("Gather", [sizes, whole["one"]], "apart.length")
        place = self.node("Range", [whole["zero"], length, whole["one"]], "apart.place")
        key = self.node("Unsqueeze", [place, first], "apart.key")  # [1, S]
        query = self.node("Unsqueeze", [place, second], "apart.query")  # [S, 1]
        distance = self.node("Sub", [key, query], "apart.distance")
        distance = self.node("Clip", [distance, *ends], "apart.clipped")
        row = self.node("Add", [distance, ends[1]], "apart.row")
        table = self.constant("apart.table", distances.T)  # [h, 2 * reach + 1]
        found = self.node("Gather", [table, row], "apart.gathered", axis=1)  # [h, S, S]
        self.apart = [self.node("Unsqueeze", [found, first], "apart")]

    def layer(self, index: int, state: str, output: str) -> str:
        """Self-attention and feed-forward, each added to its input and normalised. Every tensor is [B, S, H or F]."""
        base = f"encoder.layer.{index}"
        rows = self.rounded(state)
        heads = [self.linear(f"{base}.attention.self.{part}", rows) for part in ("query", "key", "value")]
        inputs = [*heads, "", "mask", *self.apart]
        attended = self.node("MultiHeadAttention", inputs, f"{base}.attended", CONTRIB, num_heads=self.shape.heads)
        attended = self.linear(f"{base}.attention.output.dense", self.rounded(attended))
        middle = self.add_and_norm(f"{base}.attention.output.LayerNorm", attended, state, f"{base}.middle")
        domain, activation = ACTIVATION_NODES[self.shape.activation]
        wide = self.linear(f"{base}.intermediate.dense", self.rounded(middle))
        wide = self.node(activation, [wide], f"{base}.wide", domain)
        narrow = self.linear(f"{base}.output.dense", self.rounded(wide))
        return self.add_and_norm(f"{base}.output.LayerNorm", narrow, middle, output)

    def pair(self, name: str) -> list[str]:
        """Weight and bias of a layer norm as constants."""
        return [self.constant(f"{name}.{kind}", self.tensors[f"{name}.{kind}"]) for kind in ("weight", "bias")]

    def add_and_norm(self, name: str, state: str, skip: str, output: str) -> str:
        # not `Add`: it would be fused to a `SkipLayerNormalization`, which takes four times as long as the two
        total = self.node("Sum", [state, skip], f"{name}.sum")
        return self.node("LayerNormalization", [total, *self.pair(name)], output, axis=-1, epsilon=self.shape.epsilon)

    def rounded(self, state: str) -> tuple[str, str]:
        """Rows of `state` as bytes, each from -127 to 127 of its largest number, and those numbers [B, S, 1]."""
        highest = self.node("ReduceMax", [state], f"{state}.highest", axes=[-1], keepdims=1)
        lowest = self.node("ReduceMin", [state], f"{state}.lowest", axes=[-1], keepdims=1)
        below = self.node("Neg", [lowest], f"{state}.below")
        largest = self.node("Max", [highest, below, "state.least"], f"{state}.largest")
        factor = self.node("Div", ["state.steps", largest], f"{state}.factor")
        scaled = self.node("Mul", [state, factor], f"{state}.scaled")
        return self.node("QuantizeLinear", [scaled, "state.unit", "state.zero"], f"{state}.bytes"), largest

    def linear(self, name: str, rows: tuple[str, str], output: str = "") -> str:
        """Rounded rows times the transposed 8-bit weight, plus the bias."""
        scales, quantised = quantise_rows(self.tensors[f"{name}.weight"])
        integers, largest = rows
        inputs = [integers, self.constant(f"{name}{WEIGHT}", quantised.T), "state.step"]
        inputs += [self.constant(f"{name}.scales", scales), "state.zero", WEIGHT_ZERO]
        product = self.node("MatMulIntegerToFloat", inputs, f"{name}.product", CONTRIB)
        product = self.node("Mul", [product, largest], f"{name}.scaled")
        # of three dimensions: one of one would be fused with the Gelu behind it, which then takes ten times as long
        bias = self.constant(f"{name}.bias", self.tensors[f"{name}.bias"].reshape(1, 1, -1))
        return self.node("Add", [product, bias], output or f"{name}.out")

    def probe(self) -> None:
        """`EXACT`: whether the largest bytes times the largest weights give what they should."""
        ones = np.ones((4, 4), np.int8)
        inputs = [
            self.constant("probe.state", ones.view(np.uint8) * np.uint8(255)),
            self.constant(f"probe{WEIGHT}", ones * np.int8(STEPS)),
        ]
        inputs += ["state.unit", self.constant("probe.scales", np.ones(4, np.float32)), "state.zero", WEIGHT_ZERO]
        product = self.node("MatMulIntegerToFloat", inputs, "probe.product", CONTRIB)
        least = self.node("ReduceMin", [product], "probe.least", axes=[0, 1], keepdims=0)
        due = self.constant("probe.due", np.array([4 * (255 - ZERO) * STEPS - 0.5], np.float32))
        self.node("Less", [due, least], EXACT)
