"""What moves data, and element-wise operators that move before it."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import (
    Create,
    Op,
    Rewrite,
    Rule,
    Tensor,
    all_of,
    any_of,
    broadcast,
    choose,
    constant,
    maybe,
    tensors,
    weight,
)
from nnmeter.fusion.rulesets.openvino.shared import SWAPPED, named, ordered
from nnmeter.fusion.rulesets.openvino.sources import common, plugin

MOVERS = ("Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Expand")
BROADCASTING = ("Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Greater", "Less", "Equal", "And", "Or")
ACTIVATIONS = (
    *("Relu", "Sigmoid", "Tanh", "Gelu", "Swish", "HardSwish", "Erf", "Exp", "Sqrt", "Abs", "Elu", "Softplus", "Mish"),
    *("Clip", "LeakyRelu"),
)
UPWARDS = plugin("transformations/cpu_opset/common/pass/move_eltwise_up_data_movement.cpp")


def _expanded(swapped: bool) -> Rule:
    x, shape, b = tensors("x shape b")
    expand = Op("Expand", x, shape, shared=True)
    node = Op(BROADCASTING, *ordered(swapped, expand, b), name="node")
    return Rule(
        named("expanded operand", swapped),
        [node, expand],
        where=[shape.is_constant, broadcast(x.shape, b.shape) == node.shape],
        replace=Create(node.kind, *ordered(swapped, x, b), attributes=node.attributes(), into=node),
        why="An element-wise operator broadcasts by itself, so that an Expand before it goes.",
        source=common("broadcast_elementwise_fusion.cpp"),
    )


EXPANDED_OPERANDS = Rewrite("expanded operands", [_expanded(swapped) for swapped in SWAPPED])


def _slice_of_a_slice() -> Rule:
    x, starts, ends, second_starts, second_ends = tensors("x starts ends second_starts second_ends")
    first = Op("Slice", x, starts, ends, ..., name="first")
    second = Op("Slice", first, second_starts, second_ends, ..., name="second")
    return Rule(
        "slice of a slice",
        [second, first],
        where=[first.uses == 1, second_starts.is_constant, starts.is_constant],
        replace=Create("Slice", x, starts, ends, into=second),
        why="A slice of a slice with constant bounds is one slice.",
        source=common("optimize_strided_slice.cpp"),
    )


SLICES = Rewrite("slices", [_slice_of_a_slice()])


def _reduction_before_transpose() -> Rule:
    x, axes = tensors("x axes")
    transpose = Op("Transpose", x)
    reduction = Op(("ReduceMean", "ReduceSum", "ReduceMax"), transpose, axes, name="reduction")
    perm = transpose.attr("perm", [])
    new_axes = constant(perm.permuted(axes.value.as_places(x.rank)), dtype="int64", name="new_axes")
    reduced = Create(
        reduction.kind,
        x,
        new_axes,
        dtype=x.dtype,
        shape=reduction.shape.permuted(perm.inverse),
        attributes=reduction.attributes(),
    )
    return Rule(
        "reduction before a transpose",
        [reduction, transpose],
        where=[transpose.uses == 1, axes.is_known, reduction.attr("keepdims", 1) == 1],
        replace=[
            reduced,
            Create("Transpose", reduced, attributes=transpose.attributes(), into=reduction, main=True),
        ],
        why="A reduction that keeps its dimensions runs before a Transpose, which then moves less.",
        source=common("transpose_sinking.cpp"),
    )


REDUCTIONS_BEFORE_TRANSPOSES = Rewrite("reductions before transposes", [_reduction_before_transpose()])


def _shuffled_channels() -> Rule:
    x, split_shape, shape = tensors("x split_shape shape")
    split = Op("Reshape", x, split_shape, name="split")
    transpose = Op("Transpose", split)
    joined = Op("Reshape", transpose, shape, name="joined")
    perm = transpose.attr("perm")
    return Rule(
        "shuffled channels",
        [joined, transpose, split],
        where=[
            x.shape == joined.shape,
            x.rank == 4,
            any_of(
                all_of(split.rank == 5, perm == [0, 2, 1, 3, 4]),
                all_of(split.rank == 4, perm == [0, 2, 1, 3]),
            ),
        ],
        replace=Create("ShuffleChannels", x, into=joined),
        why="A Reshape of channels to groups, the Transpose of both, and the Reshape back shuffle channels "
        "(ShuffleNet).",
        source=common("shuffle_channels_fusion.cpp"),
    )


SHUFFLED_CHANNELS = Rewrite("shuffled channels", [_shuffled_channels()])


def _moved(mover: Op, changed: Create, shape: Tensor, last: Op) -> Create:
    return Create(mover.kind, changed, maybe(shape), attributes=mover.attributes(), into=last, main=True)


def _scalar(swapped: bool) -> Rule:
    x, shape, c = tensors("x shape c")
    mover = Op(MOVERS, x, maybe(shape), name="mover")
    node = Op(("Mul", "Add") if swapped else ("Mul", "Add", "Sub", "Div"), *ordered(swapped, mover, c), name="node")
    kind = choose(node.kind.one_of("Mul", "Div"), "Mul", "Add")
    changed = Create(kind, x, weight(dtype=c.dtype, shape=c.shape, name="scalar"), like=x)
    return Rule(
        named("scalar before what moves", swapped),
        [node, mover],
        where=[c.is_constant, c.elements == 1, mover.uses == 1, c.rank <= x.rank],
        replace=[changed, _moved(mover, changed, shape, node)],
        why="A sum or product with one number runs before what only moves data, behind the product that computed it.",
        source=UPWARDS,
    )


def _activation() -> Rule:
    x, shape, lo, hi = tensors("x shape lo hi")
    mover = Op(MOVERS, x, maybe(shape), name="mover")
    node = Op(ACTIVATIONS, mover, maybe(lo), maybe(hi), name="node")
    changed = Create(node.kind, x, maybe(lo), maybe(hi), like=x, attributes=node.attributes())
    return Rule(
        "activation before what moves",
        [node, mover],
        where=[mover.uses == 1],
        replace=[changed, _moved(mover, changed, shape, node)],
        why="An activation runs before what only moves data, behind the product that computed it.",
        source=UPWARDS,
    )


def _sign() -> Rule:
    x, shape = tensors("x shape")
    mover = Op(MOVERS, x, maybe(shape), name="mover")
    node = Op("Neg", mover, name="node")
    changed = Create("Mul", x, weight(dtype=x.dtype, shape=[], name="minus_one"), like=x)
    return Rule(
        "sign before what moves",
        [node, mover],
        where=[mover.uses == 1],
        replace=[changed, _moved(mover, changed, shape, node)],
        why="A change of sign is a product with -1, and runs before what only moves data.",
        source=UPWARDS,
    )


ELEMENT_WISE_FIRST = Rewrite(
    "element-wise operators before what moves",
    [*(_scalar(swapped) for swapped in SWAPPED), _activation(), _sign()],
)
