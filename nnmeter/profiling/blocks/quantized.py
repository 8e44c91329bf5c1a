"""Turns a float network under construction into an 8-bit one, in the two ways in which ONNX models are quantized.

Static (QDQ), as calibration tools write it:
1. An activation that a quantizable operator reads or writes goes through QuantizeLinear and DequantizeLinear once.
2. A convolution or Gemm whose only reader is a ReLU or Clip is not split from it; the activation's output is quantized.
3. Weights are int8 initializers behind DequantizeLinear, by channel or by tensor; biases are int32.

Dynamic: each input of a product with a constant matrix (or of a convolution) goes through DynamicQuantizeLinear, the
product is MatMulInteger or ConvInteger, then Cast, Mul by the two scales, and Add of the bias.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx

from nnmeter.profiling.blocks.builder import FLOAT, INT8, INT32, UINT8, NetworkBuilder, Tensor
from nnmeter.profiling.blocks.operators import add, mul, reshape

_CORE = frozenset({"Conv", "MatMul", "Gemm", "Add", "MaxPool", "AveragePool", "GlobalAveragePool", "Concat"})
_FULL = _CORE | {
    "Mul",
    "Reshape",
    "Transpose",
    "Resize",
    "Relu",
    "Clip",
    "Split",
    "Squeeze",
    "Softmax",
    "Sigmoid",
    "LeakyRelu",
}
_FULL |= {"Flatten", "Slice", "Pad"}
_BINARY = frozenset({"Add", "Mul"})
_ABSORBED = frozenset({"Relu", "Clip"})
_ABSORBING = frozenset({"Conv", "Gemm", "Add"})
_WEIGHTED = frozenset({"Conv", "Gemm", "MatMul"})

STATIC_SOURCES = {
    "plain": 2.0, "residual_basic": 5.0, "residual_bottleneck": 6.0, "residual_grouped": 3.0, "inverted_residual": 8.0,
    "separable": 4.0, "shuffle_split": 2.0, "fire": 1.5, "inception": 2.0, "aggregation": 2.0, "dense": 1.0,
    "chain": 1.0, "feature_pyramid": 1.0, "atrous": 1.0, "encoder": 3.0, "plain_vit": 4.0, "decoder": 1.5,
    "convnext": 2.0, "perceptron": 1.0, "token_layers": 1.0,
}  # fmt: skip
"""Families that are quantized statically, with their weights."""

DYNAMIC_SOURCES = {
    "encoder": 6.0, "decoder": 3.0, "gated_decoder": 3.0, "plain_vit": 3.0, "token_layers": 3.0, "perceptron": 2.0,
    "token_mixer": 1.0, "sequence_to_sequence": 2.0, "audio": 1.0, "residual_basic": 0.7, "inverted_residual": 0.7,
}  # fmt: skip
"""Families that are quantized dynamically, with their weights."""


def quantize_static(b: NetworkBuilder) -> None:
    """Rewrites the builder's nodes into the QDQ form."""
    chosen = _FULL if b.rng.random() < 0.6 else _CORE
    nodes, b.nodes = b.nodes, []
    readers = Counter(name for node in nodes for name in node.input)
    followers = {name: node.op_type for node in nodes for name in node.input}
    quantizer = _StaticQuantizer(b, nodes)
    for node in nodes:
        active = [i for i, name in enumerate(node.input) if name and name not in quantizer.constants]
        taken = node.op_type in chosen and len(active) >= (2 if node.op_type in _BINARY else 1)
        for i in active:
            held = node.op_type in _ABSORBED and node.input[i] not in quantizer.replaced
            node.input[i] = quantizer.activation(node.input[i], make=taken and not held)
        if taken and node.op_type in _WEIGHTED:
            quantizer.weights(node)
        b.nodes.append(node)
        for name in node.output:
            absorbed = readers[name] == 1 and node.op_type in _ABSORBING and followers[name] in _ABSORBED & chosen
            if taken and not absorbed:
                quantizer.activation(name, make=True)


