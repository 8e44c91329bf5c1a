"""A constant factor behind a convolution goes into its weights."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Create, Op, Rule, any_of, maybe, tensors, weight
from nnmeter.fusion.rulesets.onnxruntime.sources import optimizer
from nnmeter.fusion.rulesets.shared import absent_or, per_channel

x, w, b, c = tensors("x w b c")
conv = Op("Conv", x, w, maybe(b))
mul = Op("Mul", conv, c)
scaled = weight(like=w, name="scaled")

CONV_AND_MUL = Rule(
    "Conv then Mul by a constant",
    [conv, mul],
    where=[
        w.is_constant,
        conv.uses == 1,
        c.is_constant,
        absent_or(b, b.is_constant),
        any_of(c.rank == 0, per_channel(c, conv, w.dim(0))),
    ],
    replace=Create("Conv", x, scaled, maybe(b), attributes=conv.attributes(), into=mul),
    why="A scalar, or one factor a channel, is multiplied into weights and bias before the run.",
    source=optimizer("conv_mul_fusion.cc"),
)

RULES = [CONV_AND_MUL]
