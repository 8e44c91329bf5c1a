"""A negated condition of Where."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Create, Op, Rule, tensors
from nnmeter.fusion.rulesets.onnxruntime.sources import optimizer

c, a, b = tensors("c a b")
negation = Op("Not", c)
choice = Op("Where", negation, a, b)

NOT_INTO_WHERE = Rule(
    "Not into Where",
    [negation, choice],
    replace=Create("Where", c, b, a, into=choice),
    why="Where of a negated condition swaps its two tensors, and Not goes.",
    source=optimizer("not_where_fusion.cc"),
)

RULES = [NOT_INTO_WHERE]
