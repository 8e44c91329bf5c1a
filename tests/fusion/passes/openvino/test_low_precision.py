"""Products and what only moves data read integers."""

import numpy as np

from nnmeter.fusion.rulesets.openvino.low_precision import INTEGERS
from tests.fusion.models import f32
from tests.fusion.rulesets.applying import rewritten

TEXT = (
    "agraph (float[1,4,8,8] x) => (uint8[1,4,4,4] y) { q=QuantizeLinear(x,s,z) d=DequantizeLinear(q,s,z) "
    "p=MaxPool<kernel_shape=[2,2],strides=[2,2]>(d) y0=QuantizeLinear(p,t,z) e=DequantizeLinear(y0,t,z) "
    "y=QuantizeLinear(e,s,z) }"
)


def test_a_pool_reads_integers_and_is_quantized_anew() -> None:
    graph = rewritten(INTEGERS, TEXT, s=f32(0.02), t=f32(0.05), z=np.uint8(0))
    kinds = [node.kind for node in graph.ordered()]
    assert kinds == ["QuantizeLinear", "MaxPool", "QuantizeLinear", "QuantizeLinear"]
    assert graph.types[graph.of_kinds(["MaxPool"])[0].outputs[0]].dtype == "uint8"
