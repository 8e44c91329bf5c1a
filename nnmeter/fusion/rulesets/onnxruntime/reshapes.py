"""Views of views."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Create, Expr, Op, Procedure, Rewrite, Rule, any_of, constant, maybe, tensors
from nnmeter.fusion.rulesets.onnxruntime.sources import optimizer
from nnmeter.fusion.rulesets.shared import absent_or

x, s, t = tensors("x s t")
first = Op("Reshape", x, s, name="first")
second = Op(("Reshape", "Squeeze", "Unsqueeze"), first, maybe(t), name="second")


def _keeps_no_zero(view: Op) -> Expr:
    return any_of(view.kind != "Reshape", view.attr("allowzero", 0) == 0)


VIEW_OF_A_RESHAPE = Rule(
    "views of a reshape",
    [first, second],
    where=[s.is_constant, absent_or(t, t.is_constant), _keeps_no_zero(first), _keeps_no_zero(second)],
    replace=Create("Reshape", x, constant(second.shape, name="shape"), attributes={"allowzero": 0}, into=second),
    why="A Reshape and the Reshape, Squeeze or Unsqueeze behind it become one Reshape to the last shape.",
    source=optimizer("reshape_fusion.cc"),
)

RESHAPES = Rewrite("reshapes", [VIEW_OF_A_RESHAPE])

TARGETS = Procedure(
    "targets of reshapes",
    "constant_targets",
    fields={
        "reshape": "Reshape",
        "concat": "Concat",
        "unsqueeze": "Unsqueeze",
        "gather": "Gather",
        "shape": "Shape",
    },
    why="A target that is put together of the sizes of a tensor, each in its place, and of constants, becomes a "
    "constant with zeros: a session that leaves dimensions free does without their arithmetic.",
    source=optimizer("reshape_fusion.cc"),
)
