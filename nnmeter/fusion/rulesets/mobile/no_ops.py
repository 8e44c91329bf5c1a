"""Operators that do nothing to the data are left out."""

from __future__ import annotations

from functools import partial

from nnmeter.fusion.rulesets.builder import Op, Rewrite, Rule, tensors
from nnmeter.fusion.rulesets.mobile.sources import converter
from nnmeter.fusion.rulesets.shared import VIEWS
from nnmeter.fusion.rulesets.shared_rules import no_op, x, y

SOURCE = converter("optimize.cc")
(c,) = tensors("c")
_rule = partial(no_op, source=SOURCE)


def _same_shape(*kinds: str, name: str = "") -> Rule:
    why = f"{', '.join(kinds)} to the shape that a tensor has already {'does' if len(kinds) == 1 else 'do'} nothing."
    return _rule(Op(kinds, x, ..., outputs=[y, ...]), why, [x.shape == y.shape], name)


def _of_one(kind: str) -> Rule:
    node = Op(kind, x, outputs=[y, ...])
    return _rule(node, f"{kind} of one tensor is the tensor.", [node.arity == 1])


def _neutral(kind: str, number: int, name: str) -> Rule:
    node = Op(kind, x, c, outputs=[y, ...])
    return _rule(node, f"A {name} does nothing.", [c.scalar == number, x.shape == y.shape], name)


def _dropout() -> Rule:
    node = Op("Dropout", x, ..., outputs=[y, ...])
    why = "Dropout passes its input on when a model is run, unless the model says that it is being trained."
    return _rule(node, why, [node.attr("training", 0) == 0])


def _window_of_one() -> Rule:
    node = Op(("AveragePool", "MaxPool"), x, outputs=[y, ...])
    where = [node.attr("kernel_shape").all_equal(1), x.shape == y.shape]
    return _rule(node, "A pool of single elements without a stride does nothing.", where, "window of one element")


NO_OPS = Rewrite(
    "no-ops",
    [
        _rule(Op("Identity", x, ..., outputs=[y, ...]), "Identity does nothing."),
        _dropout(),
        _rule(
            Op("Cast", x, ..., outputs=[y, ...]),
            "Cast to the element type that a tensor has already does nothing.",
            [x.dtype == y.dtype],
        ),
        _same_shape("Expand", "Tile"),
        _same_shape("Slice"),
        _same_shape("Pad"),
        _same_shape(VIEWS[0], "Flatten", *VIEWS[1:3], name="view of the same shape"),
        _of_one("Concat"),
        _of_one("Sum"),
        _window_of_one(),
        _neutral("Add", 0, "sum with 0"),
        _neutral("Mul", 1, "product with 1"),
        _neutral("Div", 1, "quotient by 1"),
    ],
)