class _StaticQuantizer:
    """Makes the QuantizeLinear and DequantizeLinear nodes of one network and remembers which tensors have them."""

    def __init__(self, b: NetworkBuilder, nodes: list[onnx.NodeProto]) -> None:
        self.b = b
        self.constants = b.constant_names
        self.replaced: dict[str, str] = {}
        self._kind = UINT8 if b.rng.random() < 0.7 else INT8
        self._by_channel = b.rng.random() < 0.7
        self._rectified = {name for node in nodes if node.op_type in _ABSORBED for name in node.output}
        self._scales: dict[str, float] = {}

    def activation(self, name: str, *, make: bool) -> str:
        """The dequantized stand-in of a tensor, made if wanted; behind ReLU or Clip zero is the least value."""
        b, x = self.b, self.b.tensors[name]
        if name in self.replaced or not make or x.dtype != FLOAT:
            return self.replaced.get(name, name)
        bounded = name in self._rectified
        value = 6.0 / 255.0 if bounded else b.rng.choice((0.015, 0.02, 0.03, 0.05))
        least = 0 if self._kind == UINT8 else -128
        scale = b.scalar(value)
        zero = b.constant(least if bounded else least + b.rng.choice((114, 128, 128)), self._kind)
        q = b.node("QuantizeLinear", [x, scale, zero], x.shape, dtype=self._kind)
        whole = b.node("DequantizeLinear", [q, scale, zero], x.shape, dtype=FLOAT)
        self.replaced[name] = whole.name
        self._scales[whole.name] = value
        return whole.name

    def weights(self, node: onnx.NodeProto) -> None:
        """Replaces a node's weight and bias by dequantized integers; a bias has the product of the other two scales."""
        tensor = self.b.tensors[node.input[1]]
        if tensor.name not in self.constants:
            return
        axis = 0 if node.op_type == "Conv" or _transposed(node) else len(tensor.shape) - 1
        rows = tensor.shape[axis]
        steps = np.full(rows if self._by_channel else (), 0.002, np.float32)
        if self._by_channel:
            steps *= 1.0 + 0.2 * np.sin(np.arange(rows, dtype=np.float32))
        node.input[1] = self._integers(tensor, steps, INT8, axis)
        if len(node.input) > 2:
            product = np.float32(self._scales[node.input[0]]) * steps
            node.input[2] = self._integers(self.b.tensors[node.input[2]], product, INT32, 0)

    def _integers(self, tensor: Tensor, steps: np.ndarray, dtype: int, axis: int) -> str:
        b = self.b
        values = b.weight(tensor.shape, dtype=dtype, scale=100.0)
        zero = b.constant(np.zeros(steps.shape), dtype)
        extra = {"axis": axis} if steps.shape else {}
        inputs = [values, b.constant(steps, FLOAT), zero]
        return b.node("DequantizeLinear", inputs, tensor.shape, dtype=FLOAT, flops=0, **extra).name


def quantize_dynamic(b: NetworkBuilder) -> None:
    """Rewrites products with constant matrices, and in some networks convolutions, into dynamically quantized ones."""
    constants = b.constant_names
    convolutions = b.rng.random() < 0.4
    kind = INT8 if b.rng.random() < 0.7 else UINT8
    nodes, b.nodes = b.nodes, []
    quantized: dict[str, list[Tensor]] = {}
    for node in nodes:
        weight = b.tensors.get(node.input[1]) if len(node.input) > 1 else None
        fixed = weight is not None and weight.name in constants and node.input[0] not in constants
        if (
            weight is None
            or not fixed
            or node.op_type not in _WEIGHTED
            or (node.op_type == "Conv" and not convolutions)
        ):
            b.nodes.append(node)
            continue
        x = b.tensors[node.input[0]]
        if x.name not in quantized:
            quantized[x.name] = b.node_with_outputs(
                "DynamicQuantizeLinear", [x], [x.shape, (), ()], dtypes=[UINT8, FLOAT, UINT8], flops=3.0 * x.elements
            )
        _integer_product(b, node, weight, quantized[x.name], kind)


def _integer_product(b: NetworkBuilder, node: onnx.NodeProto, weight: Tensor, x: list[Tensor], kind: int) -> None:
    """MatMulInteger or ConvInteger in place of `node`, scaled back to float, under the old output name."""
    output = b.tensors[node.output[0]]
    conv = node.op_type == "Conv"
    dtype = UINT8 if conv else kind
    shape = weight.shape[::-1] if _transposed(node) else weight.shape
    integers = b.weight(shape, dtype=dtype)
    inputs = [x[0], integers, x[2], b.constant(128 if dtype == UINT8 else 0, dtype)]
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute} if conv else {}
    op_type = "ConvInteger" if conv else "MatMulInteger"
    y = b.node(op_type, inputs, output.shape, dtype=INT32, flops=0, **attributes)
    y = b.node("Cast", [y], y.shape, dtype=FLOAT, to=FLOAT)
    y = mul(b, y, mul(b, x[1], b.scalar(0.002)))
    if len(node.input) > 2:
        bias = b.tensors[node.input[2]]
        rank = len(output.shape)
        y = add(b, y, reshape(b, bias, (1, bias.shape[0], *[1] * (rank - 2))) if conv else bias)
    b.nodes[-1].output[0] = output.name


def _transposed(node: onnx.NodeProto) -> bool:
    return any(a.name == "transB" and a.i for a in node.attribute)
