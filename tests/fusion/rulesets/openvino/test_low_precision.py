"""Quantized models: what reads integers, and weights of few bits."""

import numpy as np

from nnmeter.fusion.detect import detect_kernels
from nnmeter.fusion.loading import load_rules
from tests.fusion.models import CONV, f32, make_graph

MAP = "float[1,16,8,8]"
BODY = (
    f"q=QuantizeLinear(x,s,z) d=DequantizeLinear(q,s,z) w=DequantizeLinear(v,s,i) a={CONV}(d,w) "
    "b=QuantizeLinear(a,t,z) y=DequantizeLinear(b,t,z)"
)


def _types(weights: type) -> list[str]:
    values = {"s": f32(0.02), "t": f32(0.05), "z": np.uint8(0), "i": weights(0)}
    values["v"] = np.ones((16, 16, 3, 3), weights)
    graph = make_graph(f"agraph ({MAP} x) => ({MAP} y) {{ {BODY} }}", **values)
    return sorted(kernel.type for kernel in detect_kernels(graph, load_rules("openvino_cpu")))


def test_a_convolution_between_quantized_tensors_multiplies_integers() -> None:
    assert "Conv+QuantizeLinear" in _types(np.int8)


def test_a_convolution_of_unsigned_weights_does_not_read_integers() -> None:
    types = _types(np.uint8)
    assert "Conv+QuantizeLinear" in types
    assert types.count("ReorderInput") == 2  # to numbers and channels last, and back
