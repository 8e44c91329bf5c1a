"""Normalizations, factors and offsets go into the convolution or product before them."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Create, Op, Rewrite, Rule, any_of, choose, maybe, tensors, weight
from nnmeter.fusion.rulesets.mobile.sources import converter
from nnmeter.fusion.rulesets.shared import all_constant, per_channel

SOURCE = converter("optimize_patterns.td")


def _normalization(kind: str) -> Rule:
    x, w, b, scale, offset, mean, variance = tensors("x w b scale offset mean variance")
    before = Op(kind, x, w, maybe(b))
    normalization = Op("BatchNormalization", before, scale, offset, mean, variance, name="normalization")
    outputs = w.dim(0) if kind == "Conv" else before.dim(1)
    bias = weight(dtype=w.dtype, shape=[outputs], name="bias")
    return Rule(
        f"normalization into a {'convolution' if kind == 'Conv' else 'product'}",
        [normalization, before],
        where=all_constant(w, scale, offset, mean, variance),
        replace=Create(kind, x, w, bias, attributes=before.attributes(), into=normalization),
        why="A normalization with fixed statistics is a factor and an offset a channel: the converter computes them "
        "into weights and bias.",
        source=SOURCE,
    )


def _constant_behind() -> Rule:
    x, w, b, c = tensors("x w b c")
    conv = Op("Conv", x, w, maybe(b))
    after = Op(("Add", "Mul"), conv, c, commutative=True, name="after")
    bias = weight(dtype=w.dtype, shape=[w.dim(0)], name="bias")
    return Rule(
        "constant into a convolution",
        [after, conv],
        where=[
            w.is_constant,
            c.is_constant,
            any_of(c.elements == 1, per_channel(c, conv, w.dim(0))),
            conv.shape == after.shape,
        ],
        replace=Create("Conv", x, w, bias, attributes=conv.attributes(), into=after),
        why="A constant, one or one a channel, that is added or multiplied behind a convolution goes into weights and "
        "bias.",
        source=SOURCE,
    )


def _bias() -> Rule:
    x, w, b = tensors("x w b")
    conv = Op("Conv", x, w, maybe(b))
    bias = weight(dtype=choose(w.dtype == "int8", "int32", w.dtype), shape=[w.dim(0)], name="bias")
    return Rule(
        "bias of a convolution",
        [conv],
        where=[w.is_constant, b.is_absent],
        replace=Create("Conv", x, w, bias, attributes=conv.attributes(), into=conv),
        why="A convolution of TFLite always has a bias, of zeros where the model has none.",
        source=converter("prepare_tf.cc"),
    )


NORMALIZATIONS_AND_BIASES = Rewrite(
    "normalizations and biases", [_normalization("Conv"), _normalization("Gemm"), _constant_behind()]
)
BIAS_FOR_EVERY_CONVOLUTION = [_bias()]
