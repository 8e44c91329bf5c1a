"""Relu before Clip: one Clip with a lower bound of at least 0."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Create, Op, Rule, choose, constant, largest, maybe, opset, tensor, tensors
from nnmeter.fusion.rulesets.onnxruntime.sources import optimizer
from nnmeter.fusion.rulesets.shared import absent_or

WHY = "Relu is taken into a Clip that follows: its lower bound becomes the larger of itself and 0."
SOURCE = optimizer("relu_clip_fusion.cc")


def _bounds_as_inputs() -> Rule:
    x, lo, hi = tensors("x lo hi")
    relu = Op("Relu", x)
    clip = Op("Clip", relu, maybe(lo), maybe(hi))
    low = constant(choose(lo.is_present, largest(lo.scalar, 0), 0), dtype=x.dtype, name="low")
    return Rule(
        "Relu then Clip",
        [relu, clip],
        where=[opset() >= 11, absent_or(lo, lo.is_known)],
        replace=Create("Clip", x, low, maybe(hi), attributes=clip.attributes(), into=clip),
        why=WHY,
        source=SOURCE,
    )


def _bounds_as_attributes() -> Rule:
    x = tensor("x")
    relu = Op("Relu", x)
    clip = Op("Clip", relu)
    return Rule(
        "Relu then Clip of attributes",
        [relu, clip],
        where=[opset() < 11],
        replace=Create("Clip", x, attributes=clip.attributes(min=largest(clip.attr("min", 0), 0)), into=clip),
        why=WHY,
        source=SOURCE,
    )


RULES = [_bounds_as_inputs(), _bounds_as_attributes()]
