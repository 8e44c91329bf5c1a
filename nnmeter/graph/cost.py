"""FLOPs and bytes of every operator.

Rules:

1. One multiply-add is two FLOPs. Padding is computed like data, as runtimes do in their inner loops.
2. Element-wise operators count per output element what `_PER_OUTPUT` says: 1 for arithmetic and comparison, 10 for what
   runtimes evaluate as a polynomial or by several primitives (exp, erf, tanh). Reductions and normalizations count per
   input element what `_PER_INPUT` says.
3. Bytes read are those of all inputs once, weights included; bytes written are those of all outputs. An operator that
   selects (Gather, Slice, Split, ...) reads only what it returns, and its indices.
4. Reshape and its kin compute nothing and move nothing.
5. Batch, width, groups, rank and element type enter through the types; dilation changes which elements a convolution
   touches, not how many. Channels that a blocked layout adds are computed like others.
6. An operator without a rule counts one FLOP an output element and all its bytes (`has_cost_rule` tells).
7. If, Loop and Scan cost what their nested graphs cost, times the trip count, as shape inference noted it.

Example: a 3x3 convolution from 64 to 128 channels with 2 groups on a 28x28 output is
`2 * 128 * 28 * 28 * (64 / 2) * 9 = 57,802,752` FLOPs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import log2
from typing import TYPE_CHECKING, Any, NamedTuple

from nnmeter.graph.ir import DTYPE_BITS, TensorType

if TYPE_CHECKING:
    from nnmeter.graph.ir import Graph


class Cost(NamedTuple):
    """What an operator computes and moves."""

    flops: int
    bytes_read: int
    bytes_written: int


# Attributes in which shape inference leaves the cost of the graphs nested in If, Loop and Scan (rule 7).
NESTED_COST = ("nested_flops", "nested_bytes_read", "nested_bytes_written")

Attributes = Mapping[str, Any]
Types = Sequence[TensorType | None]
_FlopRule = Callable[[Attributes, Types, Sequence[TensorType]], float]


def operator_cost(
    op_type: str,
    domain: str,
    attributes: Attributes,
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
    if NESTED_COST[0] in attributes:
        return Cost(*[attributes[name] for name in NESTED_COST])
    rule = _FLOPS.get(op_type)
    flops = rule(attributes, inputs, outputs) if rule is not None else float(sum(t.elements for t in outputs))
    written = sum(t.bytes for t in outputs)
    if op_type in _SELECTING:
        read = _taken_bytes(inputs, outputs) + sum(t.bytes for t in inputs[1:] if t is not None)
    else:
        read = sum(t.bytes for t in inputs if t is not None)
    return Cost(int(flops), read, written)


def graph_cost(graph: Graph) -> Cost:
    """Cost of all operators of a graph together."""
    flops = read = written = 0
    for node in graph.nodes:
        cost = operator_cost(
            node.op_type,
            node.domain,
            node.attributes,
            [graph.types[name] if name else None for name in node.inputs],
            [graph.types[name] for name in node.outputs if name],
        )
        flops += cost.flops
        read += cost.bytes_read
        written += cost.bytes_written
    return Cost(flops, read, written)


def has_cost_rule(op_type: str, domain: str = "") -> bool:
    """Whether an operator's FLOPs follow a rule of its own (rule 6)."""
    return op_type in _FLOPS or op_type in _FREE


def parameters(graph: Graph) -> int:
    """Number of elements in the graph's initializers that some operator reads."""
    used = {name for node in graph.nodes for name in node.inputs}
    return sum(graph.types[name].elements for name in graph.initializers if name in used)


def _taken_bytes(inputs: Types, outputs: Sequence[TensorType]) -> int:
    """What a selecting operator reads of its first input: as many elements as it returns, at their stored width."""
    source = inputs[0] if inputs else None
    bits = DTYPE_BITS[source.dtype] if source is not None else 0
    return sum(t.elements for t in outputs) * bits // 8


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


