"""Which operators treat slices alike, for the rules of both directions.

1. `KEEPS_ZERO`: f(0) = 0 for each element. `ELEMENTWISE`: those, and others of one data input; each slice of the result
   depends on that slice of the data alone.
2. `WINDOWS`: slices of batch and channels stand for themselves; those of rows and columns do not.
3. `STRUCTURE`: elements move, or repeat; which slice is which, `nnmeter.transforms.channels` tells.
4. `ALONG`: operators that mix the indices of some axes (a sum, a normalization); the other axes stand for themselves.
"""

from __future__ import annotations

from nnmeter.graph.ir import Node
from nnmeter.transforms.channels.rules import Shapes

KEEPS_ZERO = frozenset(
    "Relu LeakyRelu Abs Neg Sqrt Sin Tan Tanh Asin Atan Sinh Asinh Atanh Erf Gelu HardSwish Elu Selu Celu Softsign "
    "Identity Cast Round Floor Ceil Sign Dropout Mish ThresholdedRelu Swish QuantizeLinear DequantizeLinear".split()
)
ELEMENTWISE = KEEPS_ZERO | frozenset("Sigmoid Exp Cos Cosh HardSigmoid Softplus Log Reciprocal Not Clip Acos".split())
WINDOWS = frozenset("MaxPool AveragePool GlobalAveragePool GlobalMaxPool".split())
STRUCTURE = frozenset("Transpose Reshape Flatten Squeeze Unsqueeze Concat Split Slice".split())
SUMS = frozenset("ReduceSum ReduceMean ReduceMax ReduceMin ReduceL1 ReduceL2 ReduceSumSquare".split())
BROADCAST = frozenset("Add Sub Mul Div Sum Mean Max Min PRelu".split())
MATRIX = frozenset("Conv ConvTranspose Gemm MatMul".split())
NORMALIZATIONS = frozenset("BatchNormalization InstanceNormalization LayerNormalization".split())
ALONG = SUMS | frozenset("Softmax LogSoftmax Hardmax LpNormalization LayerNormalization".split())


def mixed_axes(node: Node, shapes: Shapes) -> frozenset[int]:
    """The axes of its data along which an operator of `ALONG`, or one over windows, mixes indices."""
    rank = shapes.rank(node.inputs[0])
    if node.op_type in SUMS:
        axes = node.attributes.get("axes") or shapes.value(node, 1)
        return frozenset(range(rank)) if axes is None else frozenset(axis % rank for axis in axes)
    if node.op_type == "LayerNormalization":
        return frozenset(range(node.attributes.get("axis", -1) % rank, rank))
    if node.op_type in ALONG:
        return frozenset({node.attributes.get("axis", -1) % max(rank, 1)})
    if node.op_type in WINDOWS or node.op_type == "InstanceNormalization":
        return frozenset(range(2, rank))
    if node.op_type == "Pad":
        return frozenset(axis for axis in range(rank) if shapes[node.outputs[0]][axis] != shapes[node.inputs[0]][axis])
    return frozenset()


def is_padded(node: Node) -> bool:
    """Whether a window reaches over the border of its map, where it reads zeros."""
    padded = node.attributes.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID", "")
    return padded or any(node.attributes.get("pads", ())) or bool(node.attributes.get("ceil_mode", 0))
