"""Slices and gathers that cut a tensor to pieces."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Procedure
from nnmeter.fusion.rulesets.onnxruntime.sources import optimizer

SLICES_TO_SPLIT = Procedure(
    "slices and gathers to Split",
    "split_slices",
    fields={
        "slices": ("Slice",),
        "gathers": ("Gather",),
        "split": "Split",
        "squeeze": "Squeeze",
        "opset": 13,
        "except_of": ("Shape",),
    },
    why="Slices and gathers of one index that together cut a tensor to all its pieces become one Split, but for those "
    "of a shape, which a session keeps that leaves dimensions free.",
    source=optimizer("gather_fusion.cc"),
)
