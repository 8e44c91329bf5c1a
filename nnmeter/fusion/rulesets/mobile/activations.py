"""Activations that exporters write in single operators."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Create, Expr, Op, Rewrite, Rule, Tensor, all_of, any_of, maybe, tensors
from nnmeter.fusion.rulesets.mobile.sources import ONE_FORM, converter

SIXTH = 0.16666667
SOURCE = converter("optimize_patterns.td")


def bounds_are(clip: Op, lo: Tensor, hi: Tensor, low: float, high: float) -> Expr:
    """The bounds of a Clip, as inputs or (before opset 11) as attributes."""
    return any_of(
        all_of(lo.scalar == low, hi.scalar == high),
        all_of(lo.is_absent, hi.is_absent, clip.attr("min") == low, clip.attr("max") == high),
    )


def _rectified_sum(scale: str, swish: bool) -> Rule:
    """clip(x + 3, 0, 6), perhaps times x, and then times 1/6 or divided by 6."""
    x, three, lo, hi, s = tensors("x three lo hi s")
    add = Op("Add", x, three, commutative=True)
    clip = Op("Clip", add, maybe(lo), maybe(hi))
    gate = Op("Mul", clip, x, commutative=True, name="gate")
    scaled = Op(scale, gate if swish else clip, s, commutative=scale == "Mul", name="scaled")
    sigmoid = {"alpha": SIXTH, "beta": 0.5}
    return Rule(
        f"rectified sum then {scale}: hard {'swish' if swish else 'sigmoid'}",
        [clip, add, *([gate] if swish else []), scaled],
        where=[
            three.scalar == 3,
            bounds_are(clip, lo, hi, 0, 6),
            s.scalar.near(SIXTH, 0.001) if scale == "Mul" else s.scalar.near(6),
        ],
        replace=Create("HardSwish" if swish else "HardSigmoid", x, attributes={} if swish else sigmoid, into=scaled),
        why="clip(x + 3, 0, 6) / 6 is HardSigmoid, and its product with x is HardSwish, in however many operators it "
        "is written.",
        source=SOURCE,
    )


def _gate() -> Rule:
    (x,) = tensors("x")
    sigmoid = Op("HardSigmoid", x, name="sigmoid")
    gate = Op("Mul", sigmoid, x, commutative=True, name="gate")
    return Rule(
        "hard sigmoid as a gate of its own input: hard swish",
        [gate, sigmoid],
        where=[sigmoid.attr("alpha", 0.2).near(SIXTH, 0.001), sigmoid.attr("beta", 0.5).near(0.5)],
        replace=Create("HardSwish", x, into=gate),
        why="The product of x and its HardSigmoid is HardSwish.",
        source=SOURCE,
    )


def _rectifier() -> Rule:
    x, lo, hi = tensors("x lo hi")
    clip = Op("Clip", x, lo, maybe(hi))
    return Rule(
        "bounds of a rectifier: Relu",
        [clip],
        where=[lo.scalar == 0, hi.is_absent],
        replace=Create("Relu", x, into=clip),
        why="Clip with a lower bound of 0 and no upper one is Relu.",
        source=ONE_FORM,
    )


ACTIVATIONS = Rewrite(
    "activations",
    [
        *(_rectified_sum(scale, swish) for scale in ("Mul", "Div") for swish in (True, False)),
        _gate(),
        _rectifier(),
    ],
)
