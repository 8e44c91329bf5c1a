"""Operators of integers are written as the operator that they are."""

from __future__ import annotations

import numpy as np

from tests.fusion.models import CONV
from tests.fusion.passes.applying import apply_pass, kinds, only

FIELDS = {"types": {"uint8": "int8"}}
HEAD = "agraph (uint8[1,8,4,4] x) => (uint8[1,8,4,4] y) "
SCALE = {"s": np.float32(0.1), "z": np.uint8(128)}
WEIGHTS = np.zeros((8, 8, 3, 3), np.uint8)
QLINEAR = CONV.replace("Conv", "QLinearConv")


def test_a_convolution_of_integers_has_operands_and_no_scales() -> None:
    text = HEAD + f"{{ a={QLINEAR}(x,s,z,w,s,z,s,z,b) y=Identity(a) }}"
    graph = apply_pass("quantized_operators", FIELDS, text, w=WEIGHTS, b=np.zeros(8, np.int32), **SCALE)
    conv = only(graph, "Conv")
    assert conv.inputs == ["x", "w", "b"]
    assert [graph.types[name].dtype for name in (*conv.inputs, *conv.outputs)] == ["int8", "int8", "int32", "int8"]


def test_operators_of_onnx_runtime_are_those_of_the_standard() -> None:
    body = (
        "a=com.microsoft.QLinearAdd(x,s,z,x,s,z,s,z) b=com.microsoft.QLinearConcat<axis=1>(s,z,a,s,z,x,s,z) "
        "c=com.microsoft.QLinearSigmoid(b,s,z,s,z) y=Split<axis=1,num_outputs=1>(c)"
    )
    graph = apply_pass(
        "quantized_operators", FIELDS, HEAD.replace("1,8,4,4] y", "1,16,4,4] y") + f"{{ {body} }}", **SCALE
    )
    assert kinds(graph) == ["Add", "Concat", "Sigmoid", "Split"]
    assert only(graph, "Concat").inputs == ["a", "x"]
