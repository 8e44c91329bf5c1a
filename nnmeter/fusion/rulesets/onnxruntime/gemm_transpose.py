"""Transposes before and behind a Gemm become its attributes."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Create, Expr, Op, Rule, maybe, tensors
from nnmeter.fusion.rulesets.onnxruntime.sources import optimizer

SOURCE = optimizer("gemm_transpose_fusion.cc")


def _turned(gemm: Op, side: str) -> Expr:
    return 1 - gemm.attr(f"trans{side}", 0)


def _before(side: str) -> Rule:
    a, w, c = tensors("a w c")
    transpose = Op("Transpose", a if side == "A" else w, shared=True)
    gemm = Op("Gemm", *((transpose, w) if side == "A" else (a, transpose)), maybe(c))
    turned = gemm.attributes({f"trans{side}": _turned(gemm, side)})
    return Rule(
        f"Transpose into Gemm {side}",
        [gemm, transpose],
        where=[~transpose.is_output],
        replace=Create("Gemm", a, w, maybe(c), attributes=turned, into=gemm),
        why=f"Gemm reads the transposed factor {side} by itself, so the Transpose before it goes.",
        source=SOURCE,
    )


def _behind() -> Rule:
    a, w = tensors("a w")
    gemm = Op("Gemm", a, w)
    transpose = Op("Transpose", gemm)
    turned = gemm.attributes(transA=_turned(gemm, "B"), transB=_turned(gemm, "A"))
    return Rule(
        "Gemm then Transpose",
        [gemm, transpose],
        replace=Create("Gemm", w, a, attributes=turned, into=transpose),
        why="The transpose of a product is the product of the transposed factors in the other order.",
        source=SOURCE,
    )


RULES = [_before("A"), _before("B"), _behind()]
