"""Quantized models on phones and accelerators: integer kernels, whichever of ONNX's two forms they come in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nnmeter.fusion.detect import detect_kernels
from nnmeter.fusion.loading import load_rules
from nnmeter.fusion.rulesets.mobile.integers import GROUPS_IN_INTEGERS, OPERATORS_OF_INTEGERS
from nnmeter.kernels.kernel import KernelSignature
from tests.fusion.models import CONV, make_graph
from tests.fusion.rulesets.applying import applied

HEAD = "agraph (float[1,8,16,16] x) => (float[1,8,16,16] y) "
SCALE = {"s": np.float32(0.1), "z": np.uint8(128), "ws": np.float32(0.01), "wz": np.int8(0)}
WEIGHTS: dict[str, Any] = {"w": np.ones((8, 8, 3, 3), np.int8), "b": np.ones(8, np.int32)}
QDQ = (
    f"q=QuantizeLinear(x,s,z) d=DequantizeLinear(q,s,z) k=DequantizeLinear(w,ws,wz) v=DequantizeLinear(b,ws) "
    f"c={CONV}(d,k,v) r=Relu(c) e=QuantizeLinear(r,s,z) f=DequantizeLinear(e,s,z) "
    "a=Add(f,d) g=QuantizeLinear(a,s,z) y=DequantizeLinear(g,s,z)"
)
QLINEAR = (
    f"q=QuantizeLinear(x,s,z) e={CONV.replace('Conv', 'QLinearConv')}(q,s,z,w,ws,wz,s,z,b) "
    "g=com.microsoft.QLinearAdd(e,s,z,q,s,z,s,z) y=DequantizeLinear(g,s,z)"
)


def kernels(body: str, rules: str) -> list[KernelSignature]:
    found = detect_kernels(make_graph(HEAD + f"{{ {body} }}", **SCALE, **WEIGHTS), load_rules(rules))
    return [kernel.signature for kernel in found]


@pytest.mark.parametrize(
    ("rules", "convolution"),
    [("tflite21_cpu", "Conv+Relu"), ("tflite_gpu", "Conv+Relu+Add"), ("openvino2019r2_myriad", "Conv+Relu")],
)
def test_a_group_of_a_quantized_model_is_one_kernel_of_integers(rules: str, convolution: str) -> None:
    found = kernels(QDQ, rules)
    sums = [] if convolution.endswith("Add") else ["Add"]
    assert [k.type for k in found] == ["QuantizeLinear", convolution, *sums, "DequantizeLinear"]
    assert [found[1].inputs[i].dtype for i in range(3)] == ["int8", "int8", "int32"]
    assert found[1].outputs[0].dtype == "int8"


def test_both_forms_of_a_quantized_convolution_are_the_same_kernel() -> None:
    plain = QDQ.replace("r=Relu(c) e=QuantizeLinear(r,s,z)", "e=QuantizeLinear(c,s,z)")
    assert kernels(plain, "tflite21_cpu") == kernels(QLINEAR, "tflite21_cpu")


def test_a_graph_without_integers_is_left_alone() -> None:
    passes = [OPERATORS_OF_INTEGERS, GROUPS_IN_INTEGERS]
    assert applied(passes, "float[1,8,4,4] x", "float[1,8,4,4] y", "a=Relu(x) y=Sigmoid(a)") == "Relu Sigmoid"
