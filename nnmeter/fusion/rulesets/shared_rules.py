"""Rules that several runtimes have in the same form; each rule set says why, and where its runtime has it."""

from __future__ import annotations

from collections.abc import Sequence

from nnmeter.fusion.rulesets.builder import Create, Expr, Op, Procedure, Rule, left_out, tensors
from nnmeter.fusion.rulesets.shared import RANDOM

# How x is divided by the root of the mean of its squares (`root_mean_square`).
ROOT_FORMS = ("quotient", "reciprocal", "quotient of one")
x, y = tensors("x y")


def no_op(
    node: Op, why: str, where: Sequence[Expr] = (), name: str = "", renames_outputs: bool = True, *, source: str
) -> Rule:
    """An operator from `x` to `y` that does nothing, and is left out where nobody reads a second result."""
    return left_out(node, x, y, name=name, where=where, renames_outputs=renames_outputs, why=why, source=source)


def constant_folding(source: str) -> Procedure:
    """What depends on constants and static shapes only."""
    return Procedure(
        "constants",
        "fold_constants",
        fields={"of_shapes": ("Shape", "Size"), "except": RANDOM},
        why="What depends on constants and static shapes only is computed before the run.",
        source=source,
    )


def swish(why: str, source: str, alone: bool = False) -> Rule:
    """A product of a tensor and its sigmoid; `alone`: only where nobody else reads the sigmoid."""
    sigmoid = Op("Sigmoid", x)
    product = Op("Mul", x, sigmoid, commutative=True)
    return Rule(
        "Swish",
        [product, sigmoid],
        where=[sigmoid.uses == 1] if alone else [],
        replace=Create("Swish", x, into=product),
        why=why,
        source=source,
    )


def root_mean_square(form: str) -> tuple[list[Op], list[Expr]]:
    """The operators of `x` divided by the root of the mean of its squares, the last one first, and what must hold.

    Args:
        form: one of `ROOT_FORMS`: by a quotient, times its reciprocal, or times a quotient of one.
    """
    two, eps, one = tensors("two eps one")
    square = Op("Pow", x, two, name="square")
    mean = Op("ReduceMean", square, ..., name="mean")
    plus_eps = Op("Add", mean, eps, name="plus_eps")
    root = Op("Sqrt", plus_eps, name="root")
    if form == "quotient":
        last = [Op("Div", x, root, name="normalized")]
    else:
        inverse = (
            Op("Reciprocal", root, name="inverse") if form == "reciprocal" else Op("Div", one, root, name="inverse")
        )
        last = [Op("Mul", x, inverse, name="normalized"), inverse]
    return [*last, root, plus_eps, mean, square], [eps.is_constant, two.scalar == 2, mean.dim(-1) == 1]
