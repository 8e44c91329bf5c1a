"""Operators of integers alone, as those of numbers between quantization."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.fusion.models import f32
from tests.fusion.passes.applying import apply_pass, kinds, only

WEIGHTS: dict[str, Any] = {"s": f32(0.1), "z": np.uint8(3), "w": np.ones((8, 8, 1, 1), np.int8), "i": np.int8(0)}


def test_a_convolution_is_one_of_dequantized_data_and_weights() -> None:
    text = "agraph (uint8[1,8,4,4] x) => (uint8[1,8,4,4] y) { y=QLinearConv(x,s,z,w,s,i,s,z,b) }"
    graph = apply_pass("integer_operators", {}, text, b=np.ones(8, np.int32), **WEIGHTS)
    assert sorted(kinds(graph)) == ["Conv", *["DequantizeLinear"] * 3, "QuantizeLinear"]
    conv = only(graph, "Conv")
    assert [graph.types[tensor].dtype for tensor in (*conv.inputs, *conv.outputs)] == ["float32"] * 4
    assert only(graph, "QuantizeLinear").outputs == ["y"]


def test_another_operator_is_divided_by_the_scale_of_its_result_and_converted() -> None:
    text = "agraph (uint8[1,8] x, uint8[1,8] v) => (uint8[1,8] y) { y=com.microsoft.QLinearAdd(x,s,z,v,s,z,s,o) }"
    graph = apply_pass("integer_operators", {}, text, o=np.uint8(0), **WEIGHTS)
    assert kinds(graph) == ["DequantizeLinear", "DequantizeLinear", "Add", "Div", "Cast"]
    graph = apply_pass("integer_operators", {}, text, o=np.uint8(3), **WEIGHTS)
    assert kinds(graph) == ["DequantizeLinear", "DequantizeLinear", "Add", "Div", "Add", "Cast"]


def test_a_concatenation_has_the_scale_of_its_result_first() -> None:
    body = "y=com.microsoft.QLinearConcat<axis=1>(s,z,x,s,z,v,s,z)"
    text = f"agraph (uint8[1,8] x, uint8[1,8] v) => (uint8[1,16] y) {{ {body} }}"
    graph = apply_pass("integer_operators", {}, text, **WEIGHTS)
    assert kinds(graph) == ["DequantizeLinear", "DequantizeLinear", "Concat", "Div", "Add", "Cast"]
    assert only(graph, "Concat").attributes == {"axis": 1}


def test_an_operator_without_a_scale_is_left_alone() -> None:
    text = "agraph (uint8[1,8] x, uint8[1,8] v) => (uint8[1,8] y) { y=com.microsoft.QLinearAdd(x,s,z,v,s,z,,z) }"
    assert kinds(apply_pass("integer_operators", {}, text, **WEIGHTS)) == ["com.microsoft.QLinearAdd"]
