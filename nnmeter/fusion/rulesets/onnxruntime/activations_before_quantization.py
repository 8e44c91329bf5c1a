"""Activations that a quantization behind them makes superfluous."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Expr, Op, Rewrite, Rule, Tensor, choose, maybe, tensors
from nnmeter.fusion.rulesets.onnxruntime.sources import optimizer
from nnmeter.fusion.rulesets.shared import absent_or

TOLERANCE = 1e-05


def _bound(q: Tensor, unsigned: int, signed: int) -> Expr:
    return choose(q.dtype == "uint8", unsigned, signed)


def _relu() -> Rule:
    x, s, z = tensors("x s z")
    relu = Op("Relu", x)
    quantize = Op("QuantizeLinear", relu, s, z, shared=True, name="quantize")
    return Rule(
        "Relu before QuantizeLinear",
        [relu, quantize],
        where=[relu.uses == 1, quantize.dtype.one_of("uint8", "int8"), z.scalar == _bound(quantize, 0, -128)],
        forward={relu: x},
        why="A Relu goes where the smallest integer of the quantization behind it stands for 0.",
        source=optimizer("qdq_transformer/relu_quantizelinear.cc"),
    )


def _clip() -> Rule:
    x, lo, hi, s, z = tensors("x lo hi s z")
    clip = Op("Clip", x, maybe(lo), maybe(hi))
    quantize = Op("QuantizeLinear", clip, s, z, shared=True, name="quantize")
    lowest = s.scalar * (_bound(quantize, 0, -128) - z.scalar)
    highest = s.scalar * (_bound(quantize, 255, 127) - z.scalar)
    return Rule(
        "Clip before QuantizeLinear",
        [clip, quantize],
        where=[
            clip.uses == 1,
            quantize.dtype.one_of("uint8", "int8"),
            absent_or(lo, lo.scalar - TOLERANCE <= lowest),
            absent_or(hi, hi.scalar + TOLERANCE >= highest),
        ],
        forward={clip: x},
        why="A Clip goes where the quantization behind it cuts off as much.",
        source=optimizer("qdq_transformer/clip_quantizelinear.cc"),
    )


ACTIVATIONS_BEFORE_QUANTIZATION = Rewrite("activations before quantization", [_relu(), _clip()])
