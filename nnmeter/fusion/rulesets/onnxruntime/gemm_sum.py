"""The sum behind a Gemm without a bias becomes its bias."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Create, Op, Rule, tensors
from nnmeter.fusion.rulesets.onnxruntime.sources import optimizer

a, w, c = tensors("a w c")
gemm = Op("Gemm", a, w)
total = Op("Sum", gemm, c, commutative=True)

GEMM_AND_SUM = Rule(
    "Gemm plus Sum",
    [gemm, total],
    where=[c.shape == gemm.shape],
    replace=Create("Gemm", a, w, c, attributes=gemm.attributes(), into=total),
    why="A tensor of the same shape that is added by Sum becomes the third input of Gemm. An Add is left alone.",
    source=optimizer("gemm_sum_fusion.cc"),
)

RULES = [GEMM_AND_SUM]
