"""Operators that do nothing to the data are left out."""

from __future__ import annotations

from functools import partial

from nnmeter.fusion.rulesets.builder import Op, Rewrite, Rule, tensors
from nnmeter.fusion.rulesets.shared_rules import constant_folding, no_op, x, y
from nnmeter.fusion.rulesets.tract.sources import core

(c,) = tensors("c")
_gone = partial(no_op, source=core("optim/mod.rs"))

CONSTANT_FOLDING = constant_folding(core("optim/prop_const.rs"))


def _neutral(kind: str, value: int) -> Rule:
    return _gone(
        Op(kind, x, c, outputs=[y, ...]),
        f"{kind} with a constant of {value} does nothing.",
        [c.scalar == value, x.shape == y.shape],
        f"{kind} of {value}",
    )


NO_OPS = Rewrite(
    "no-ops",
    [
        _gone(Op("Identity", x, ..., outputs=[y, ...]), "Identity does nothing."),
        _gone(Op("Dropout", x, ..., outputs=[y, ...]), "Dropout does nothing in inference."),
        _gone(
            Op("Cast", x, ..., outputs=[y, ...]),
            "Cast to the element type that a tensor has already does nothing.",
            [x.dtype == y.dtype],
        ),
        _gone(
            Op(("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Expand"), x, ..., outputs=[y, ...]),
            "A view or an Expand to the shape that a tensor has already does nothing.",
            [x.shape == y.shape],
        ),
        _neutral("Add", 0),
        _neutral("Sub", 0),
        _neutral("Mul", 1),
        _neutral("Div", 1),
    ],
)
