"""A product with a reciprocal."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Create, Op, Rule, tensors
from nnmeter.fusion.rulesets.onnxruntime.sources import optimizer

one, b, x = tensors("one b x")
reciprocal = Op("Div", one, b, name="reciprocal")
mul = Op("Mul", reciprocal, x, commutative=True)

RECIPROCAL_THEN_PRODUCT = Rule(
    "reciprocal then product",
    [reciprocal, mul],
    where=[one.scalar.near(1), x.dtype.one_of("float32", "float16")],
    replace=Create("Div", x, b, into=mul),
    why="1 / b * x becomes the one division x / b.",
    source=optimizer("div_mul_fusion.cc"),
)

RULES = [RECIPROCAL_THEN_PRODUCT]
