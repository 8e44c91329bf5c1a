"""x * sigmoid(c * x), also called SiLU or Swish."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Create, Op, Rewrite, Rule, tensors
from nnmeter.fusion.rulesets.onnxruntime.shared import FLOATS
from nnmeter.fusion.rulesets.onnxruntime.sources import optimizer


def _rule(with_factor: bool) -> Rule:
    x, c = tensors("x c")
    scaled = Op("Mul", x, c, commutative=True, name="scaled")
    sigmoid = Op("Sigmoid", scaled if with_factor else x)
    gate = Op("Mul", x, sigmoid, commutative=True, name="gate")
    return Rule(
        "QuickGelu with a factor" if with_factor else "QuickGelu",
        [*([scaled] if with_factor else []), sigmoid, gate],
        where=[*([c.is_known, c.elements == 1] if with_factor else []), x.dtype.one_of(*FLOATS)],
        replace=Create("com.microsoft.QuickGelu", x, attributes={"alpha": c.scalar if with_factor else 1.0}, into=gate),
        why="The product of a tensor and the sigmoid of itself, or of its product with a number, becomes one operator.",
        source=optimizer("quick_gelu_fusion.cc"),
    )


QUICK_GELU = Rewrite("QuickGelu", [_rule(with_factor=True), _rule(with_factor=False)])
