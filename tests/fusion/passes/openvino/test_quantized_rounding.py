"""QuantizeLinear and DequantizeLinear, one behind the other."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from nnmeter.fusion.engine.rewriting import WorkingGraph
from nnmeter.fusion.rulesets.openvino.low_precision import INTEGERS
from tests.fusion.models import f32, i64
from tests.fusion.rulesets.applying import rewritten

WEIGHTS: dict[str, Any] = {
    "s": f32(0.1), "t": f32(0.2), "n": f32(0.1002), "z": np.uint8(0), "p": np.uint8(9), "r": np.uint8(9),
    "i": np.int8(0),
    "c": f32(2.0), "d": (4, 1, 1), "h": i64(1, 4, 4),
}  # fmt: skip


def _rewritten(inputs: str, outputs: str, body: str) -> WorkingGraph:
    text = f"agraph ({inputs}) => ({outputs}) {{ {body} }}"
    names = set(re.findall(r"\w+", body))
    return rewritten(INTEGERS, text, **{key: value for key, value in WEIGHTS.items() if key in names})


def _kinds(graph: WorkingGraph) -> list[str]:
    return [node.kind for node in graph.ordered()]


def _dtype(graph: WorkingGraph, tensor: str) -> str:
    return graph.types[tensor].dtype


INTEGERS_IN = "uint8[1,4,4,4] x"
END = "e=DequantizeLinear(q,{0}) y=Exp(e)"


def _between(first: str, second: str, body: str = "") -> WorkingGraph:
    """Integers of one scale and zero point, what stands between, and integers of another."""
    middle = f"{body} q=QuantizeLinear(b,{second})" if body else f"q=QuantizeLinear(a,{second})"
    text = f"a=DequantizeLinear(x,{first}) {middle} {END.format(second)}"
    return _rewritten(INTEGERS_IN, "float[1,4,4,4] y", text)


def test_quantizing_without_a_zero_point_by_nearly_the_same_scale_does_nothing() -> None:
    assert _kinds(_between("s,z", "s,z")) == ["DequantizeLinear", "Exp"]
    assert _kinds(_between("s,z", "n,z")) == ["DequantizeLinear", "Exp"]
    assert _kinds(_between("s,z", "t,z")) == ["QuantizeLinear", "Exp"]
    assert _kinds(_between("s,z", "t,z", "b=Mul(a,c)")) == ["DequantizeLinear", "Exp"]


def test_a_zero_point_is_subtracted_and_kept() -> None:
    kinds = _kinds(_between("s,p", "t,r"))
    assert kinds == ["ZeroPoint", "QuantizeLinear", "ZeroPoint", "DequantizeLinear", "Exp"]


def test_one_constant_for_both_zero_points_leaves_numbers() -> None:
    assert _kinds(_between("s,p", "t,p")) == ["ZeroPoint", "QuantizeLinear", "Exp"]


def test_constants_of_one_number_or_one_a_channel_are_part_of_the_quantization() -> None:
    for operator in ("Mul", "Add", "Div", "Sub"):
        assert _kinds(_between("s,z", "t,z", f"b={operator}(a,c)"))[-2:] == [
            "DequantizeLinear" if operator == "Mul" else "QuantizeLinear",
            "Exp",
        ]
    graph = _between("s,z", "t,z", "b=Add(a,d)")
    (quantize,) = graph.of_kinds(["QuantizeLinear"])
    assert [graph.types[tensor].shape for tensor in quantize.inputs[1:]] == [(4, 1, 1)] * 4


def test_numbers_without_a_zero_point_are_rounded_by_one_operator() -> None:
    body = "a=Exp(x) q=QuantizeLinear(a,{0}) e=DequantizeLinear(q,{0}) y=Exp(e)"
    graph = _rewritten("float[4] x", "float[4] y", body.format("s,i"))
    assert _kinds(graph) == ["Exp", "QuantizeLinear", "Exp"]
    assert _dtype(graph, "q") == "float32"
    graph = _rewritten("float[4] x", "float[4] y", body.format("s,p"))
    assert _kinds(graph) == ["Exp", "QuantizeLinear", "ZeroPoint", "DequantizeLinear", "Exp"]


def test_relu_is_part_of_a_quantization_to_unsigned_integers_without_a_zero_point() -> None:
    body = "a=Relu(x) q=QuantizeLinear(a,s,{0}) y=DequantizeLinear(q,s,{0})"
    for point, stays in (("z", False), ("p", True), ("i", True)):
        assert ("Relu" in _kinds(_rewritten("float[4] x", "float[4] y", body.format(point)))) == stays


def test_a_quantization_moves_before_a_transpose_but_not_before_a_view_alone() -> None:
    end = "q=QuantizeLinear(b,s,p) e=DequantizeLinear(q,s,p) y=Exp(e)"
    graph = _rewritten("float[4,4] x", "float[4,1,4] y", f"a=Reshape(x,h) b=Transpose<perm=[2,0,1]>(a) {end}")
    assert _kinds(graph)[:3] == ["QuantizeLinear", "Reshape", "Transpose"]
    assert _dtype(graph, "a") == "uint8"
    graph = _rewritten("float[4,4] x", "float[1,4,4] y", f"b=Reshape(x,h) {end}")
    assert _kinds(graph)[:2] == ["Reshape", "QuantizeLinear"]


def test_operators_that_no_rule_knows_share_what_is_dequantized() -> None:
    body = "a=DequantizeLinear(x,s,p) b=Exp(a) c1=Sqrt(a) y=Where(k,b,c1)"
    graph = _rewritten(INTEGERS_IN + ", bool[1] k", "float[1,4,4,4] y", body + " f=QuantizeLinear(y,s,p)")
    assert _kinds(graph).count("DequantizeLinear") == 1
