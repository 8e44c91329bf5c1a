"""Transposes before a MatMul become attributes of FusedMatMul."""

from __future__ import annotations

from typing import Literal

from nnmeter.fusion.rulesets.builder import Expr, Op, Rewrite, Rule, all_of, concat, indices, tensors
from nnmeter.fusion.rulesets.onnxruntime.shared import MATMULS, fused_matmul
from nnmeter.fusion.rulesets.onnxruntime.sources import optimizer

SOURCE = optimizer("matmul_transpose_fusion.cc")
Side = Literal["A", "B"]


def _turned(product: Op, side: Side) -> Expr:
    return 1 - product.attr(f"trans{side}", 0)


def _of_batches(side: Side, matrices_too: bool) -> Rule:
    """The first dimension goes to the place before the last one or, with `matrices_too`, to the last place."""
    a, b = tensors("a b")
    turned, other = (a, b) if side == "A" else (b, a)
    transpose = Op("Transpose", turned, shared=True)
    product = Op(MATMULS, *((transpose, b) if side == "A" else (a, transpose)), name="product")
    perm = transpose.attr("perm")
    last = perm.length - 1
    expected = concat(indices(perm.length)[1:], [0]) if matrices_too else concat(indices(last)[1:], [0, last])
    changes: dict[str, Expr | int] = {f"transBatch{side}": 1}
    if matrices_too:
        changes[f"trans{side}"] = _turned(product, side)
    ranks = transpose.rank == other.rank if side == "A" else other.rank == transpose.rank
    return Rule(
        f"Transpose of batches{' and matrices' if matrices_too else ''} into MatMul {side}",
        [product, transpose],
        where=[
            perm.length >= 3,
            perm == expected,
            product.attr(f"transBatch{side}", 0) == 0,
            ranks,
            ~transpose.is_output,
            turned.dtype.one_of("float32", "float64"),
        ],
        replace=fused_matmul(product, a, b, into=product, **changes),
        why=f"FusedMatMul reads a factor {side} whose batches lie inside of its matrices, so the Transpose goes.",
        source=SOURCE,
    )


def _of_matrices(side: Side) -> Rule:
    a, b = tensors("a b")
    turned = a if side == "A" else b
    transpose = Op("Transpose", turned, shared=True)
    product = Op(MATMULS, *((transpose, b) if side == "A" else (a, transpose)), name="product")
    perm = transpose.attr("perm")
    swaps_the_last_two = perm == concat(indices(perm.length - 2), [perm.length - 1, perm.length - 2])
    return Rule(
        f"Transpose into MatMul {side}",
        [product, transpose],
        where=[
            all_of(perm.length >= 2, swaps_the_last_two),
            ~transpose.is_output,
            a.dtype.one_of("float32", "float64"),
        ],
        replace=fused_matmul(product, a, b, into=product, **{f"trans{side}": _turned(product, side)}),
        why=f"FusedMatMul reads a transposed factor {side} by itself, so the Transpose before it goes.",
        source=SOURCE,
    )


MATMUL_AND_TRANSPOSE = Rewrite(
    "MatMul and Transpose",
    [
        _of_batches("A", matrices_too=False),
        _of_batches("A", matrices_too=True),
        _of_batches("B", matrices_too=False),
        _of_batches("B", matrices_too=True),
        _of_matrices("A"),
        _of_matrices("B"),
    ],
)
