"""An activation behind a convolution."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Create, Op, Rewrite, Rule, maybe, tensors
from nnmeter.fusion.rulesets.onnxruntime.shared import CONV_ACTIVATIONS
from nnmeter.fusion.rulesets.onnxruntime.sources import optimizer
from nnmeter.fusion.rulesets.shared import absent_or


def _rule(clip: bool) -> Rule:
    x, w, b, lo, hi = tensors("x w b lo hi")
    conv = Op("Conv", x, w, maybe(b))
    if clip:
        activation = Op("Clip", conv, maybe(lo), maybe(hi), name="activation")
        bounds = [absent_or(lo, lo.is_known), absent_or(hi, hi.is_known)]
    else:
        activation = Op(CONV_ACTIVATIONS, conv, name="activation")
        bounds = []
    kind = "Clip" if clip else activation.kind
    return Rule(
        f"Conv and {'Clip' if clip else 'activation'}",
        [conv, activation],
        where=[x.dtype == "float32", *bounds],
        replace=Create(
            "com.microsoft.FusedConv",
            x,
            w,
            maybe(b),
            attributes=conv.attributes(activation=kind, group=conv.attr("group", 1)),
            into=activation,
        ),
        why="A convolution computes the activation behind it on what it writes"
        + (", if its bounds are known." if clip else "."),
        source=optimizer("conv_activation_fusion.cc"),
    )


CONV_AND_ACTIVATION = Rewrite("Conv and activation", [_rule(clip=False), _rule(clip=True)])
