"""Products with constant matrices, which run as convolutions, and biases."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Create, Op, Rewrite, Rule, any_of, maybe, tensors, weight
from nnmeter.fusion.rulesets.mnn.sources import after, merge, onnx
from nnmeter.fusion.rulesets.shared import absent_or, per_channel


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
            weight(dtype=w.dtype, shape=[w.dim(1)], name="bias"),
            attributes={"transB": 1},
            into=product,
        ),
        why="A product with a constant matrix runs as a pointwise convolution, with a bias.",
        source=merge("ConvertMatMulToConv2D.cpp"),
    )


def _gemm(turned: bool) -> Rule:
    x, w, b = tensors("x w b")
    gemm = Op("Gemm", x, w, maybe(b))
    outputs = w.dim(0) if turned else w.dim(1)
    matrix = w if turned else weight(dtype=w.dtype, shape=w.shape.reversed, name="turned")
    bias = weight(dtype=w.dtype, shape=[outputs], name="bias")
    return Rule(
        f"Gemm{'' if turned else ' with weights by inputs'}",
        [gemm],
        where=[
            w.is_constant,
            gemm.attr("transA", 0) == 0,
            gemm.attr("transB", 0) == (1 if turned else 0),
            absent_or(b, b.is_constant),
            *([any_of(b.is_absent, b.rank != 1)] if turned else []),
        ],
        replace=Create("Gemm", x, matrix, bias, attributes={"transB": 1}, into=gemm),
        why="Gemm with a constant matrix runs as a pointwise convolution, with a bias.",
        source=onnx("optimizer/onnxextra/OnnxGemm.cpp"),
    )


def _sum_behind() -> Rule:
    x, w, b, c = tensors("x w b c")
    gemm = Op("Gemm", x, w, b)
    total = Op("Add", gemm, c, commutative=True, name="total")
    return Rule(
        "bias behind a product",
        [total, gemm],
        where=[w.is_constant, c.is_constant, c.elements == w.dim(0), gemm.shape == total.shape, gemm.uses == 1],
        replace=Create("Gemm", x, w, b, attributes=gemm.attributes(), into=total),
        why="A constant that is added to the results of a product becomes its bias.",
        source=merge("ConvertMatMulToConv2D.cpp"),
    )


def _sum_behind_convolution(kind: str) -> Rule:
    x, w, b, c = tensors("x w b c")
    conv = Op(kind, x, w, maybe(b))
    total = Op("Add", conv, c, commutative=True, name="total")
    bias = weight(dtype=w.dtype, shape=[conv.dim(1)], name="bias")
    return Rule(
        f"bias behind {kind}",
        [total, conv],
        where=[w.is_constant, c.is_constant, per_channel(c, conv, conv.dim(1)), conv.shape == total.shape],
        replace=Create(kind, x, w, bias, attributes=conv.attributes(), into=total),
        why="A constant that is added by channel becomes the bias of the convolution.",
        source=merge("ConvBiasAdd.cpp"),
    )


def _bias(kind: str) -> Rule:
    x, w, b = tensors("x w b")
    conv = Op(kind, x, w, maybe(b))
    bias = weight(dtype=w.dtype, shape=[conv.dim(1)], name="bias")
    return Rule(
        f"bias of {kind}",
        [conv],
        where=[w.is_constant, b.is_absent],
        replace=Create(kind, x, w, bias, attributes=conv.attributes(), into=conv),
        why="A convolution always has a bias, of zeros where the model has none.",
        source=after("MergeBNToConvolution.cpp"),
    )


PRODUCTS = Rewrite(
    "products",
    [
        _matmul(),
        _gemm(turned=True),
        _gemm(turned=False),
        _sum_behind(),
        _sum_behind_convolution("Conv"),
        _sum_behind_convolution("ConvTranspose"),
    ],
)
BIASES = Rewrite("biases", [_bias("Conv"), _bias("ConvTranspose")])
