"""Operators between DequantizeLinear and QuantizeLinear compute in integers."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnmeter.fusion.engine.rewriting import WorkingGraph
from tests.fusion.models import CONV
from tests.fusion.passes.applying import apply_pass, kinds, only

FIELDS: dict[str, Any] = {"operators": ["Conv", "Add", "Relu"], "joining": ["Relu"], "types": {"uint8": "int8"}}
HEAD = "agraph (uint8[1,8,4,4] x) => (uint8[1,8,4,4] y) "
SCALE = {"s": np.float32(0.1), "z": np.uint8(128)}


def dtypes(graph: WorkingGraph, kind: str) -> tuple[list[str], list[str]]:
    node = only(graph, kind)
    return [graph.types[name].dtype for name in node.inputs], [graph.types[name].dtype for name in node.outputs]


def test_a_convolution_between_dequantize_and_quantize_is_one_kernel() -> None:
    text = HEAD + f"{{ a=DequantizeLinear(x,s,z) b={CONV}(a,w,v) y=QuantizeLinear(b,s,z) }}"
    graph = apply_pass("integer_groups", FIELDS, text, w=(8, 8, 3, 3), v=(8,), **SCALE)
    assert kinds(graph) == ["Conv"]
    assert dtypes(graph, "Conv") == (["int8", "int8", "int32"], ["int8"])
    assert only(graph, "Conv").sources[0] == only(graph, "Conv").name
    assert len(only(graph, "Conv").sources) == 2


def test_activations_join_and_both_readers_of_a_result_stay_fed() -> None:
    body = (
        f"a=DequantizeLinear(x,s,z) b={CONV}(a,w) c=Relu(b) d=QuantizeLinear(c,s,z) e=QuantizeLinear(c,s,z) "
        "f=DequantizeLinear(d,s,z) g=DequantizeLinear(e,s,z) h=Add(f,g) y=QuantizeLinear(h,s,z)"
    )
    graph = apply_pass("integer_groups", FIELDS, HEAD + f"{{ {body} }}", w=(8, 8, 3, 3), **SCALE)
    assert kinds(graph) == ["Conv", "Relu", "Add"]
    assert dtypes(graph, "Relu") == (["int8"], ["int8"])
    add = only(graph, "Add")
    assert add.inputs[0] == add.inputs[1] == only(graph, "Relu").outputs[0]


def test_what_is_not_quantized_behind_or_before_stays_in_floating_point() -> None:
    head = "agraph (uint8[1,8,4,4] x, float[1,8,4,4] f) => (float[1,8,4,4] y) "
    open_end = head + f"{{ a=DequantizeLinear(x,s,z) y={CONV}(a,w) }}"
    assert kinds(apply_pass("integer_groups", FIELDS, open_end, w=(8, 8, 3, 3), **SCALE)) == [
        "DequantizeLinear",
        "Conv",
    ]
    mixed = head + "{ a=DequantizeLinear(x,s,z) b=Add(a,f) c=QuantizeLinear(b,s,z) y=DequantizeLinear(c,s,z) }"
    graph = apply_pass("integer_groups", FIELDS, mixed, **SCALE)
    assert kinds(graph) == ["DequantizeLinear", "Add", "QuantizeLinear", "DequantizeLinear"]
    assert dtypes(graph, "Add") == (["float32", "float32"], ["float32"])


def test_a_result_that_others_read_in_floating_point_stays() -> None:
    body = f"a=DequantizeLinear(x,s,z) b={CONV}(a,w) c=QuantizeLinear(b,s,z) d=Sigmoid(b) e=QuantizeLinear(d,s,z) "
    graph = apply_pass("integer_groups", FIELDS, HEAD + f"{{ {body} y=Max(c,e) }}", w=(8, 8, 3, 3), **SCALE)
    assert dtypes(graph, "Conv") == (["float32", "float32"], ["float32"])
