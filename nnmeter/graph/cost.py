"""FLOPs and bytes of every operator.

Rules:

1. One multiply-add is two FLOPs. Padding is computed like data, as runtimes do in their inner loops.
2. Element-wise operators count per output element what `_PER_ELEMENT` says: 1 for arithmetic and comparison, more for
   those that runtimes evaluate as polynomials or by several primitives (exp, erf, tanh: 10).
3. Bytes read are those of all inputs once, weights included, except: an operator that selects (Gather, Slice, Split, ...)
   reads what it returns and its indices; bytes written are those of all outputs.
4. Reshape and its kin compute nothing and move nothing.
5. Batch, width, groups, rank and element type enter through the types; dilation changes which elements a convolution
   touches, not how many.
6. An operator without a rule counts one FLOP an output element and all its bytes (`has_cost_rule` tells).

Example: a 3x3 convolution from 64 to 128 channels with 2 groups on a 28x28 output is
`2 * 128 * 28 * 28 * (64 / 2) * 9 = 57,802,752` FLOPs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import log2
from typing import TYPE_CHECKING, Any, NamedTuple

from nnmeter.graph.ir import TensorType

if TYPE_CHECKING:
    from nnmeter.graph.ir import Graph


class Cost(NamedTuple):
    """What an operator computes and moves."""

    flops: int
    bytes_read: int
    bytes_written: int


Types = Sequence["TensorType | None"]
_FlopRule = Callable[[Mapping[str, Any], Types, Sequence[TensorType]], float]


def operator_cost(
    op_type: str,
    domain: str,
    attributes: Mapping[str, Any],
    inputs: Types,
    outputs: Sequence[TensorType],
) -> Cost:
    """Cost of one operator.

    Args:
        op_type: operator, also those of com.microsoft and com.microsoft.nchwc.
        domain: its domain; operators of one name cost alike in all domains.
        attributes: its attributes.
        inputs: types of the inputs, None for an absent optional one.
        outputs: types of the outputs.
    """
    if op_type in _FREE:
        return Cost(0, 0, 0)
    rule = _FLOPS.get(op_type)
    flops = rule(attributes, inputs, outputs) if rule is not None else float(sum(t.elements for t in outputs))
    written = sum(t.bytes for t in outputs)
    if op_type in _SELECTING:
        read = written + sum(t.bytes for t in inputs[1:] if t is not None)
    else:
        read = sum(t.bytes for t in inputs if t is not None)
    return Cost(int(flops), read, written)


def has_cost_rule(op_type: str, domain: str = "") -> bool:
    """Whether an operator's FLOPs follow a rule of its own (rule 6)."""
    return op_type in _FLOPS or op_type in _FREE


def parameters(graph: Graph) -> int:
    """Number of elements in the graph's initializers that some operator reads."""
    used = {name for node in graph.nodes for name in node.inputs}
    return sum(graph.types[name].elements for name in graph.initializers if name in used)


def _shape(types: Types, position: int) -> tuple[int, ...]:
    if position < len(types):
        tensor = types[position]
        if tensor is not None:
            return tensor.shape
    return ()


def _product(sizes: Sequence[int]) -> int:
    result = 1
    for size in sizes:
        result *= size
    return result


def _out_elements(outputs: Sequence[TensorType]) -> int:
    return outputs[0].elements if outputs else 0


def _in_elements(inputs: Types) -> int:
    first = inputs[0] if inputs else None
    return first.elements if first is not None else 0


def _convolution(weight: int, bias: int) -> _FlopRule:
    def rule(attributes: Mapping[str, Any], inputs: Types, outputs: Sequence[TensorType]) -> float:
        w = _shape(inputs, weight)
        elements = _out_elements(outputs)
        per_output = 2 * _product(w[1:]) + (1 if _shape(inputs, bias) else 0)
        return elements * (per_output + (1 if _shape(inputs, 3) and weight == 1 else 0))

    return rule


def _transposed_convolution(attributes: Mapping[str, Any], inputs: Types, outputs: Sequence[TensorType]) -> float:
    w = _shape(inputs, 1)
    bias = _out_elements(outputs) if _shape(inputs, 2) else 0
    return 2 * _in_elements(inputs) * _product(w[1:]) + bias


def _matmul(left: int) -> _FlopRule:
    def rule(attributes: Mapping[str, Any], inputs: Types, outputs: Sequence[TensorType]) -> float:
        a = _shape(inputs, left)
        if not a:
            return 0.0
        depth = a[-2] if attributes.get("transA", 0) and len(a) > 1 else a[-1]
        return 2 * _out_elements(outputs) * depth

    return rule


def _gemm(attributes: Mapping[str, Any], inputs: Types, outputs: Sequence[TensorType]) -> float:
    a = _shape(inputs, 0)
    depth = (a[0] if attributes.get("transA", 0) else a[-1]) if a else 0
    return _out_elements(outputs) * (2 * depth + (1 if _shape(inputs, 2) else 0))


