"""Products of floats by quantized weights: MatMulNBits unpacks the weights itself."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import (
    Around,
    Create,
    Expr,
    Op,
    Rewrite,
    Rule,
    Tensor,
    all_of,
    any_of,
    choose,
    maybe,
    rounded_up,
    tensors,
    weight,
)
from nnmeter.fusion.rulesets.onnxruntime.shared import FLOATS
from nnmeter.fusion.rulesets.onnxruntime.sources import optimizer

DEFAULT_BLOCK = 32
INT8_PRODUCTS = 4  # accuracy_level: the data is quantized in each run


def _plain_gemm(product: Op) -> list[Expr]:
    """Gemm that multiplies by the weights as they are and adds the bias as it is."""
    return [
        product.attr("transA", 0) == 0,
        product.attr("transB", 0) == 0,
        product.attr("alpha", 1.0) == 1,
        product.attr("beta", 1.0) == 1,
    ]


def _rule(kind: str, zero_points: bool) -> Rule:
    """`zero_points`: the weights have some, or are unsigned so that half of their range takes the place of 0."""
    x, b, q, s, z = tensors("x b q s z")
    w = Op("DequantizeLinear", q, s, maybe(z), shared=True, name="dequantize")
    product = Op(kind, x, w, *([b] if kind == "Gemm" else []), name="product")
    blocked = w.attr("block_size", 0)
    block = choose(blocked > 0, blocked, DEFAULT_BLOCK)
    bits = choose(q.dtype.one_of("int8", "uint8"), 8, 4)
    blocks = rounded_up(q.dim(0), block) / block
    has_zeros = any_of(z.is_present, q.dtype.one_of("uint8", "uint4"))
    per_column = [all_of(blocked == 0, w.attr("axis", 1) == 1)] if kind == "MatMul" else []
    packed = weight(dtype="uint8", shape=[q.dim(1), blocks, block * bits / 8], name="packed")
    scales = weight(dtype=s.dtype, shape=[q.dim(1) * blocks], name="scales")
    zeros = weight(dtype="uint8", shape=[q.dim(1) * (rounded_up(blocks * bits, 8) / 8)], name="zeros")
    inputs: list[Tensor | None] = [packed, scales, zeros if zero_points else None, None, b]
    if kind == "MatMul":
        inputs = inputs[: 3 if zero_points else 2]
    return Rule(
        f"{kind} by quantized weights" + (" with zero points" if zero_points else ""),
        [product, w],
        where=[
            q.is_constant,
            q.rank == 2,
            q.dtype.one_of("int8", "uint8", "int4", "uint4"),
            x.dtype.one_of(*FLOATS),
            w.uses == 1,
            has_zeros if zero_points else ~has_zeros,
            any_of(s.elements == 1, *per_column, all_of(blocked > 0, w.attr("axis", 1) == 0)),
            *([b.rank == 1, *_plain_gemm(product)] if kind == "Gemm" else []),
        ],
        unless=[Around([Op("DequantizeLinear", ..., outputs=[x], name="quantized_data")])],
        replace=Create(
            "com.microsoft.MatMulNBits",
            x,
            *inputs,
            attributes={
                "K": q.dim(0),
                "N": q.dim(1),
                "bits": bits,
                "block_size": block,
                "accuracy_level": INT8_PRODUCTS,
            },
            into=product,
        ),
        why="Weights of 4 or 8 bits that only one product of floats reads are repacked in blocks for MatMulNBits.",
        source=optimizer("qdq_transformer/selectors_actions/qdq_actions.cc"),
    )


QUANTIZED_WEIGHTS = Rewrite(
    "products by quantized weights",
    [_rule(kind, zero_points) for kind in ("MatMul", "Gemm") for zero_points in (True, False)],
)
