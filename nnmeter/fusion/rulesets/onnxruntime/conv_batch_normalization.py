"""BatchNormalization behind a convolution goes into its weights."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Create, Op, Rule, maybe, tensors, weight
from nnmeter.fusion.rulesets.onnxruntime.sources import optimizer
from nnmeter.fusion.rulesets.shared import absent_or, all_constant

x, w, b, scale, offset, mean, variance = tensors("x w b scale offset mean variance")
conv = Op(("Conv", "ConvTranspose"), x, w, maybe(b))
normalization = Op("BatchNormalization", conv, scale, offset, mean, variance, name="normalization")
bias = weight(dtype=w.dtype, shape=[scale.dim(0)], name="bias")
scaled = weight(like=w, name="scaled")

CONV_AND_BATCH_NORMALIZATION = Rule(
    "Conv or ConvTranspose then BatchNormalization",
    [conv, normalization],
    where=[
        w.is_constant,
        conv.uses == 1,
        *all_constant(scale, offset, mean, variance),
        absent_or(b, b.is_constant),
    ],
    replace=Create(conv.kind, x, scaled, bias, attributes=conv.attributes(), into=normalization),
    why="A normalization with fixed statistics is a factor and an offset a channel: both go into weights and bias.",
    source=optimizer("conv_bn_fusion.cc"),
)

RULES = [CONV_AND_BATCH_NORMALIZATION]
