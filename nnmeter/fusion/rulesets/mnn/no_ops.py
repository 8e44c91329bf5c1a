"""Operators that do nothing to the data are left out."""

from __future__ import annotations

from collections.abc import Sequence

from nnmeter.fusion.rulesets.builder import Expr, Op, Procedure, Rewrite, Rule, tensors
from nnmeter.fusion.rulesets.mnn.sources import after, merge
from nnmeter.fusion.rulesets.shared import RANDOM, VIEWS

SOURCE = after("RemoveUnusefulOp.cpp")
x, y, c = tensors("x y c")

CONSTANT_FOLDING = Procedure(
    "constants",
    "fold_constants",
    fields={"of_shapes": ("Shape", "Size"), "except": RANDOM},
    why="What depends on constants and static shapes only is computed before the run.",
    source=merge("ConstantFolding.cpp"),
)


def _rule(node: Op, why: str, where: Sequence[Expr] = (), name: str = "", source: str = SOURCE) -> Rule:
    return Rule(
        name or f"no-op {node.kinds[0]}",
        [node],
        where=[*where, node.results <= 1],
        forward={y: x},
        renames_outputs=True,
        why=why,
        source=source,
    )


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
        merge("FuseTemplateOp.cpp"),
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
