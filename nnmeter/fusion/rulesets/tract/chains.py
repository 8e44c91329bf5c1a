"""Element-wise operators: what joins products, what runs in one loop, and the activation that tract knows."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Create, Procedure, Rewrite, Rule
from nnmeter.fusion.rulesets.shared import VIEWS
from nnmeter.fusion.rulesets.shared_rules import ROOT_FORMS, root_mean_square, swish, x
from nnmeter.fusion.rulesets.tract.products import POINTWISE
from nnmeter.fusion.rulesets.tract.sources import core

RECTIFIERS = ("Relu", "Clip")
LEADERS = ("Add", "Sub", "Mul", "Div", "Max", "Min", "BatchNormalization")


def _root_mean_square(form: str) -> Rule:
    match, where = root_mean_square(form)
    return Rule(
        f"root mean square by {form}",
        match,
        where=where,
        replace=Create("RMSNormalization", x, attributes={"axis": -1}, into=match[0]),
        why="x / sqrt(mean of squares + eps) is one operator, RmsNorm.",
        source=core("ops/nn/rms_norm.rs"),
    )


SWISH = Rewrite(
    "Swish", [swish("The product of a tensor and its sigmoid is one operator, Silu.", core("ops/nn/mod.rs"))]
)
NORMALIZATIONS = Rewrite("normalizations", [_root_mean_square(form) for form in ROOT_FORMS])

_ALONE = (*RECTIFIERS, "Sub", "Mul", "Max", "Min")
_SUM = {"operators": ("Add",), "most": 8, "sums": True, "alike": True}
PRODUCTS = Procedure(
    "what joins products",
    "link",
    fields={
        "links": [
            {**_SUM, "into": (POINTWISE,), "late": True, "peers": (POINTWISE,)},
            {**_SUM, "into": ("Gemm", "MatMul")},
            {"into": (POINTWISE, "Gemm", "MatMul"), "operators": _ALONE, "most": 8, "alike": True},
        ]
    },
    why="Sums, factors and bounds run on the results of a product while they are in registers. A pointwise convolution "
    "writes rows of pixels, and is added to what has them too.",
    source=core("ops/matmul/optimized.rs"),
)

FACTORS = Procedure(
    "factors and sums past views",
    "join_past_views",
    fields={
        "into": ("Gemm", "MatMul"),
        "operators": ("Mul", "Div"),
        "sums": ("Add",),
        "views": (*VIEWS, "Transpose"),
    },
    why="Factors and sums move before what changes no numbers, and run on the results of the product before that.",
    source=core("ops/change_axes.rs"),
)

LOOPS = Procedure(
    "chains of binary operators",
    "link",
    fields={
        "links": [
            {
                "into": LEADERS,
                "operators": (*RECTIFIERS, *LEADERS),
                "most": 8,
                "sums": True,
                "first": True,
            },
        ]
    },
    why="Binary operators that follow one another run in one loop, where the chain is their first operand.",
    source=f"nodes OptBinChain; {core('ops/binary.rs')}",
)