def _einsum(attributes: Mapping[str, Any], inputs: Types, outputs: Sequence[TensorType]) -> float:
    equation = str(attributes.get("equation", "")).replace(" ", "")
    sizes: dict[str, int] = {}
    for term, tensor in zip(equation.split("->")[0].split(","), inputs, strict=False):
        if tensor is not None and "." not in term:
            sizes.update(zip(term, tensor.shape, strict=False))
    return (2 if len(inputs) > 1 else 1) * _product(list(sizes.values()) or [_out_elements(outputs)])


def _pool(attributes: Mapping[str, Any], inputs: Types, outputs: Sequence[TensorType]) -> float:
    return _out_elements(outputs) * _product(attributes.get("kernel_shape") or (1,))


def _whole_input(per_element: float) -> _FlopRule:
    return lambda attributes, inputs, outputs: per_element * _in_elements(inputs)


def _per_output(per_element: float) -> _FlopRule:
    return lambda attributes, inputs, outputs: per_element * _out_elements(outputs)


def _variadic(attributes: Mapping[str, Any], inputs: Types, outputs: Sequence[TensorType]) -> float:
    return max(len(inputs) - 1, 1) * _out_elements(outputs)


def _resize(attributes: Mapping[str, Any], inputs: Types, outputs: Sequence[TensorType]) -> float:
    mode = attributes.get("mode", "nearest")
    taps = {"nearest": 0, "cubic": 32}.get(mode, 8)
    return taps * _out_elements(outputs)


def _recurrent(gates: int) -> _FlopRule:
    def rule(attributes: Mapping[str, Any], inputs: Types, outputs: Sequence[TensorType]) -> float:
        x, r = _shape(inputs, 0), _shape(inputs, 2)
        if len(x) < 3 or len(r) < 3:
            return float(_out_elements(outputs))
        hidden = r[-1]
        return 2 * x[0] * x[1] * r[0] * gates * hidden * (x[2] + hidden) + 10 * x[0] * x[1] * r[0] * gates * hidden

    return rule


def _attention(attributes: Mapping[str, Any], inputs: Types, outputs: Sequence[TensorType]) -> float:
    q, k = _shape(inputs, 0), _shape(inputs, 1)
    batch, rows, width = (q[0], _product(q[1:-1]), q[-1]) if len(q) > 2 else (1, _product(q[:1]), q[-1] if q else 1)
    if len(q) == 4:  # [batch, heads, rows, head width]
        rows, width = q[2], q[1] * q[3]
    columns = k[-2] if len(k) > 2 else rows
    return batch * rows * columns * (4 * width + 12)