def _convolution(weight: int, bias: int = -1, residual: int = -1) -> _FlopRule:
    """A convolution whose weights, bias and residual are these inputs."""

    def rule(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
        additions = sum(1 for position in (bias, residual) if position >= 0 and _shape(inputs, position))
        return _out_elements(outputs) * (2 * _product(_shape(inputs, weight)[1:]) + additions)

    return rule


def _transposed_convolution(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    bias = _out_elements(outputs) if _shape(inputs, 2) else 0
    return 2 * _in_elements(inputs) * _product(_shape(inputs, 1)[1:]) + bias


def _matmul(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    a = _shape(inputs, 0)
    if not a:
        return 0.0
    depth = a[-1]
    if attributes.get("transA", 0) and len(a) > 1:
        depth = a[0] if attributes.get("transBatchA", 0) else a[-2]
    return 2 * _out_elements(outputs) * depth


def _gemm(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    a = _shape(inputs, 0)
    depth = (a[0] if attributes.get("transA", 0) else a[-1]) if a else 0
    return _out_elements(outputs) * (2 * depth + (1 if _shape(inputs, 2) else 0))


def _blocked_matmul(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    return 2 * _out_elements(outputs) * int(attributes.get("K") or (_shape(inputs, 0) or (0,))[-1])


def _einsum(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    """A multiply-add for every combination of labels and every operand after the first."""
    left, _, right = str(attributes.get("equation", "")).replace(" ", "").partition("->")
    sizes: dict[str, int] = {}
    for term, tensor in zip(left.split(","), inputs, strict=False):
        if tensor is not None:
            head, dots, tail = term.partition("...")
            sizes.update(zip(head, tensor.shape, strict=False))
            if dots:
                sizes.update(zip(reversed(tail), reversed(tensor.shape), strict=False))
    summed = _product([size for label, size in sizes.items() if label not in right])
    return max(2 * (len(inputs) - 1), 1) * _out_elements(outputs) * summed


def _pool(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    return _out_elements(outputs) * _product(attributes.get("kernel_shape") or (1,))


def _variadic(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    return max(len(inputs) - 1, 1) * _out_elements(outputs)


def _resize(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    return _TAPS.get(attributes.get("mode", "nearest"), _TAPS["linear"]) * _out_elements(outputs)


_TAPS: dict[str, int] = {"nearest": 0, "linear": 8, "cubic": 32}


def _recurrent(gates: int) -> _FlopRule:
    """Products with input and state for every step, direction and gate; 10 an element for the gates' activations."""

    def rule(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
        x, r = _shape(inputs, 0), _shape(inputs, 2)
        if len(x) < 3 or len(r) < 3:
            return float(_out_elements(outputs))
        hidden = r[-1]
        return x[0] * x[1] * r[0] * gates * hidden * (2 * (x[2] + hidden) + 10)

    return rule


_SOFTMAX_FLOPS = 13  # an element: maximum, subtraction, exp (10), sum and division, the first two shared


def _attention(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    """Two products of queries with keys and values, and a softmax for every head; past keys count as keys."""
    q, k = _shape(inputs, 0), _shape(inputs, 1)
    if len(q) < 3:
        return float(_out_elements(outputs))
    heads = attributes.get("num_heads") or attributes.get("q_num_heads") or (q[1] if len(q) == 4 else 1)
    if len(q) == 5:  # [batch, rows, heads, 3, width of a head], keys and values packed with the queries
        batch, rows, width = q[0], q[1], q[2] * q[4]
    elif len(q) == 4:  # [batch, heads, rows, width of a head]
        batch, rows, width = q[0], q[2], q[1] * q[3]
    else:
        batch, rows, width = q
    columns = k[-2] if len(k) > 2 else rows
    if len(outputs) > 1 and len(outputs[1].shape) == 4:
        columns = max(columns, outputs[1].shape[2])
    return batch * rows * columns * (4 * width + _SOFTMAX_FLOPS * heads)


def _projected_attention(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    """Attention whose first step makes queries, keys and values with one matrix."""
    x, w = _shape(inputs, 0), _shape(inputs, 1)
    if len(x) < 3:
        return float(_out_elements(outputs))
    heads = attributes.get("num_heads", 1)
    columns = outputs[1].shape[3] if len(outputs) > 1 and len(outputs[1].shape) == 5 else x[1]
    width = _out_elements(outputs) // max(x[0] * x[1], 1)
    return x[0] * x[1] * (2 * w[0] * w[1] + columns * (4 * width + _SOFTMAX_FLOPS * heads))


def _any_attention(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    """`Attention` of com.microsoft takes the matrix, that of ai.onnx queries, keys and values."""
    return (_projected_attention if len(_shape(inputs, 1)) == 2 else _attention)(attributes, inputs, outputs)


def _sorting(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    elements = _in_elements(inputs)
    return elements * max(1.0, log2(max(elements, 2)))


def _per_output(count: float) -> _FlopRule:
    return lambda attributes, inputs, outputs: count * _out_elements(outputs)


def _per_input(count: float) -> _FlopRule:
    return lambda attributes, inputs, outputs: count * _in_elements(inputs)


_FREE_NAMES = (
    "Reshape Squeeze Unsqueeze Flatten Identity Shape Size Constant Dropout Optional OptionalGetElement "
    "OptionalHasElement SequenceLength SequenceEmpty"
)

_SELECTING_NAMES = (
    "Gather GatherElements GatherND Slice Split SplitToSequence SequenceAt Compress Crop CenterCropPad "
    "GatherBlockQuantized EmbedLayerNormalization ArrayFeatureExtractor"
)

_MOVING_NAMES = (
    "Transpose Concat Split SplitToSequence Slice Pad Gather GatherElements GatherND Scatter ScatterElements ScatterND "
    "Tile Expand OneHot Compress QLinearConcat ConcatFromSequence Trilu EyeLike ConstantOfShape DepthToSpace "
    "SpaceToDepth ReverseSequence ReorderInput ReorderOutput Crop CenterCropPad Col2Im SequenceConstruct SequenceAt "
    "SequenceInsert SequenceErase MaxUnpool TensorScatter ArrayFeatureExtractor"
)

_PER_OUTPUT: dict[float, str] = {
    0: _MOVING_NAMES,
    1: (
        "Add Sub Mul Div Mod Equal Greater Less GreaterOrEqual LessOrEqual And Or Xor Not BitShift BitwiseAnd "
        "BitwiseOr BitwiseXor BitwiseNot Where Relu Neg Abs Sign Floor Ceil Round IsNaN IsInf Cast CastLike Sqrt "
        "Reciprocal BiasAdd Range BitCast"
    ),
    2: (
        "LeakyRelu PRelu Clip ThresholdedRelu Shrink HardSigmoid QuantizeLinear DequantizeLinear Softsign Rsqrt "
        "GatherBlockQuantized"
    ),
    3: "HardSwish QLinearAdd QLinearMul QLinearLeakyRelu RotaryEmbedding QLinearWhere",
    8: "AffineGrid",
    9: "SkipLayerNormalization SkipSimplifiedLayerNormalization",
    10: (
        "Exp Log Pow Sin Cos Tan Asin Acos Atan Sinh Cosh Asinh Acosh Atanh Tanh Sigmoid Erf Elu Selu Celu Softplus "
        "QLinearSigmoid EmbedLayerNormalization RandomNormal RandomUniform RandomNormalLike RandomUniformLike Bernoulli"
    ),
    12: "Gelu FastGelu QuickGelu BiasGelu Mish Swish AddGelu BiasSplitGelu",
    20: "GridSample",
    40: "RoiAlign",
}

_PER_INPUT: dict[float, str] = {
    1: (
        "GlobalAveragePool GlobalMaxPool QLinearGlobalAveragePool MaxRoiPool ReduceMean ReduceSum ReduceMax ReduceMin "
        "ReduceProd ReduceLogSum ArgMax ArgMin CumSum CumProd QLinearReduceMean NonZero"
    ),
    2: "ReduceL1 ReduceL2 ReduceSumSquare Hardmax BatchNormalization",
    3: "GlobalLpPool",
    4: "LpNormalization DynamicQuantizeLinear",
    5: "RMSNormalization SimplifiedLayerNormalization",
    8: "LayerNormalization InstanceNormalization GroupNormalization GroupNorm MeanVarianceNormalization",
    9: "SkipGroupNorm",
    12: "ReduceLogSumExp",
    _SOFTMAX_FLOPS: "Softmax QLinearSoftmax",
    14: "LogSoftmax BiasSoftmax",
    20: "LRN",
}

_FREE = frozenset(_FREE_NAMES.split())
_SELECTING = frozenset(_SELECTING_NAMES.split())

_FLOPS: dict[str, _FlopRule] = {
    **{op: _per_output(count) for count, ops in _PER_OUTPUT.items() for op in ops.split()},
    **{op: _per_input(count) for count, ops in _PER_INPUT.items() for op in ops.split()},
    "Min": _variadic, "Max": _variadic, "Sum": _variadic, "Mean": _variadic,
    "Conv": _convolution(1, 2, 3), "FusedConv": _convolution(1, 2, 3), "NhwcConv": _convolution(1, 2),
    "NhwcFusedConv": _convolution(1, 2, 3), "ConvInteger": _convolution(1), "QLinearConv": _convolution(3, 8),
    "DeformConv": _convolution(1, 3), "ConvTranspose": _transposed_convolution,
    "MatMul": _matmul, "FusedMatMul": _matmul, "FusedMatMulActivation": _matmul, "TransposeMatMul": _matmul,
    "MatMulInteger": _matmul, "MatMulInteger16": _matmul, "MatMulIntegerToFloat": _matmul,
    "DynamicQuantizeMatMul": _matmul, "QLinearMatMul": _matmul, "QGemm": _matmul,
    "Gemm": _gemm, "FusedGemm": _gemm, "GemmFloat8": _gemm,
    "MatMulNBits": _blocked_matmul, "MatMulBnb4": _blocked_matmul, "MatMulFpQ4": _blocked_matmul,
    "Einsum": _einsum,
    "MaxPool": _pool, "AveragePool": _pool, "LpPool": _pool, "QLinearAveragePool": _pool, "NhwcMaxPool": _pool,
    "Resize": _resize, "Upsample": _resize,
    "LSTM": _recurrent(4), "GRU": _recurrent(3), "RNN": _recurrent(1), "DynamicQuantizeLSTM": _recurrent(4),
    "Attention": _any_attention, "QAttention": _projected_attention, "MultiHeadAttention": _attention,
    "GroupQueryAttention": _attention, "DecoderMaskedMultiHeadAttention": _attention,
    "TopK": _sorting, "Unique": _sorting, "NonMaxSuppression": _sorting, "DFT": _sorting,
}  # fmt: skip
