"""Products and sums with constants around a convolution go into its weights and bias."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Create, Op, Rewrite, Rule, broadcast, concat, tensors, weight
from nnmeter.fusion.rulesets.openvino.shared import (
    CONVOLUTIONS,
    SWAPPED,
    binary,
    by_channel,
    mirrored,
    named,
    of_the_file_or_scalar,
    ordered,
    scalar_or_by_channel,
)
from nnmeter.fusion.rulesets.openvino.sources import common, plugin


def _product_behind(swapped: bool, with_bias: bool) -> Rule:
    x, w, b, c = tensors("x w b c")
    conv = Op(CONVOLUTIONS, x, w, *([b] if with_bias else []))
    product = binary("Mul", "Div", swapped, conv, c)
    scaled = [weight(like=w, name="scaled"), *([weight(like=b, name="scaled_bias")] if with_bias else [])]
    return Rule(
        named("product into Conv" + (" with a bias" if with_bias else ""), swapped),
        [product, conv],
        where=[
            w.is_constant,
            *([b.is_constant] if with_bias else []),
            conv.uses == 1,
            c.is_constant,
            scalar_or_by_channel(c, conv),
        ],
        replace=Create(conv.kind, x, *scaled, attributes=conv.attributes(), into=product),
        why="A factor, one or one a channel, behind a convolution that nobody else reads goes into weights and bias.",
        source=common("conv_mul_fusion.cpp"),
    )


def _sum_behind(swapped: bool, second: bool) -> Rule:
    """`second`: the convolution has a bias already, which this constant is added to."""
    x, w, b, c = tensors("x w b c")
    conv = Op(CONVOLUTIONS, x, w, *([b] if second else []))
    total = binary("Add", "Sub", swapped, conv, c)
    bias = weight(dtype=w.dtype, shape=[total.dim(1)], name="bias")
    return Rule(
        named(f"{'second ' if second else ''}sum with a constant into Conv", swapped),
        [total, conv],
        where=[
            w.is_constant,
            *([b.is_constant] if second else []),
            conv.uses == 1,
            c.is_constant,
            *([] if second else [c.uses == 1]),
            by_channel(c, conv),
        ],
        replace=Create(conv.kind, x, w, bias, attributes=conv.attributes(), into=total),
        why="A constant of one number a channel behind a convolution that nobody else reads is its bias, or is added "
        "to the bias that it has.",
        source=common("lin_op_sequence_fusion.cpp") if second else plugin("graph_optimizer.cpp"),
    )


def _product_before(swapped: bool, with_bias: bool) -> Rule:
    x, w, b, c = tensors("x w b c")
    product = binary("Mul", "Div", swapped, x, c)
    window = concat([1, x.dim(1)], w.shape[2:])
    biases = [b] if with_bias else []
    conv = Op("Conv", product, w, *biases)
    return Rule(
        named("product before Conv" + (" with a bias" if with_bias else ""), swapped),
        [conv, product],
        where=[
            w.is_constant,
            c.is_constant,
            product.uses == 1,
            c.rank <= x.rank,
            c.shape != x.shape,
            broadcast(c.shape, window) == window,
        ],
        replace=Create("Conv", x, weight(like=w, name="scaled"), *biases, attributes=conv.attributes(), into=conv),
        why="A factor before a convolution goes into its weights where it fits their shape: one, one a channel, or one "
        "a place of a window as large as the map.",
        source=common("mul_conv_fusion.cpp"),
    )


def bias_into_larger_sum(swapped: bool) -> Rule:
    """A rule that products share."""
    x, w, b, c = tensors("x w b c")
    product = Op(("Conv", "Gemm"), x, w, b, name="product")
    add = Op("Add", *ordered(swapped, product, c))
    bare = Create(product.kind, x, w, like=product, attributes=product.attributes())
    return Rule(
        named("bias into a larger sum", swapped),
        [add, product],
        where=[
            w.is_constant,
            b.is_constant,
            product.uses == 1,
            of_the_file_or_scalar(c),
            c.is_constant,
            c.elements > b.elements,
            add.shape == product.shape,
        ],
        replace=[bare, Create("Add", bare, weight(like=c, name="larger"), into=add, main=True)],
        why="A bias is added to a larger constant that is added next, so that the product has none.",
        source=common("lin_op_sequence_fusion.cpp"),
    )


BIASES = (False, True)

INTO_CONVOLUTIONS = Rewrite(
    "linear operators into convolutions",
    [
        *mirrored((_product_behind(swapped, bias) for bias in BIASES) for swapped in SWAPPED),
        *mirrored((_sum_behind(swapped, second) for second in BIASES) for swapped in SWAPPED),
        *mirrored((_product_before(swapped, bias) for bias in BIASES) for swapped in SWAPPED),
        *(bias_into_larger_sum(swapped) for swapped in SWAPPED),
    ],
)
