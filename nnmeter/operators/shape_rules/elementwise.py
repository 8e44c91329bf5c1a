"""Shapes of element-wise operators, normalizations, random and generating operators."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np

from nnmeter.graph.dtypes import DTYPE_OF_NUMPY
from nnmeter.graph.ir import Node, TensorType
from nnmeter.operators.shape_rules.common import (
    Context,
    Inputs,
    Rule,
    ShapeError,
    UnknownShapeError,
    axis_of,
    broadcast,
    dtype_attribute,
    present,
    same,
    table,
)


def _aligned(node: Node, a: TensorType, b: TensorType) -> tuple[int, ...]:
    """Broadcast as it was before operator set 7: where the attribute `axis` says, the second input begins there."""
    axis = node.attributes.get("axis")
    if axis is None or not node.attributes.get("broadcast", 0):
        return broadcast(a.shape, b.shape)
    behind = len(a.shape) - axis_of(axis, len(a.shape)) - len(b.shape)
    if behind < 0:
        raise ShapeError("its second input reaches over the end of the first")
    return broadcast(a.shape, b.shape + (1,) * behind)


def _binary(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    a, b = inputs
    if a is None or b is None:
        raise ShapeError("an input is missing")
    if a.shape == b.shape:
        return (a,)
    shape = _aligned(node, a, b) if "broadcast" in node.attributes else broadcast(a.shape, b.shape)
    return (a if shape == a.shape else TensorType(a.dtype, shape),)


def _comparison(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    return (TensorType("bool", _aligned(node, present(inputs, 0), present(inputs, 1))),)


def _test(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    return (TensorType("bool", present(inputs, 0).shape),)


def _variadic(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    shape = present(inputs, 0).shape
    for position in range(1, len(inputs)):
        shape = broadcast(shape, present(inputs, position).shape)
    return (TensorType(present(inputs, 0).dtype, shape),)


def _where(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x = present(inputs, 1)
    return (TensorType(x.dtype, broadcast(present(inputs, 0).shape, broadcast(x.shape, present(inputs, 2).shape))),)


def _cast(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x = present(inputs, 0)
    return (TensorType(dtype_attribute(node, "to", x.dtype), x.shape),)


def _cast_like(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    return (TensorType(present(inputs, 1).dtype, present(inputs, 0).shape),)


def _bitcast(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    return _cast(node, inputs, context)


def _dropout(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x = present(inputs, 0)
    return x, TensorType("bool" if context.opsets.get("", 13) >= 10 else x.dtype, x.shape)


def _batch_normalization(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x = present(inputs, 0)
    scale = present(inputs, 1)
    channels = x.shape[1] if len(x.shape) > 1 else 1
    if scale.elements != channels:
        raise ShapeError(f"its scale has {scale.elements} elements, its input {channels} channels")
    statistic = TensorType(present(inputs, 3).dtype, (channels,))
    return x, statistic, statistic, statistic, statistic


def _layer_normalization(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x = present(inputs, 0)
    if len(node.outputs) == 1:
        return (x,)
    axis = axis_of(node.attributes.get("axis", -1), len(x.shape))
    shape = x.shape[:axis] + (1,) * (len(x.shape) - axis)
    statistic = TensorType(dtype_attribute(node, "stash_type", "float32"), shape)
    return x, statistic, statistic


def _random_like(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x = present(inputs, 0)
    return (TensorType(dtype_attribute(node, "dtype", x.dtype), x.shape),)


def _random(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    return (TensorType(dtype_attribute(node, "dtype", "float32"), tuple(node.attributes["shape"])),)


def _multinomial(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    count = node.attributes.get("sample_size", 1)
    return (TensorType(dtype_attribute(node, "dtype", "int32"), (present(inputs, 0).shape[0], count)),)


def _constant_of_shape(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    shape = context.integers(node, 0)
    fill = node.attributes.get("value")
    if isinstance(fill, np.ndarray):
        dtype = DTYPE_OF_NUMPY[fill.dtype]
    else:
        dtype = fill.dtype if isinstance(fill, TensorType) else "float32"
    return (TensorType(dtype, tuple(shape or ())),)


def _range(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    start, limit, delta = (context.value(node, position) for position in range(3))
    if start is None or limit is None or delta is None:
        raise UnknownShapeError("its length depends on values that are not known")
    step = delta.item()
    count = max(ceil((limit.item() - start.item()) / step), 0) if step else 0
    return (TensorType(present(inputs, 0).dtype, (count,)),)


def _one_hot(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    indices = present(inputs, 0).shape
    (depth,) = context.integers(node, 1) or (1,)
    axis = axis_of(node.attributes.get("axis", -1), len(indices) + 1)
    return (TensorType(present(inputs, 2).dtype, (*indices[:axis], depth, *indices[axis:])),)


def _window(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    (size,) = context.integers(node, 0) or (1,)
    return (TensorType(dtype_attribute(node, "output_datatype", "float32"), (size,)),)


def _mel_weights(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    (bins,), (length,) = context.integers(node, 0) or (1,), context.integers(node, 1) or (1,)
    return (TensorType(dtype_attribute(node, "output_datatype", "float32"), (length // 2 + 1, bins)),)


def _shape(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    start, end = node.attributes.get("start", 0), node.attributes.get("end")
    return (TensorType("int64", (len(present(inputs, 0).shape[start:end]),)),)


def _size(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    present(inputs, 0)
    return (TensorType("int64", ()),)


RULES: dict[str, Rule] = table(
    (
        "Abs Acos Acosh Asin Asinh Atan Atanh BitwiseNot Ceil Celu Clip Cos Cosh CumProd CumSum Elu Erf Exp Floor Gelu "
        "HardSigmoid HardSwish Hardmax Identity InstanceNormalization LRN LeakyRelu Log LogSoftmax LpNormalization "
        "MeanVarianceNormalization Mish Neg Not PRelu Reciprocal Relu ReverseSequence Round Scatter ScatterElements "
        "ScatterND Selu Shrink Sigmoid Sign Sin Sinh Softmax Softplus Softsign Sqrt Swish Tan Tanh TensorScatter "
        "ThresholdedRelu Trilu GroupNormalization RMSNormalization RotaryEmbedding",
        same,
    ),
    ("Add Sub Mul Div Pow Mod BitShift BitwiseAnd BitwiseOr BitwiseXor", _binary),
    ("And Or Xor Equal Greater GreaterOrEqual Less LessOrEqual", _comparison),
    ("IsNaN IsInf RegexFullMatch", _test),
    ("Max Min Mean Sum", _variadic),
    ("Where", _where),
    ("Cast", _cast),
    ("CastLike", _cast_like),
    ("BitCast", _bitcast),
    ("Dropout", _dropout),
    ("BatchNormalization", _batch_normalization),
    ("LayerNormalization", _layer_normalization),
    ("RandomNormalLike RandomUniformLike EyeLike Bernoulli", _random_like),
    ("RandomNormal RandomUniform", _random),
    ("Multinomial", _multinomial),
    ("ConstantOfShape", _constant_of_shape),
    ("Range", _range),
    ("OneHot", _one_hot),
    ("HannWindow HammingWindow BlackmanWindow", _window),
    ("MelWeightMatrix", _mel_weights),
    ("Shape", _shape),
    ("Size", _size),
)
