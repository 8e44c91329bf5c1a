"""A constant that is added behind a convolution becomes its bias."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Create, Op, Rule, maybe, tensors, weight
from nnmeter.fusion.rulesets.onnxruntime.sources import optimizer
from nnmeter.fusion.rulesets.shared import absent_or, per_channel

x, w, b, c = tensors("x w b c")
conv = Op("Conv", x, w, maybe(b))
add = Op("Add", conv, c)
bias = weight(dtype=w.dtype, shape=[w.dim(0)], name="bias")

CONV_AND_ADD = Rule(
    "Conv then Add of a constant",
    [conv, add],
    where=[w.is_constant, conv.uses == 1, c.is_constant, absent_or(b, b.is_constant), per_channel(c, conv, w.dim(0))],
    replace=Create("Conv", x, w, bias, attributes=conv.attributes(), into=add),
    why="One number a channel, added behind a convolution, is added to its bias before the run. The convolution must "
    "be the first input of Add.",
    source=optimizer("conv_add_fusion.cc"),
)

RULES = [CONV_AND_ADD]
