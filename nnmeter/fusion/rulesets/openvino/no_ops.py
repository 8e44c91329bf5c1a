"""Operators that do nothing to the data are left out."""

from __future__ import annotations

from functools import partial

from nnmeter.fusion.rulesets.builder import Create, Op, Rewrite, Rule, constant, indices, keeps_order, tensors
from nnmeter.fusion.rulesets.openvino.shared import named
from nnmeter.fusion.rulesets.openvino.sources import common
from nnmeter.fusion.rulesets.shared_rules import no_op, x, y

SOURCE = common("nop_elimination.cpp")
s, c = tensors("s c")
_rule = partial(no_op, source=SOURCE)


def _same_shape(*kinds: str) -> Rule:
    why = f"{', '.join(kinds)} to the shape that a tensor has already {'does' if len(kinds) == 1 else 'do'} nothing."
    return _rule(Op(kinds, x, ..., outputs=[y, ...]), why, [x.shape == y.shape])


def _neutral(kind: str, value: int, swapped: bool = False) -> Rule:
    """Sum with zeros, product with ones, of any shape that does not make the result larger."""
    node = Op(kind, *((c, x) if swapped else (x, c)), outputs=[y, ...])
    return _rule(
        node,
        f"{kind} with a constant of {value}s does nothing.",
        [c.is_filled_with(value), x.shape == y.shape, c.elements <= x.elements],
        named(f"{kind} of {value}", swapped),
    )


def _transpose_in_order() -> Rule:
    node = Op("Transpose", x, ..., outputs=[y, ...])
    backwards = indices(x.rank).reversed  # what Transpose does without a permutation
    return _rule(
        node,
        "A Transpose in the order that dimensions have already does nothing.",
        [x.is_produced, node.attr("perm", backwards) == indices(x.rank)],
        renames_outputs=False,
    )


def _repeats() -> Rule:
    node = Op(("Expand", "Tile"), x, s, outputs=[y, ...])
    return _rule(node, "Expand and Tile to the same shape do nothing.", [x.shape == y.shape, s.is_constant])


def _concat_of_one() -> Rule:
    node = Op("Concat", x, outputs=[y, ...])
    return _rule(node, "Concat of one tensor is the tensor.", [node.arity == 1])


def _dropout() -> Rule:
    node = Op("Dropout", x, ..., outputs=[y, ...])
    why = "Dropout passes its input on when a model is run, unless the model says that it is being trained."
    return _rule(node, why, [node.attr("training", 0) == 0])


CAST_TO_ITS_TYPE = _rule(
    Op("Cast", x, ..., outputs=[y, ...]),
    "Cast to the element type that a tensor has already does nothing.",
    [x.dtype == y.dtype],
)

NO_OPS = Rewrite(
    "no-ops",
    [
        _rule(Op("Identity", x, ..., outputs=[y, ...]), "Identity does nothing."),
        _dropout(),
        CAST_TO_ITS_TYPE,
        _repeats(),
        _same_shape("Slice"),
        _same_shape("Pad"),
        _transpose_in_order(),
        _same_shape("Reshape", "Squeeze", "Unsqueeze", "Flatten"),
        _concat_of_one(),
        _same_shape("Resize"),
        _neutral("Add", 0),
        _neutral("Add", 0, swapped=True),
        _neutral("Mul", 1),
        _neutral("Mul", 1, swapped=True),
        _neutral("Sub", 0),
        _neutral("Div", 1),
    ],
)

# Casts between types that the plugin does not tell apart, once element types are what it computes in.
CASTS = Rewrite("no-ops", [CAST_TO_ITS_TYPE])


def _transpose_of_ones() -> Rule:
    (data,) = tensors("x")
    node = Op("Transpose", data)
    size = constant(node.shape, dtype="int64", name="size")
    return Rule(
        "transpose that moves nothing",
        [node],
        where=[keeps_order(data.shape, node.attr("perm", indices(data.rank).reversed))],
        replace=Create("Reshape", data, size, into=node),
        why="A Transpose that moves dimensions of 1 only is a view.",
        source=common("transpose_to_reshape.cpp"),
    )


TRANSPOSES_THAT_MOVE_NOTHING = Rewrite("transposes that move nothing", [_transpose_of_ones()])


def _bias_of_zeros() -> Rule:
    data, w, b = tensors("x w b")
    node = Op(("Conv", "ConvTranspose", "Gemm"), data, w, b)
    return Rule(
        "bias of zeros",
        [node],
        where=[b.is_filled_with(0)],
        replace=Create(node.kind, data, w, attributes=node.attributes(), into=node),
        why="A bias is an Add of its own before it is fused again, and one of zeros goes.",
        source=SOURCE,
    )


BIASES_OF_ZEROS = Rewrite("biases of zeros", [_bias_of_zeros()])
