"""A bias behind MatMulNBits."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Create, Op, Rewrite, Rule, maybe, tensors
from nnmeter.fusion.rulesets.onnxruntime.sources import optimizer

x, w, s, z, g, b = tensors("x w s z g b")
product = Op("com.microsoft.MatMulNBits", x, w, s, maybe(z), maybe(g), name="product")
add = Op("Add", product, b, commutative=True)

MATMUL_NBITS_AND_BIAS = Rewrite(
    "MatMulNBits and bias",
    [
        Rule(
            "MatMulNBits and bias",
            [product, add],
            where=[b.is_constant, b.rank == 1, b.dim(0) == product.attr("N", 0)],
            replace=Create(
                "com.microsoft.MatMulNBits",
                x,
                w,
                s,
                maybe(z),
                maybe(g),
                b,
                attributes=product.attributes(),
                into=add,
            ),
            why="A constant vector that is added behind MatMulNBits becomes its last input.",
            source=optimizer("matmul_nbits_fusion.cc"),
        )
    ],
)
