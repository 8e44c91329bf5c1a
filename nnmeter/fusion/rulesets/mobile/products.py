"""Products with constant matrices: one Gemm with transposed weights and a bias, as TFLite stores them."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Create, Op, Rewrite, Rule, Tensor, maybe, tensors, weight
from nnmeter.fusion.rulesets.builder.rules import Made
from nnmeter.fusion.rulesets.mobile.sources import converter
from nnmeter.fusion.rulesets.shared import absent_or

SOURCE = converter("prepare_tf.cc and optimize_patterns.td")


def _turned(w: Tensor) -> Made:
    return weight(dtype=w.dtype, shape=w.shape.reversed, name="turned")


def _matmul() -> Rule:
    x, w = tensors("x w")
    product = Op("MatMul", x, w, name="product")
    bias = weight(dtype=w.dtype, shape=[w.dim(1)], name="bias")
    return Rule(
        "product with a matrix: Gemm",
        [product],
        where=[w.is_constant, w.rank == 2, x.rank == 2],
        replace=Create("Gemm", x, _turned(w), bias, attributes={"transB": 1}, into=product),
        why="A product of a matrix by constant weights is a fully connected layer, which always has a bias.",
        source=SOURCE,
    )


def _weights_by_outputs() -> Rule:
    x, w, b = tensors("x w b")
    gemm = Op("Gemm", x, w, maybe(b))
    return Rule(
        "weights of a product by outputs",
        [gemm],
        where=[w.is_constant, gemm.attr("transB", 0) == 0, gemm.attr("transA", 0) == 0],
        replace=Create("Gemm", x, _turned(w), maybe(b), attributes={"transB": 1}, into=gemm),
        why="Weights are stored one row an output.",
        source=SOURCE,
    )


def _bias() -> Rule:
    x, w, b = tensors("x w b")
    gemm = Op("Gemm", x, w, maybe(b))
    bias = weight(dtype=w.dtype, shape=[w.dim(0)], name="bias")
    return Rule(
        "bias of a product",
        [gemm],
        where=[w.is_constant, gemm.attr("transB", 0) == 1, absent_or(b, b.rank != 1), absent_or(b, b.is_constant)],
        replace=Create("Gemm", x, w, bias, attributes=gemm.attributes(), into=gemm),
        why="A fully connected layer has one bias an output, of zeros where the model has none.",
        source=SOURCE,
    )


def _constant_behind() -> Rule:
    x, w, b, c = tensors("x w b c")
    gemm = Op("Gemm", x, w, maybe(b))
    after = Op(("Add", "Mul"), gemm, c, commutative=True, name="after")
    bias = weight(dtype=w.dtype, shape=[gemm.dim(1)], name="bias")
    return Rule(
        "constant into a product",
        [after, gemm],
        where=[w.is_constant, c.is_constant, gemm.shape == after.shape, c.elements.one_of(1, gemm.dim(1))],
        replace=Create("Gemm", x, w, bias, attributes=gemm.attributes(), into=after),
        why="A constant that is added or multiplied behind a fully connected layer goes into weights and bias.",
        source=SOURCE,
    )


PRODUCTS = Rewrite("products with constant matrices", [_matmul(), _weights_by_outputs(), _bias(), _constant_behind()])
