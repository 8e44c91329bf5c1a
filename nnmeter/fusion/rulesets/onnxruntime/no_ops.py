"""Operators that do nothing are left out."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Expr, Op, Rewrite, Rule, Tensor, any_of, choose, maybe, no_op, tensors
from nnmeter.fusion.rulesets.onnxruntime.sources import optimizer

LARGEST_INT32 = 2147483647


def _dropout() -> Rule:
    x, y = tensors("x y")
    node = Op("Dropout", x, ..., outputs=(y, ...))
    return Rule(
        "no-op Dropout",
        [node],
        where=[any_of(node.arity == 1, x.is_produced), node.results <= 1],
        forward={y: x},
        why="Dropout passes its input on when a model is run; behind another operator it goes even in training mode. "
        "With more than one input it stays where it reads an input of the model or a constant, and copies.",
        source=optimizer("dropout_elimination.cc"),
    )


def _slice() -> Rule:
    x, y, starts, ends, axes, steps = tensors("x y starts ends axes steps")
    node = Op("Slice", x, starts, ends, maybe(axes), maybe(steps), outputs=(y, ...))
    return Rule(
        "no-op Slice",
        [node],
        where=[
            x.is_produced,
            x.shape == y.shape,
            starts.value.all_equal(0),
            choose(steps.is_present, steps.value.all_equal(1), True),
            ends.value.smallest >= LARGEST_INT32,
            node.results <= 1,
        ],
        forward={y: x},
        why="A slice is left out if it is written as one of everything: from 0 to the largest number. One that ends at "
        "the size itself stays.",
        source=optimizer("slice_elimination.cc"),
    )


def _expand() -> Rule:
    x, y, shape = tensors("x y shape")
    node = Op("Expand", x, shape, outputs=(y, ...))
    return Rule(
        "no-op Expand",
        [node],
        where=[x.is_produced, x.shape == y.shape, shape.is_constant, node.results <= 1],
        forward={y: x},
        why="Expand to the shape that a tensor has already is left out.",
        source=optimizer("expand_elimination.cc"),
    )


def _cast() -> Rule:
    x, y = tensors("x y")
    node = Op("Cast", x, ..., outputs=(y, ...))
    return Rule(
        "no-op Cast",
        [node],
        where=[x.dtype == y.dtype, node.results <= 1],
        forward={y: x},
        why="Cast to the element type that a tensor has already is left out.",
        source=optimizer("cast_elimination.cc"),
    )


def _neutral(kind: str, number: int, swapped: bool = False) -> Rule:
    """Sum with 0, product with 1: of a tensor that an operator wrote, by a number of one element."""
    x, c = tensors("x c")
    return no_op(
        kind,
        x,
        c,
        name=f"no-op {kind}" + (" (swapped)" if swapped else ""),
        where=_neutral_conditions(x, c, number),
        swapped=swapped,
        why=f"{kind} with a constant {number} of one element does nothing, and is left out behind another operator.",
        source=optimizer("noop_elimination.cc"),
    )


def _neutral_conditions(x: Tensor, c: Tensor, number: int) -> list[Expr]:
    return [x.is_produced, c.scalar == number, c.rank <= x.rank]


NO_OPS = Rewrite(
    "no-ops",
    [
        no_op(
            "Identity",
            *tensors("x"),
            ...,
            renames_outputs=True,
            why="Identity does nothing; where it writes an output of the graph, the output is renamed.",
            source=optimizer("identity_elimination.cc"),
        ),
        _dropout(),
        _slice(),
        _expand(),
        _cast(),
        _neutral("Add", 0),
        _neutral("Add", 0, swapped=True),
        _neutral("Mul", 1),
        _neutral("Mul", 1, swapped=True),
        _neutral("Sub", 0),
        _neutral("Div", 1),
    ],
)
