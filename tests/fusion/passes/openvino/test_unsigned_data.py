"""Signed data of convolutions become unsigned."""

from __future__ import annotations

import numpy as np
import pytest

from nnmeter.fusion.engine.rewriting import WorkingGraph
from tests.fusion.models import CONV, f32
from tests.fusion.passes.applying import apply_pass, only

FIELDS = {"products": ["Conv"], "moving": ["MaxPool"], "joins": ["Concat"], "unless": "signed"}
DIRECTLY = f"y={CONV}(b,w)"


def _applied(
    body: str, zero_point: int = 0, signed: bool = False, dequantize: str = "b=DequantizeLinear(a,s,z)"
) -> WorkingGraph:
    text = f"agraph (float[1,8,4,4] x) => (float[1,8,4,4] y) {{ a=QuantizeLinear(x,s,z) {dequantize} {body} }}"
    values = {"s": f32(0.1), "z": np.int8(zero_point), "w": (8, 8, 3, 3), "t": f32(0.2)}
    used = {name: value for name, value in values.items() if any(f"{name}{end}" in text for end in ",)")}
    return apply_pass("unsigned_data", FIELDS, text, {"signed": signed}, **used)


@pytest.mark.parametrize(("signed", "unsigned"), [(0, 128), (-3, 125), (-128, 0)])
def test_type_and_zero_point_become_unsigned(signed: int, unsigned: int) -> None:
    graph = _applied(DIRECTLY, signed)
    assert graph.types["a"].dtype == "uint8"
    point = only(graph, "QuantizeLinear").inputs[2]
    assert graph.values[point] == unsigned
    assert only(graph, "DequantizeLinear").inputs[2] == point


@pytest.mark.parametrize(
    "body",
    [
        f"c=MaxPool<kernel_shape=[1,1]>(b) y={CONV}(c,w)",
        f"c=Concat<axis=2>(b,b) y={CONV}(c,w)",
    ],
)
def test_what_keeps_the_integers_may_stand_between(body: str) -> None:
    assert _applied(body).types["a"].dtype == "uint8"


@pytest.mark.parametrize(
    "body",
    [
        "y=Softmax(b)",
        f"c=Exp(b) y={CONV}(c,w)",
        f"c=MaxPool<kernel_shape=[1,1]>(b) d=QuantizeLinear(c,t,z) e=DequantizeLinear(d,t,z) y={CONV}(e,w)",
    ],
)
def test_what_no_convolution_reads_as_data_stays_signed(body: str) -> None:
    assert _applied(body).types["a"].dtype == "int8"


def test_what_is_dequantized_by_another_scale_stays_signed() -> None:
    assert _applied(DIRECTLY, dequantize="b=DequantizeLinear(a,t,z)").types["a"].dtype == "int8"


def test_the_parameter_switches_it_off() -> None:
    assert _applied(DIRECTLY, signed=True).types["a"].dtype == "int8"


def test_each_has_a_zero_point_of_its_own() -> None:
    second = f"c={CONV}(b,w) d=QuantizeLinear(c,t,z) e=DequantizeLinear(d,t,z) y={CONV}(e,w)"
    points = [node.inputs[2] for node in _applied(second).of_kinds(["QuantizeLinear"])]
    assert len(set(points)) == 2
