"""A product with a matrix and the bias behind it: one Gemm."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import (
    ANY,
    Around,
    Create,
    Op,
    Rewrite,
    Rule,
    Tensor,
    all_of,
    any_of,
    concat,
    constant,
    tensors,
)
from nnmeter.fusion.rulesets.onnxruntime.shared import PLAIN_GEMM
from nnmeter.fusion.rulesets.onnxruntime.sources import optimizer

SOURCE = optimizer("matmul_add_fusion.cc")
FLOATS = ("float32", "float16", "bfloat16")


def _of_matrices() -> Rule:
    x, w, b = tensors("x w b")
    product = Op("MatMul", x, w)
    add = Op("Add", product, b, commutative=True)
    rows, columns = x.dim(0), w.dim(1)
    return Rule(
        "MatMul then Add",
        [product, add],
        where=[
            x.dtype.one_of(*FLOATS),
            x.rank == 2,
            w.rank == 2,
            any_of(
                all_of(b.rank == 1, b.dim(0) == columns),
                all_of(b.rank == 2, b.dim(0).one_of(1, rows), b.dim(1) == columns),
                all_of(b.rank == 2, b.dim(0) == rows, b.dim(1) == 1),
            ),
        ],
        replace=Create("Gemm", x, w, b, attributes=PLAIN_GEMM, into=add),
        why="A product of two matrices and a bias that Gemm can broadcast become a Gemm.",
        source=SOURCE,
    )


def _before_attention(x: Tensor) -> Around:
    """`x` is normalized, read by three products, and added to what an attention projects: its first product."""
    projected = Tensor("projected")
    return Around(
        [
            Op("LayerNormalization", ..., outputs=[x]),
            Op("MatMul", x, ANY, outputs=[...]),
            Op("MatMul", x, ANY, outputs=[...]),
            Op("Add", x, projected, outputs=[...], commutative=True, name="skip"),
            Op("Add", ..., outputs=[projected], name="projection"),
        ],
        where=[x.uses == 4],
    )


def _behind_attention(y: Tensor) -> Around:
    """What is computed is added to a normalized tensor that three products read: an attention's last product."""
    normalized = Tensor("normalized")
    return Around(
        [
            Op("Add", y, normalized, outputs=[...], commutative=True, name="skip"),
            Op("LayerNormalization", ..., outputs=[normalized]),
            *(Op("MatMul", normalized, ANY, outputs=[...]) for _ in range(3)),
        ],
        where=[normalized.uses == 4],
    )


def _of_more_dimensions(spares_attention: bool) -> Rule:
    x, w, b = tensors("x w b")
    product = Op("MatMul", x, w)
    add = Op("Add", product, b, commutative=True)
    rows = x.shape[:-1].product
    flat = Create(
        "Reshape",
        x,
        constant([rows, w.dim(0)]),
        dtype=x.dtype,
        shape=[rows, w.dim(0)],
        attributes={"allowzero": 0},
    )
    gemm = Create("Gemm", flat, w, b, dtype=x.dtype, shape=[rows, w.dim(1)], attributes=PLAIN_GEMM, main=True)
    back = Create("Reshape", gemm, constant(concat(x.shape[:-1], [w.dim(1)])), attributes={"allowzero": 0}, into=add)
    spared = "; the products of an attention are left for its own fusion" if spares_attention else ""
    return Rule(
        "MatMul of many dimensions then Add",
        [product, add],
        where=[x.dtype.one_of(*FLOATS), x.rank != 2, x.is_sized, w.rank == 2, b.rank == 1, b.dim(0) == w.dim(1)],
        unless=[_before_attention(x), _behind_attention(add)] if spares_attention else [],
        replace=[flat, gemm, back],
        why="With more dimensions than two, the data is reshaped to a matrix for Gemm and back, if all its sizes are "
        f"known{spared}.",
        source=SOURCE,
    )


MATMUL_AND_ADD = Rewrite("MatMul and Add", [_of_matrices(), _of_more_dimensions(spares_attention=True)])
MATMUL_AND_ADD_OF_ATTENTION = Rewrite(
    "MatMul and Add of attention", [_of_matrices(), _of_more_dimensions(spares_attention=False)]
)
