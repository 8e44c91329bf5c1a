"""Shapes of quantization: ai.onnx's operators, and com.microsoft's of the same names with more types."""

from __future__ import annotations

from collections.abc import Sequence

from nnmeter.graph.ir import Node, TensorType
from nnmeter.operators.shape_rules.common import (
    Context,
    Inputs,
    Rule,
    axis_of,
    broadcast,
    dtype_attribute,
    optional,
    present,
    table,
)
from nnmeter.operators.shape_rules.matrix import fused_matmul, gemm, product_of
from nnmeter.operators.shape_rules.reduction import reduced
from nnmeter.operators.shape_rules.windows import convolution, global_pool, pool, retyped_as


def _quantize(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x, zero = present(inputs, 0), optional(inputs, 2)
    dtype = zero.dtype if zero is not None else dtype_attribute(node, "output_dtype", "uint8")
    return (TensorType(dtype, x.shape),)


def _dequantize(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    scale = present(inputs, 1)
    return (TensorType(dtype_attribute(node, "output_dtype", scale.dtype), present(inputs, 0).shape),)


def _dynamic_quantize(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x = present(inputs, 0)
    return TensorType("uint8", x.shape), TensorType("float32", ()), TensorType("uint8", ())


def _binary(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    a, b = present(inputs, 0), present(inputs, 3)
    return (TensorType(a.dtype, broadcast(a.shape, b.shape)),)


def _same(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    return (present(inputs, 0),)


def _concat(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    """QLinearConcat: scale and zero point of the output, then tensor, scale and zero point of every input."""
    tensors = [present(inputs, position) for position in range(2, len(inputs), 3)]
    axis = axis_of(node.attributes["axis"], len(tensors[0].shape))
    shape = list(tensors[0].shape)
    shape[axis] = sum(t.shape[axis] for t in tensors)
    return (TensorType(tensors[0].dtype, tuple(shape)),)


def _channels_last(node: Node, inputs: Inputs, rule: Rule, context: Context) -> Sequence[TensorType]:
    x = present(inputs, 0)
    first = TensorType(x.dtype, (x.shape[0], x.shape[-1], *x.shape[1:-1]))
    made = rule(node, [first, *inputs[1:]], context)
    return [TensorType(t.dtype, (t.shape[0], *t.shape[2:], t.shape[1])) for t in made]


def either_layout(rule: Rule) -> Rule:
    """A rule for channels first that also obeys the attribute `channels_last`."""
    last = channels_last(rule)
    return lambda node, inputs, context: (last if node.attributes.get("channels_last", 0) else rule)(
        node, inputs, context
    )


def channels_last(rule: Rule) -> Rule:
    """A rule for channels first, of an operator whose channels are last whatever its attributes."""
    return lambda node, inputs, context: _channels_last(node, inputs, rule, context)


def _reduce_mean(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x = present(inputs, 0)
    axes = [axis_of(a, len(x.shape)) for a in node.attributes.get("axes") or range(len(x.shape))]
    return (TensorType(x.dtype, reduced(x.shape, axes, node.attributes.get("keepdims", 1))),)


def _quantized_gemm(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    """QGemm: float result where the output has no scale."""
    (made,) = gemm(0, 3)(node, inputs, context)
    zero, scale = optional(inputs, 8), optional(inputs, 7)
    return (TensorType(zero.dtype if zero is not None else made.dtype if scale is not None else "float32", made.shape),)


def _float_product(scale: int) -> Rule:
    return retyped_as(fused_matmul, scale)


def _where(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    """QLinearWhere: condition, then tensor, scale and zero point of both sides."""
    x = present(inputs, 1)
    return (TensorType(x.dtype, broadcast(present(inputs, 0).shape, broadcast(x.shape, present(inputs, 4).shape))),)


RULES: dict[str, Rule] = table(
    ("QuantizeLinear", _quantize),
    ("DequantizeLinear", _dequantize),
    ("DynamicQuantizeLinear", _dynamic_quantize),
)

MICROSOFT_RULES: dict[str, Rule] = {
    **RULES,
    **table(
        ("QLinearAdd QLinearMul", _binary),
        ("QLinearSigmoid QLinearLeakyRelu QLinearSoftmax", _same),
        ("QLinearConcat", _concat),
        ("QLinearConv", retyped_as(either_layout(convolution(0, 3)), 7)),
        ("QLinearAveragePool", either_layout(pool)),
        ("QLinearGlobalAveragePool", either_layout(global_pool)),
        ("QLinearReduceMean", _reduce_mean),
        ("QLinearWhere", _where),
        ("QGemm", _quantized_gemm),
        ("QLinearMatMul", retyped_as(product_of(0, 3), 7)),
        ("MatMulIntegerToFloat", _float_product(2)),
        ("DynamicQuantizeMatMul", product_of(0, 1)),
        ("MatMulInteger16", lambda n, i, c: [TensorType("int32", t.shape) for t in product_of(0, 1)(n, i, c)]),
    ),
}
