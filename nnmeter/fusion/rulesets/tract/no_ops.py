"""Operators that do nothing to the data are left out."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Expr, Op, Procedure, Rewrite, Rule, tensors
from nnmeter.fusion.rulesets.shared import RANDOM
from nnmeter.fusion.rulesets.tract.sources import core

SOURCE = core("optim/mod.rs")
x, y, c = tensors("x y c")

CONSTANT_FOLDING = Procedure(
    "constants",
    "fold_constants",
    fields={"of_shapes": ("Shape", "Size"), "except": RANDOM},
    why="What depends on constants and static shapes only is computed before the run.",
    source=core("optim/prop_const.rs"),
)


def _gone(node: Op, why: str, *where: Expr, name: str = "") -> Rule:
    return Rule(
        name or f"no-op {node.kinds[0]}",
        [node],
        where=[*where, node.results <= 1],
        forward={y: x},
        renames_outputs=True,
        why=why,
        source=SOURCE,
    )


def _neutral(kind: str, value: int) -> Rule:
    return _gone(
        Op(kind, x, c, outputs=[y, ...]),
        f"{kind} with a constant of {value} does nothing.",
        c.scalar == value,
        x.shape == y.shape,
        name=f"{kind} of {value}",
    )


NO_OPS = Rewrite(
    "no-ops",
    [
        _gone(Op("Identity", x, ..., outputs=[y, ...]), "Identity does nothing."),
        _gone(Op("Dropout", x, ..., outputs=[y, ...]), "Dropout does nothing in inference."),
        _gone(
            Op("Cast", x, ..., outputs=[y, ...]),
            "Cast to the element type that a tensor has already does nothing.",
            x.dtype == y.dtype,
        ),
        _gone(
            Op(("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Expand"), x, ..., outputs=[y, ...]),
            "A view or an Expand to the shape that a tensor has already does nothing.",
            x.shape == y.shape,
        ),
        _neutral("Add", 0),
        _neutral("Sub", 0),
        _neutral("Mul", 1),
        _neutral("Div", 1),
    ],
)
