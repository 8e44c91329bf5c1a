"""Gelu written with Erf: x * 0.5 * (1 + erf(x / sqrt(2)))."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Around, Create, Op, Rewrite, Rule, choose, opset, tensors
from nnmeter.fusion.rulesets.onnxruntime.sources import optimizer


def _rule(half_first: bool, of_the_operator_set: bool) -> Rule:
    """`half_first`: half of x is multiplied by the sum; otherwise the product of x and the sum is halved."""
    x, root_of_two, one, half = tensors("x root_of_two one half")
    scaled = Op("Div", x, root_of_two, name="scaled")
    erf = Op("Erf", scaled)
    plus_one = Op("Add", erf, one, commutative=True, name="plus_one")
    if half_first:
        halved = Op("Mul", x, half, commutative=True, name="halved")
        last = Op("Mul", plus_one, halved, commutative=True)
        match = [scaled, erf, plus_one, last, halved]
    else:
        times = Op("Mul", plus_one, x, commutative=True, name="times")
        last = Op("Mul", times, half, commutative=True)
        match = [scaled, erf, plus_one, times, last]
    numbers = [root_of_two.scalar.near(1.41421356), one.scalar.near(1), half.scalar.near(0.5)]
    return Rule(
        f"Gelu, half {'first' if half_first else 'last'}",
        match,
        where=[opset() >= 20, *numbers] if of_the_operator_set else numbers,
        unless=[] if half_first else [Around([Op("Mul", ..., outputs=[x], name="product")])],
        replace=Create(choose(opset() >= 20, "Gelu", "com.microsoft.Gelu"), x, into=last),
        why="Gelu in single operators becomes one: from opset 20 on ONNX's own, before it that of ONNX Runtime, which "
        "is only made among the extended optimizations. A product that is the argument is taken for its half, and the "
        "rest stays as it is.",
        source=optimizer("gelu_fusion.cc"),
    )


def _pass(name: str, of_the_operator_set: bool) -> Rewrite:
    return Rewrite(name, [_rule(half_first, of_the_operator_set) for half_first in (False, True)])


GELU_OF_THE_OPERATOR_SET = _pass("Gelu of the operator set", of_the_operator_set=True)
GELU = _pass("Gelu", of_the_operator_set=False)
