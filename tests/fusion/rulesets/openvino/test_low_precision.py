"""Quantized models: what reads integers, and weights of few bits."""

import numpy as np

from nnmeter.fusion.detect import detect_kernels
from nnmeter.fusion.loading import load_rules
from nnmeter.fusion.rulesets.builder import Procedure
from nnmeter.fusion.rulesets.openvino.low_precision import AVERAGES, INTEGERS, WEIGHTS_OF_FEW_BITS
from nnmeter.kernels.kernel import KernelSignature
from tests.fusion.models import CONV, f32, i64, make_graph
from tests.fusion.rulesets.applying import applied, rewritten

INTEGERS_WITHOUT_QUANTIZE = Procedure("tested", INTEGERS.kind, fields=INTEGERS.fields, why="a test", source="a test")
MAP = "float[1,16,8,8]"
BODY = (
    f"q=QuantizeLinear(x,s,z) d=DequantizeLinear(q,s,z) w=DequantizeLinear(v,s,i) a={CONV}(d,w) "
    "b=QuantizeLinear(a,t,z) y=DequantizeLinear(b,t,z)"
)


def _convolution(weights: type) -> KernelSignature:
    values = {"s": f32(0.02), "t": f32(0.05), "z": np.uint8(0), "i": weights(0)}
    values["v"] = np.ones((16, 16, 3, 3), weights)
    graph = make_graph(f"agraph ({MAP} x) => ({MAP} y) {{ {BODY} }}", **values)
    (found,) = [k.signature for k in detect_kernels(graph, load_rules("openvino_cpu")) if k.type.startswith("Conv")]
    return found


def _dtypes(signature: KernelSignature) -> list[str]:
    return [kind.dtype for kind in (*signature.inputs[:2], *signature.outputs) if kind is not None]


def test_a_convolution_between_quantized_tensors_multiplies_integers() -> None:
    signature = _convolution(np.int8)
    assert signature.type == "Conv+DequantizeLinear"  # of a scale alone, with the name of the result
    assert _dtypes(signature) == ["uint8", "int8", "float32"]


def test_a_convolution_of_unsigned_weights_does_not_read_integers() -> None:
    assert _dtypes(_convolution(np.uint8)) == ["float32", "float32", "float32"]


def test_an_average_of_dequantized_integers_reads_them() -> None:
    text = "agraph (uint8[1,4,4,8] x) => (float[1,4,4,8] y) { d=DequantizeLinear(x,s,z) m=ReduceMean(d,a) y=Max(d,m) }"
    graph = rewritten([INTEGERS_WITHOUT_QUANTIZE, AVERAGES], text, s=f32(0.1), z=np.uint8(3), a=i64(-1))
    (mean,) = graph.of_kinds(["ReduceMean"])
    assert mean.inputs[0] == "x"
    assert mean.attributes["fused"] == "DequantizeLinear"
    assert graph.of_kinds(["DequantizeLinear"])


def test_rows_of_a_table_in_blocks_are_looked_up() -> None:
    body = "y=com.microsoft.GatherBlockQuantized<block_size=16,bits=4,quantize_axis=1,gather_axis=0>(t,i,s)"
    values = {"t": np.zeros((8, 16), np.uint8), "s": (8, 2)}
    assert applied(WEIGHTS_OF_FEW_BITS, "int64[2] i", "float[2,32] y", body, **values) == "Gather"
