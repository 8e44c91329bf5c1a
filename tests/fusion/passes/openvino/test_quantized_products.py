"""Which products multiply integers."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnmeter.fusion.engine.rewriting import WorkingGraph
from nnmeter.fusion.rulesets.openvino.low_precision import INTEGERS
from tests.fusion.models import f32
from tests.fusion.rulesets.applying import rewritten

WEIGHTS: dict[str, Any] = {
    "s": f32(0.1), "u": np.uint8(0), "p": np.uint8(9), "m": np.uint8(128), "i": np.int8(0), "j": np.int8(5),
    "w": np.ones((8, 4), np.int8), "k": np.ones((4, 4, 1, 1), np.int8), "l": np.ones((4, 4, 1, 1), np.uint8),
    "sc": (4,), "zc": np.zeros(4, np.int8), "b": (4,),
}  # fmt: skip


def _rewritten(inputs: str, outputs: str, body: str) -> WorkingGraph:
    named = {key: value for key, value in WEIGHTS.items() if key in body.replace("(", ",").replace(")", ",").split(",")}
    return rewritten(INTEGERS, f"agraph ({inputs}) => ({outputs}) {{ {body} }}", **named)


def _pair(tensor: str, result: str, zero_point: str) -> str:
    quantized = f"q{result}=QuantizeLinear({tensor},s,{zero_point})"
    return f"{quantized} {result}=DequantizeLinear(q{result},s,{zero_point}) "


def _dtypes(graph: WorkingGraph, kind: str) -> list[str]:
    (node,) = graph.of_kinds([kind])
    return [graph.types[tensor].dtype for tensor in node.inputs[:2]]


def test_a_product_reads_unsigned_data_with_a_zero_point() -> None:
    body = _pair("x", "a", "p") + "v=DequantizeLinear(w,s,i) c=MatMul(a,v) " + _pair("c", "y", "p")
    graph = _rewritten("float[2,8] x", "float[2,4] y", body)
    assert _dtypes(graph, "MatMul") == ["uint8", "int8"]
    assert graph.of_kinds(["MatMul"])[0].attributes == {}


def test_a_scale_an_output_keeps_the_zero_point_apart_unless_the_result_is_a_matrix() -> None:
    body = _pair("x", "a", "p") + "v=DequantizeLinear<axis=1>(w,sc,zc) c=MatMul(a,v) " + _pair("c", "y", "p")
    for rank, fused in (("", {}), ("1,", {"fused": "Sub+Mul"})):
        graph = _rewritten(f"float[{rank}2,8] x", f"float[{rank}2,4] y", body)
        assert graph.of_kinds(["MatMul"])[0].attributes == fused


def test_a_sum_behind_keeps_the_zero_point_apart() -> None:
    body = _pair("x", "a", "p") + "v=DequantizeLinear(w,s,i) c=MatMul(a,v) e=Add(c,b) " + _pair("e", "y", "p")
    graph = _rewritten("float[2,8] x", "float[2,4] y", body)
    assert graph.of_kinds(["MatMul"])[0].attributes == {"fused": "Sub+Mul"}


def test_computed_factors_are_integers_by_their_zero_points() -> None:
    expected = {
        ("u", "i"): ["uint8", "int8"],
        ("u", "m"): ["uint8", "int8"],
        ("u", "p"): ["float32", "float32"],
        ("p", "i"): ["float32", "float32"],
        ("i", "j"): ["float32", "float32"],
    }
    for (first, second), dtypes in expected.items():
        body = _pair("x", "a", first) + _pair("z", "c", second) + "d=MatMul(a,c) " + _pair("d", "y", "p")
        graph = _rewritten("float[2,8] x, float[8,4] z", "float[2,4] y", body)
        assert _dtypes(graph, "MatMul") == dtypes, (first, second)
        (quantize,) = [node for node in graph.of_kinds(["QuantizeLinear"]) if node.inputs[0] == "d"]
        assert ("apart" in quantize.attributes) == (dtypes[0] == "float32")


def test_a_convolution_of_signed_data_with_a_zero_point_subtracts_it_as_numbers() -> None:
    body = _pair("x", "a", "j") + "v=DequantizeLinear(k,s,i) c=Conv(a,v) " + _pair("c", "y", "j")
    graph = _rewritten("float[1,4,2,2] x", "float[1,4,2,2] y", body)
    assert graph.of_kinds(["Sub"])
    assert _dtypes(graph, "Conv") == ["float32", "int8"]


def test_a_convolution_of_unsigned_weights_reads_retyped_data() -> None:
    body = _pair("x", "a", "u") + "v=DequantizeLinear(l,s,u) c=Conv(a,v) " + _pair("c", "y", "p")
    graph = _rewritten("float[1,4,2,2] x", "float[1,4,2,2] y", body)
    assert graph.of_kinds(["Retype"])
    assert _dtypes(graph, "Conv") == ["float32", "float32"]