def _projected_attention(attributes: Mapping[str, Any], inputs: Types, outputs: Sequence[TensorType]) -> float:
    x, w = _shape(inputs, 0), _shape(inputs, 1)
    if len(x) < 3 or len(w) < 2:
        return float(_out_elements(outputs))
    return 2 * x[0] * x[1] * w[0] * w[1] + x[0] * x[1] * x[1] * (4 * w[1] // 3 + 12)


def _blocked_matmul(attributes: Mapping[str, Any], inputs: Types, outputs: Sequence[TensorType]) -> float:
    return 2 * _out_elements(outputs) * int(attributes.get("K") or _shape(inputs, 0)[-1])


def _sorting(attributes: Mapping[str, Any], inputs: Types, outputs: Sequence[TensorType]) -> float:
    elements = _in_elements(inputs)
    return elements * max(1.0, log2(max(elements, 2)))


def _skip_normalization(attributes: Mapping[str, Any], inputs: Types, outputs: Sequence[TensorType]) -> float:
    return 9 * _out_elements(outputs)


_PER_ELEMENT: dict[float, str] = {
    1: (
        "Add Sub Mul Div Mod Equal Greater Less GreaterOrEqual LessOrEqual And Or Xor Not BitShift BitwiseAnd BitwiseOr "
        "BitwiseXor BitwiseNot Where Relu Neg Abs Sign Floor Ceil Round IsNaN IsInf Cast CastLike Sqrt Reciprocal "
        "BiasAdd Dropout"
    ),
    2: "LeakyRelu PRelu Clip ThresholdedRelu Shrink HardSigmoid QuantizeLinear DequantizeLinear Softsign Rsqrt",
    3: "HardSwish QLinearAdd QLinearMul QLinearLeakyRelu RotaryEmbedding",
    10: (
        "Exp Log Pow Sin Cos Tan Asin Acos Atan Sinh Cosh Asinh Acosh Atanh Tanh Sigmoid Erf Elu Selu Celu Softplus "
        "QLinearSigmoid"
    ),
    12: "Gelu FastGelu QuickGelu BiasGelu Mish Swish AddGelu BiasSplitGelu",
}

_FREE = frozenset(
    "Reshape Squeeze Unsqueeze Flatten Identity Shape Size Constant Optional OptionalGetElement "
    "OptionalHasElement".split()
)

_SELECTING = frozenset(
    "Gather GatherElements GatherND Slice Split SplitToSequence Compress Crop CenterCropPad GatherBlockQuantized "
    "EmbedLayerNormalization".split()
)

_MOVING = (
    "Transpose Concat Split SplitToSequence Slice Pad Gather GatherElements GatherND Scatter ScatterElements ScatterND "
    "Tile Expand OneHot Compress QLinearConcat ConcatFromSequence Trilu EyeLike ConstantOfShape DepthToSpace "
    "SpaceToDepth ReverseSequence ReorderInput ReorderOutput Crop CenterCropPad Col2Im SequenceConstruct SequenceAt "
    "SequenceEmpty SequenceInsert SequenceErase SequenceLength MaxUnpool"
)

_FLOPS: dict[str, _FlopRule] = {
    **{op: _per_output(count) for count, ops in _PER_ELEMENT.items() for op in ops.split()},
    **{op: _per_output(0) for op in _MOVING.split()},
    "Min": _variadic, "Max": _variadic, "Sum": _variadic, "Mean": _variadic,
    "Conv": _convolution(1, 2), "FusedConv": _convolution(1, 2), "NhwcConv": _convolution(1, 2),
    "ConvInteger": _convolution(1, 99), "QLinearConv": _convolution(3, 8), "DeformConv": _convolution(1, 3),
    "ConvTranspose": _transposed_convolution,
    "MatMul": _matmul(0), "FusedMatMul": _matmul(0), "FusedMatMulActivation": _matmul(0), "TransposeMatMul": _matmul(0),
    "MatMulInteger": _matmul(0), "MatMulIntegerToFloat": _matmul(0), "DynamicQuantizeMatMul": _matmul(0),
    "QLinearMatMul": _matmul(0), "Gemm": _gemm, "FusedGemm": _gemm, "QGemm": _matmul(0),
    "MatMulNBits": _blocked_matmul, "MatMulBnb4": _blocked_matmul, "MatMulFpQ4": _blocked_matmul,
    "Einsum": _einsum,
    "MaxPool": _pool, "AveragePool": _pool, "LpPool": _pool, "QLinearAveragePool": _pool,
    "GlobalAveragePool": _whole_input(1), "GlobalMaxPool": _whole_input(1), "GlobalLpPool": _whole_input(3),
    "QLinearGlobalAveragePool": _whole_input(1), "MaxRoiPool": _whole_input(1), "RoiAlign": _per_output(40),
    "ReduceMean": _whole_input(1), "ReduceSum": _whole_input(1), "ReduceMax": _whole_input(1),
    "ReduceMin": _whole_input(1), "ReduceProd": _whole_input(1), "ReduceL1": _whole_input(2),
    "ReduceL2": _whole_input(2), "ReduceSumSquare": _whole_input(2), "ReduceLogSum": _whole_input(1),
    "ReduceLogSumExp": _whole_input(12), "ArgMax": _whole_input(1), "ArgMin": _whole_input(1),
    "CumSum": _whole_input(1), "QLinearReduceMean": _whole_input(1), "DynamicQuantizeLinear": _whole_input(4),
    "Softmax": _whole_input(13), "LogSoftmax": _whole_input(14), "Hardmax": _whole_input(2),
    "BiasSoftmax": _whole_input(14), "QLinearSoftmax": _whole_input(13),
    "LayerNormalization": _whole_input(8), "RMSNormalization": _whole_input(5),
    "SimplifiedLayerNormalization": _whole_input(5), "SkipLayerNormalization": _skip_normalization,
    "SkipSimplifiedLayerNormalization": _skip_normalization, "EmbedLayerNormalization": _per_output(10),
    "BatchNormalization": _whole_input(2), "InstanceNormalization": _whole_input(8), "GroupNormalization": _whole_input(8),
    "GroupNorm": _whole_input(8), "SkipGroupNorm": _whole_input(9), "LRN": _whole_input(20),
    "LpNormalization": _whole_input(4), "MeanVarianceNormalization": _whole_input(8),
    "Resize": _resize, "Upsample": _resize, "GridSample": _per_output(20), "AffineGrid": _per_output(8),
    "LSTM": _recurrent(4), "GRU": _recurrent(3), "RNN": _recurrent(1), "DynamicQuantizeLSTM": _recurrent(4),
    "Attention": lambda a, i, o: (_projected_attention if len(_shape(i, 1)) == 2 else _attention)(a, i, o),
    "QAttention": _projected_attention, "MultiHeadAttention": _attention, "GroupQueryAttention": _attention,
    "TopK": _sorting, "Unique": _sorting, "NonMaxSuppression": _sorting, "NonZero": _whole_input(1),
}  # fmt: skip
