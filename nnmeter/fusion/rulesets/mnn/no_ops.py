"""Operators that do nothing to the data are left out."""

from __future__ import annotations

from functools import partial

from nnmeter.fusion.rulesets.builder import Op, Rewrite, Rule, tensors
from nnmeter.fusion.rulesets.mnn.sources import after, merge
from nnmeter.fusion.rulesets.shared import VIEWS
from nnmeter.fusion.rulesets.shared_rules import constant_folding, no_op, x, y

(c,) = tensors("c")
_rule = partial(no_op, source=after("RemoveUnusefulOp.cpp"))

CONSTANT_FOLDING = constant_folding(merge("ConstantFolding.cpp"))


def _same_shape(*kinds: str) -> Rule:
    why = f"{', '.join(kinds)} to the shape that a tensor has already does nothing."
    return _rule(Op(kinds, x, ..., outputs=[y, ...]), why, [x.shape == y.shape])


def _neutral(kind: str, value: int) -> Rule:
    node = Op(kind, x, c, outputs=[y, ...])
    return _rule(
        node,
        f"{kind} with a constant of {value} does nothing.",
        [c.scalar == value, c.rank == 0, x.shape == y.shape],
        f"{kind} of {value}",
        source=merge("FuseTemplateOp.cpp"),
    )


NO_OPS = Rewrite(
    "no-ops",
    [
        _rule(Op("Identity", x, ..., outputs=[y, ...]), "Identity does nothing."),
        _rule(
            Op("Dropout", x, ..., outputs=[y, ...]),
            "Dropout does nothing in inference.",
            source=after("RemoveDropout.cpp"),
        ),
        _rule(
            Op("Cast", x, ..., outputs=[y, ...]),
            "Cast to the element type that a tensor has already does nothing.",
            [x.dtype == y.dtype],
            source=after("RemoveInvalidCast.cpp"),
        ),
        _same_shape(*VIEWS),
        _same_shape("Expand", "Tile"),
        _neutral("Add", 0),
        _neutral("Sub", 0),
        _neutral("Mul", 1),
    ],
)
