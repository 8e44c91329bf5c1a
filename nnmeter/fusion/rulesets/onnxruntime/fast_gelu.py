"""Gelu written with Tanh: x * 0.5 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Create, Op, Rewrite, Rule, tensors
from nnmeter.fusion.rulesets.onnxruntime.sources import optimizer

CUBE_FACTOR = 0.044715
ROOT_OF_TWO_BY_PI = 0.7978845


def _rule(by_products: bool) -> Rule:
    """`by_products`: 0.797 * x * (1 + 0.0447 * x * x), as old versions of TensorFlow export it, not a power."""
    x, three, cube_factor, root, one, half, unit = tensors("x three cube_factor root one half unit")
    if by_products:
        scaled = Op("Mul", x, cube_factor, commutative=True, name="scaled")
        squared = Op("Mul", scaled, x, commutative=True, name="squared")
        inner = Op("Add", squared, unit, commutative=True, name="inner")
        rooted = Op("Mul", x, root, commutative=True, name="rooted")
        argument = Op("Mul", inner, rooted, commutative=True, name="argument")
        match = [scaled, squared, inner, argument, rooted]
    else:
        cube = Op("Pow", x, three, name="cube")
        scaled = Op("Mul", cube, cube_factor, commutative=True, name="scaled")
        inner = Op("Add", x, scaled, commutative=True, name="inner")
        argument = Op("Mul", inner, root, commutative=True, name="argument")
        match = [cube, scaled, inner, argument]
    tanh = Op("Tanh", argument)
    plus_one = Op("Add", tanh, one, commutative=True, name="plus_one")
    halved = Op("Mul", x, half, commutative=True, name="halved")
    last = Op("Mul", plus_one, halved, commutative=True, name="last")
    return Rule(
        f"FastGelu, {'products' if by_products else 'cube'}, half first",
        [*match, tanh, plus_one, last, halved],
        where=[
            ~last.is_output,
            one.scalar.near(1),
            half.scalar.near(0.5),
            unit.scalar.near(1) if by_products else three.scalar.near(3),
            cube_factor.scalar.near(CUBE_FACTOR),
            root.scalar.near(ROOT_OF_TWO_BY_PI),
        ],
        replace=Create("com.microsoft.FastGelu", x, into=last),
        why="Gelu by Tanh in single operators becomes one, unless the graph returns it.",
        source=optimizer("fast_gelu_fusion.cc"),
    )


FAST_GELU = Rewrite("FastGelu", [_rule(by_products=False), _rule(by_products=True)])
