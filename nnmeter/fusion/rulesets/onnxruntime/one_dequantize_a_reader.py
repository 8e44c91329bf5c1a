"""One DequantizeLinear for every reader."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import Procedure
from nnmeter.fusion.rulesets.onnxruntime.sources import optimizer

ONE_DEQUANTIZE_A_READER = Procedure(
    "one dequantize node a reader",
    "unshare",
    fields={"operators": ("DequantizeLinear",)},
    why="Every reader of a dequantized tensor gets a DequantizeLinear of its own, so that each can become part of a "
    "group.",
    source=optimizer("qdq_transformer/ensure_unique_dq_for_node_unit.cc"),
)
