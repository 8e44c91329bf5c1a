"""A scalar factor before or behind a MatMul becomes the `alpha` of FusedMatMul."""

from __future__ import annotations

from typing import Literal

from nnmeter.fusion.rulesets.builder import Expr, Op, Rewrite, Rule, Tensor, tensors
from nnmeter.fusion.rulesets.onnxruntime.shared import MATMULS, fused_matmul
from nnmeter.fusion.rulesets.onnxruntime.sources import optimizer

SOURCE = optimizer("matmul_scale_fusion.cc")
Scale = Literal["Mul", "Div"]


def _alpha(product: Op, scale: Scale, c: Tensor) -> Expr:
    alpha = product.attr("alpha", 1.0)
    return alpha * c.scalar if scale == "Mul" else alpha / c.scalar


def _before(side: Literal["A", "B"], scale: Scale) -> Rule:
    a, b, c = tensors("a b c")
    factor = a if side == "A" else b
    scaled = Op(scale, factor, c, shared=True, commutative=scale == "Mul", name="scaled")
    product = Op(MATMULS, *((scaled, b) if side == "A" else (a, scaled)), name="product")
    return Rule(
        f"{scale} by a scalar into MatMul {side}",
        [product, scaled],
        where=[
            c.is_known,
            c.elements == 1,
            c.rank <= factor.rank,
            factor.rank > 0,
            factor.dtype.one_of("float32", "float64"),
        ],
        replace=fused_matmul(product, a, b, into=product, alpha=_alpha(product, scale, c)),
        why=f"FusedMatMul scales its result by itself, so that a {scale} by a scalar before it goes.",
        source=SOURCE,
    )


def _behind(scale: Scale) -> Rule:
    a, b, c = tensors("a b c")
    product = Op(MATMULS, a, b, name="product")
    scaled = Op(scale, product, c, commutative=scale == "Mul", name="scaled")
    return Rule(
        f"{scale} by a scalar after MatMul",
        [product, scaled],
        where=[c.is_known, c.elements == 1, c.rank <= product.rank, a.dtype.one_of("float32", "float64")],
        replace=fused_matmul(product, a, b, into=scaled, alpha=_alpha(product, scale, c)),
        why=f"FusedMatMul scales its result by itself, so that a {scale} by a scalar behind it goes.",
        source=SOURCE,
    )


SCALES: tuple[Scale, ...] = ("Mul", "Div")

MATMUL_AND_SCALE = Rewrite(
    "MatMul and scale",
    [
        *(_before("A", scale) for scale in SCALES),
        *(_before("B", scale) for scale in SCALES),
        *(_behind(scale) for scale in SCALES),
    ],
)
