"""BatchNormalization behind a MatMul: one Gemm."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Create, Op, Rule, tensors, weight
from nnmeter.fusion.rulesets.onnxruntime.shared import PLAIN_GEMM
from nnmeter.fusion.rulesets.onnxruntime.sources import optimizer
from nnmeter.fusion.rulesets.shared import all_constant

x, w, scale, offset, mean, variance = tensors("x w scale offset mean variance")
product = Op("MatMul", x, w)
normalization = Op("BatchNormalization", product, scale, offset, mean, variance, name="normalization")
bias = weight(dtype=w.dtype, shape=[w.dim(1)], name="bias")
scaled = weight(like=w, name="scaled")

MATMUL_AND_BATCH_NORMALIZATION = Rule(
    "MatMul then BatchNormalization",
    [product, normalization],
    where=[w.is_constant, w.rank == 2, x.rank == 2, *all_constant(scale, offset, mean, variance)],
    replace=Create("Gemm", x, scaled, bias, attributes=PLAIN_GEMM, into=normalization),
    why="A product with a constant matrix and the normalization behind it become a Gemm with scaled weights and a "
    "bias.",
    source=optimizer("matmul_bn_fusion.cc"),
)

RULES = [MATMUL_AND_BATCH_NORMALIZATION]
