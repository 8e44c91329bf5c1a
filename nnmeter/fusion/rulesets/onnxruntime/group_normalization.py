"""GroupNormalization is a function: it runs as the operators of its body."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Create, Expr, Op, Rule, Tensor, concat, constant, opset, tensors, weight
from nnmeter.fusion.rulesets.builder.expressions import Value
from nnmeter.fusion.rulesets.onnxruntime.functions import FLOAT32
from nnmeter.fusion.rulesets.onnxruntime.sources import function_body


def _rule(per_channel: bool) -> Rule:
    """`per_channel`: from opset 21 on scale and offset hold one number a channel, before it one a group."""
    x, scale, offset = tensors("x scale offset")
    node = Op("GroupNormalization", x, scale, offset, name="node")
    groups = node.attr("num_groups")
    by_group = [x.dim(0), groups, x.elements / (x.dim(0) * groups)]
    by_channel = [x.dim(0), x.dim(1), x.elements / (x.dim(0) * x.dim(1))]
    of_group = [x.dim(0), groups, 1]
    to_float = {"to": FLOAT32}

    def made(kind: str, *inputs: Tensor, shape: Value, main: bool = False) -> Create:
        return Create(kind, *inputs, dtype=x.dtype, shape=shape, main=main)

    def parameter(given: Tensor) -> list[Create]:
        """Scale or offset, with a dimension before and one behind."""
        cast = Create("Cast", given, dtype=x.dtype, shape=given.shape, attributes=to_float)
        return [cast, Create("Reshape", cast, in_the_middle, dtype=x.dtype, shape=[1, scale.dim(0), 1])]

    def size(length: Expr | int) -> Create:
        return Create("Shape", x, dtype="int64", shape=[length])

    group_count = constant([groups], name="group_count")
    in_the_middle = constant([1, -1, 1], name="in_the_middle")
    last_axis = constant([2], name="last_axis")
    scale_cast, scales = parameter(scale)
    spatial, batch, channels = size(x.rank - 2), size(1), size(1)
    in_group = Create("Div", channels, group_count, dtype="int64", shape=[1])
    split_shape = Create(
        "Concat", batch, group_count, in_group, spatial, dtype="int64", shape=[x.rank + 1], attributes={"axis": 0}
    )
    data: Tensor = Create("Cast", x, dtype=x.dtype, shape=x.shape, attributes=to_float) if per_channel else x
    split = made("Reshape", data, split_shape, shape=concat([x.dim(0), groups, x.dim(1) / groups], x.shape[2:]))
    flat = made("Reshape", split, constant([0, groups, -1], name="flat_shape"), shape=by_group)
    mean = made("ReduceMean", flat, last_axis, shape=of_group)
    difference = made("Sub", flat, mean, shape=by_group)
    square_of_mean = made("Mul", mean, mean, shape=of_group)
    square = made("Mul", flat, flat, shape=by_group)
    mean_of_square = made("ReduceMean", square, last_axis, shape=of_group)
    variance = made("Sub", mean_of_square, square_of_mean, shape=of_group)
    eps = Create("Cast", weight(dtype="float32", shape=[1], name="eps"), dtype=x.dtype, shape=[1], attributes=to_float)
    plus_eps = made("Add", variance, eps, shape=of_group)
    root = made("Sqrt", plus_eps, shape=of_group)
    normalized = made("Div", difference, root, shape=by_group, main=True)
    whole_shape = Create("Shape", data, dtype="int64", shape=[x.rank])
    if per_channel:
        whole = made("Reshape", normalized, whole_shape, shape=x.shape)
        channel_shape = constant([0, x.dim(1), -1], name="channel_shape")
        channelled = made("Reshape", whole, channel_shape, shape=by_channel)
        cast_back = Create("Cast", channelled, dtype=x.dtype, shape=by_channel, attributes=to_float)
        between, result_shape = [whole, channelled, cast_back], by_channel
    else:
        between, result_shape = [], by_group
    scaled = made("Mul", scales, between[-1] if between else normalized, shape=result_shape)
    offset_cast, offsets = parameter(offset)
    shifted = made("Add", scaled, offsets, shape=result_shape)
    return Rule(
        f"GroupNormalization per {'channel' if per_channel else 'group'}",
        [node],
        where=[opset() >= 21 if per_channel else opset() < 21],
        replace=[
            *(scale_cast, scales, spatial, batch, channels, in_group, split_shape),
            *([data] if isinstance(data, Create) else []),
            *(split, flat, mean, difference, square_of_mean, square, mean_of_square, variance),
            *(eps, plus_eps, root, normalized, whole_shape),
            *between,
            *(scaled, offset_cast, offsets, shifted),
            Create("Reshape", shifted, whole_shape, into=node),
        ],
        why="GroupNormalization has no kernel: the map is reshaped to groups, normalized by single operators, and "
        "reshaped back.",
        source=function_body("nn/defs.cc"),
    )


RULES = [_rule(per_channel=False), _rule(per_channel=True)]
