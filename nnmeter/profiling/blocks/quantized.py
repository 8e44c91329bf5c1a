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
    kind = UINT8 if b.rng.random() < 0.7 else INT8
    by_channel = b.rng.random() < 0.7
    constants = b.constant_names
    nodes, b.nodes = b.nodes, []
    readers = Counter(name for node in nodes for name in node.input)
    followers = {name: node.op_type for node in nodes for name in node.input}
    rectified = {name for node in nodes if node.op_type in _ABSORBED for name in node.output}
    replaced: dict[str, str] = {}

    def quantize(name: str) -> str:
        tensor = b.tensors[name]
        if name not in replaced and tensor.dtype == FLOAT:
            replaced[name] = _quantize_dequantize(b, tensor, kind, bounded=name in rectified).name
        return replaced.get(name, name)

    for node in nodes:
        active = [i for i, name in enumerate(node.input) if name and name not in constants]
        chosen_here = node.op_type in chosen and _all_active(node, active)
        for i in active:
            name = node.input[i]
            held = node.op_type in _ABSORBED and name not in replaced
            node.input[i] = quantize(name) if chosen_here and not held else replaced.get(name, name)
        if chosen_here and node.op_type in _WEIGHTED:
            _quantize_weights(b, node, constants, by_channel=by_channel)
        b.nodes.append(node)
        for name in node.output:
            absorbed = readers[name] == 1 and node.op_type in _ABSORBING and followers[name] in _ABSORBED & chosen
            if chosen_here and not absorbed:
                quantize(name)


def _all_active(node: onnx.NodeProto, active: list[int]) -> bool:
    """Binary element-wise operators are quantized only between two activations."""
    return len(active) >= (2 if node.op_type in ("Add", "Mul") else 1)


def _quantize_dequantize(b: NetworkBuilder, x: Tensor, kind: int, *, bounded: bool) -> Tensor:
    """A pair of nodes; behind ReLU or Clip (`bounded`) the zero point is the least value."""
    scale = b.scalar(6.0 / 255.0 if bounded else b.rng.choice((0.015, 0.02, 0.03, 0.05)))
    least = 0 if kind == UINT8 else -128
    zero = b.constant(least if bounded else least + b.rng.choice((114, 128, 128)), kind)
    q = b.node("QuantizeLinear", [x, scale, zero], x.shape, dtype=kind)
    return b.node("DequantizeLinear", [q, scale, zero], x.shape, dtype=FLOAT)


def _quantize_weights(b: NetworkBuilder, node: onnx.NodeProto, constants: set[str], *, by_channel: bool) -> None:
    """Replaces the weight and bias inputs of a node by dequantized 8- and 32-bit initializers."""
    for i, name in list(enumerate(node.input))[1:]:
        if name not in constants or b.tensors[name].dtype != FLOAT:
            continue
        tensor = b.tensors[name]
        bias = len(tensor.shape) == 1
        axis = 0 if bias or node.op_type == "Conv" or _transposed(node) else len(tensor.shape) - 1
        rows = tensor.shape[axis]
        dtype = INT32 if bias else INT8
        shape = (rows,) if by_channel else ()
        scale = b.weight(shape, 0.0002, mean=0.002, positive=True) if by_channel else b.scalar(0.002)
        zero = b.constant([0] * rows if by_channel else 0, dtype)
        values = b.weight(tensor.shape, dtype=dtype, scale=100.0)
        extra = {"axis": axis} if by_channel else {}
        whole = b.node("DequantizeLinear", [values, scale, zero], tensor.shape, dtype=FLOAT, flops=0, **extra)
        node.input[i] = whole.name


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
