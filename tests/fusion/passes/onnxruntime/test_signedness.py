"""Signed activations become unsigned."""

from __future__ import annotations

import numpy as np

from tests.fusion.models import f32
from tests.fusion.passes.applying import apply_pass, only

FIELDS = {
    "quantize": ["QuantizeLinear"], "dequantize": ["DequantizeLinear"], "from": "int8", "to": "uint8",
    "unless": "signed",
}  # fmt: skip
TEXT = "agraph (float[4] x) => (float[4] y) { a=QuantizeLinear(x,s,z) y=DequantizeLinear(a,s,z) }"


def test_type_and_zero_point_become_unsigned() -> None:
    graph = apply_pass("unsigned_activations", FIELDS, TEXT, {"signed": False}, s=f32(0.1), z=np.int8(-3))
    assert graph.types["a"].dtype == "uint8"
    zero = only(graph, "QuantizeLinear").inputs[2]
    assert graph.values[zero] == 125
    assert only(graph, "DequantizeLinear").inputs[2] == zero


def test_the_parameter_switches_it_off() -> None:
    graph = apply_pass("unsigned_activations", FIELDS, TEXT, {"signed": True}, s=f32(0.1), z=np.int8(-3))
    assert graph.types["a"].dtype == "int8"
