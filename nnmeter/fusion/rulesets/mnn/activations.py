"""Activations: those that exporters write in single operators, and those that run inside of other operators."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Create, Op, Procedure, Rewrite, Rule, all_of, any_of, maybe, tensors
from nnmeter.fusion.rulesets.mnn.sources import after, merge
from nnmeter.fusion.rulesets.shared_rules import swish

TOLERANCE = 0.001


def _gelu() -> Rule:
    x, root, one, half = tensors("x root one half")
    scaled = Op("Div", x, root, name="scaled")
    erf = Op("Erf", scaled)
    plus_one = Op("Add", erf, one, commutative=True, name="plus_one")
    product = Op("Mul", x, plus_one, commutative=True, name="product")
    last = Op("Mul", product, half, commutative=True, name="last")
    return Rule(
        "Gelu",
        [last, product, plus_one, erf, scaled],
        where=[root.is_constant, one.scalar == 1, half.scalar == 0.5],
        replace=Create("Gelu", x, into=last),
        why="Gelu by Erf becomes one operator where its half is multiplied last.",
        source=merge("FuseGeLu.cpp"),
    )


def _hard_swish(half: bool) -> Rule:
    x, three, lo, hi, sixth = tensors("x three lo hi sixth")
    add = Op("Add", x, three, commutative=True)
    clip = Op("Clip", add, maybe(lo), maybe(hi))
    behind = ("Mul", "Div")
    if half:
        product = Op("Mul", x, clip, commutative=True, name="product")
        last = Op(behind, product, sixth, name="last")
        match = [last, product, clip, add]
    else:
        scaled = Op(behind, clip, sixth, name="scaled")
        last = Op("Mul", x, scaled, commutative=True, name="last")
        match = [last, scaled, clip, add]
    return Rule(
        f"HardSwish of Clip, {'product' if half else 'factor'} first",
        match,
        where=[three.scalar == 3, any_of(sixth.scalar.near(6, TOLERANCE), sixth.scalar.near(1 / 6, TOLERANCE))],
        replace=Create("HardSwish", x, into=last),
        why="x * clip(x + 3, 0, 6) / 6 is one operator.",
        source=merge("FuseTemplateOp.cpp"),
    )


def _rectifier() -> Rule:
    x, lo, hi = tensors("x lo hi")
    clip = Op("Clip", x, maybe(lo), maybe(hi), name="clip")
    return Rule(
        "Clip of 0 and 6",
        [clip],
        where=[
            any_of(
                all_of(lo.scalar == 0, hi.scalar == 6),
                all_of(lo.is_absent, hi.is_absent, clip.attr("min") == 0, clip.attr("max") == 6),
            )
        ],
        replace=Create("mnn.Clip", x, into=clip),
        why="Clip of 0 and 6 is what convolutions can apply to their results.",
        source=after("MergeRelu6ToConvolution.cpp"),
    )


ACTIVATIONS = Rewrite(
    "activations",
    [
        swish("The product of a tensor and its sigmoid is one operator, SILU.", merge("FuseTemplateOp.cpp")),
        _gelu(),
        _hard_swish(True),
        _hard_swish(False),
    ],
)

BOUNDS = Rewrite("bounds of Clip", [_rectifier()])

INSIDE = Procedure(
    "activations inside of operators",
    "link",
    fields={
        "links": [
            {"into": ("Conv", "ConvTranspose", "Gemm"), "operators": ("Relu", "mnn.Clip")},
            {"into": ("Add", "Sub", "Mul", "Div", "Max", "Min", "Pow"), "operators": ("Relu",)},
        ]
    },
    why="Relu, and behind convolutions Clip of 0 and 6, run on results while they are in registers.",
    source=after("MergeReluToConvolution.cpp") + "; MergeReluToBinary.cpp",
)
