"""Products with constant matrices, pointwise convolutions, biases and normalizations."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Create, Expr, Op, Rewrite, Rule, Tensor, maybe, tensors, weight
from nnmeter.fusion.rulesets.shared import all_constant, per_channel
from nnmeter.fusion.rulesets.tract.sources import core

POINTWISE = "tract.Conv"


def _matmul() -> Rule:
    x, w = tensors("x w")
    product = Op("MatMul", x, w, name="product")
    return Rule(
        "product with a matrix: Gemm",
        [product],
        where=[w.is_constant, w.rank == 2, ~x.is_constant],
        replace=Create(
            "Gemm",
            x,
            weight(dtype=w.dtype, shape=w.shape.reversed, name="turned"),
            attributes={"transB": 1},
            into=product,
        ),
        why="Weights are packed before the run, however they lie.",
        source=core("ops/einsum/as_matmul.rs"),
    )


def _gemm() -> Rule:
    x, w, b = tensors("x w b")
    gemm = Op("Gemm", x, w, maybe(b))
    return Rule(
        "Gemm with weights by inputs",
        [gemm],
        where=[w.is_constant, gemm.attr("transA", 0) == 0, gemm.attr("transB", 0) == 0],
        replace=Create(
            "Gemm",
            x,
            weight(dtype=w.dtype, shape=w.shape.reversed, name="turned"),
            maybe(b),
            attributes={"transB": 1},
            into=gemm,
        ),
        why="Weights are packed before the run, however they lie.",
        source=core("ops/einsum/as_matmul.rs"),
    )


def _sum_behind() -> Rule:
    x, w, c = tensors("x w c")
    gemm = Op("Gemm", x, w)
    total = Op("Add", gemm, c, commutative=True, name="total")
    return Rule(
        "bias behind a product",
        [total, gemm],
        where=[w.is_constant, c.is_constant, c.elements == w.dim(0), gemm.shape == total.shape, gemm.uses == 1],
        replace=Create("Gemm", x, w, c, attributes=gemm.attributes(), into=total),
        why="A constant that is added by column runs inside of the product.",
        source=core("ops/matmul/optimized.rs"),
    )


def _bias_of(kind: str, others: list[Tensor], behind: Op, conv: Op, x: Tensor, w: Tensor, where: list[Expr]) -> Rule:
    bias = weight(dtype=w.dtype, shape=[conv.dim(1)], name="bias")
    return Rule(
        f"{behind.kinds[0]} into {kind}",
        [behind, conv],
        where=[*all_constant(w, *others), conv.uses == 1, *where],
        replace=Create(kind, x, w, bias, attributes=conv.attributes(), into=behind),
        why="What is constant by channel behind a convolution goes into its weights and its bias.",
        source=core("ops/cnn/conv/conv.rs"),
    )


def _normalization(kind: str) -> Rule:
    x, w, b, scale, offset, mean, variance = tensors("x w b scale offset mean variance")
    conv = Op(kind, x, w, maybe(b))
    behind = Op("BatchNormalization", conv, scale, offset, mean, variance, name="normalization")
    return _bias_of(kind, [scale, offset, mean, variance], behind, conv, x, w, [])


def _sum_behind_convolution(kind: str) -> Rule:
    x, w, c = tensors("x w c")
    conv = Op(kind, x, w)
    behind = Op("Add", conv, c, commutative=True, name="total")
    return _bias_of(kind, [c], behind, conv, x, w, [per_channel(c, conv, conv.dim(1)), conv.shape == behind.shape])


def _pointwise() -> Rule:
    x, w, b = tensors("x w b")
    conv = Op("Conv", x, w, maybe(b))
    return Rule(
        "pointwise convolution",
        [conv],
        where=[
            w.is_constant,
            w.elements == w.dim(0) * w.dim(1),
            conv.attr("group", 1) == 1,
            conv.attr("pads", [0]).all_equal(0),
        ],
        replace=Create(POINTWISE, x, w, maybe(b), attributes=conv.attributes(), into=conv),
        why="A convolution of one element, without padding or groups, is a product of matrices, which others can join; "
        "all other convolutions gather their windows, and nothing joins them.",
        source=core("ops/cnn/conv/conv.rs"),
    )


PRODUCTS = Rewrite(
    "products",
    [
        _matmul(),
        _gemm(),
        _sum_behind(),
        _normalization("Conv"),
        _normalization("ConvTranspose"),
        _sum_behind_convolution("Conv"),
        _sum_behind_convolution("ConvTranspose"),
    ],
)
POINTWISE_CONVOLUTIONS = Rewrite("pointwise convolutions", [_pointwise()])
