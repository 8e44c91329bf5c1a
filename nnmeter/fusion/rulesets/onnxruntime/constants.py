"""What is computed before the run, what is computed once, and slices that are one operator."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Procedure
from nnmeter.fusion.rulesets.onnxruntime.sources import optimizer
from nnmeter.fusion.rulesets.shared import RANDOM

NOT_REPRODUCIBLE = (*RANDOM, "Multinomial", "Dropout")

# Functions without a kernel of their own: they are expanded only after the first folding.
NOT_YET_EXPANDED = ("HardSwish", "Mish", "Swish", "GroupNormalization", "CastLike", "Bernoulli")

COMMON_SUBEXPRESSIONS = Procedure(
    "common subexpressions",
    "deduplicate",
    fields={"except": NOT_REPRODUCIBLE, "shared_elements": 8},
    why="Operators of one type with equal attributes and inputs are computed once, except random numbers; equal "
    "constants of few elements have been made one by then (constant_sharing.cc).",
    source=optimizer("common_subexpression_elimination.cc"),
)

CONSTANT_FOLDING = Procedure(
    "constants",
    "fold_constants",
    fields={
        "of_shapes": ("Shape",),
        "only_sized": True,
        "except": (
            *NOT_REPRODUCIBLE,
            "DequantizeLinear",
            *NOT_YET_EXPANDED,
            "com.microsoft.GatherBlockQuantized",
        ),
    },
    why="What depends on constants and static shapes only is computed before the run, except Size. Quantized weights "
    "stay quantized, and so do operators that have no kernel to compute them with.",
    source=optimizer("constant_folding.cc"),
)

STRIDED_SLICES = Procedure(
    "strided slices into depth",
    "slices_to_blocks",
    fields={"concat": ("Concat",), "slice": ("Slice",), "becomes": "SpaceToDepth", "gather": "Gather"},
    why="Strided slices of a map that are concatenated by channel (the Focus layer of YOLOv5) are one SpaceToDepth, "
    "with a Gather where the order of the channels differs.",
    source=optimizer("slice_concat_to_space_to_depth_fusion.cc"),
)
