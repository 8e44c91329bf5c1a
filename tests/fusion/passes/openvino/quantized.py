"""Small quantized graphs after the rules for integers, for the tests of each sort of these rules."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from nnmeter.fusion.engine.rewriting import WorkingGraph
from nnmeter.fusion.rulesets.openvino.low_precision import INTEGERS
from tests.fusion.models import f32, i64
from tests.fusion.rulesets.applying import rewritten

# Scales s, t (another one) and n (nearly s); zero points of 0 (z, and i in int8), and of 9 in two constants (p, r).
WEIGHTS: dict[str, Any] = {
    "s": f32(0.1), "t": f32(0.2), "n": f32(0.1002), "z": np.uint8(0), "p": np.uint8(9), "r": np.uint8(9),
    "i": np.int8(0), "c": f32(2.0), "g": (4,), "d": (4, 1, 1), "h": i64(1, 4, 4),
}  # fmt: skip


def with_integers(inputs: str, outputs: str, body: str) -> WorkingGraph:
    """The graph of a body, after the rules; what it names and does not compute is of `WEIGHTS`."""
    names = set(re.findall(r"\w+", body)) - set(re.findall(r"(\w+)=[A-Z]", body))
    weights = {key: value for key, value in WEIGHTS.items() if key in names}
    return rewritten(INTEGERS, f"agraph ({inputs}) => ({outputs}) {{ {body} }}", **weights)


def kinds_of(graph: WorkingGraph) -> list[str]:
    """Its operators, in the order of the run."""
    return [node.kind for node in graph.ordered()]


def dtype_of(graph: WorkingGraph, tensor: str) -> str:
    """Element type of a tensor."""
    return graph.types[tensor].dtype
