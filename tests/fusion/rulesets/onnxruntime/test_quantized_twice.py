"""Two quantizations in a row."""

import numpy as np
import pytest

from nnmeter.fusion.rulesets.onnxruntime.quantized_twice import QUANTIZED_TWICE
from tests.fusion.models import f32
from tests.fusion.rulesets.applying import applied, rewritten

X, Y = "float[4] x", "float[4] y"
BODY = (
    "a=QuantizeLinear(x,s1,z1) b=DequantizeLinear(a,s1,z1) c=QuantizeLinear(b,s2,z2) d=DequantizeLinear(c,s2,z2) "
    "y=Exp(d)"
)
ZERO = np.uint8(128)


@pytest.mark.parametrize(("first", "second", "kept"), [(0.1, 0.05, 0.05), (0.05, 0.1, 0.05)])
def test_the_smaller_range_is_kept(first: float, second: float, kept: float) -> None:
    text = f"agraph ({X}) => ({Y}) {{ {BODY} }}"
    graph = rewritten(QUANTIZED_TWICE, text, s1=f32(first), s2=f32(second), z1=ZERO, z2=ZERO)
    quantize, dequantize, _ = graph.ordered()
    assert (quantize.kind, dequantize.kind) == ("QuantizeLinear", "DequantizeLinear")
    assert graph.values[quantize.inputs[1]] == np.float32(kept)


def test_ranges_that_overlap_get_a_new_scale() -> None:
    text = f"agraph ({X}) => ({Y}) {{ {BODY} }}"
    graph = rewritten(QUANTIZED_TWICE, text, s1=f32(0.1), s2=f32(0.1), z1=np.uint8(0), z2=np.uint8(255))
    quantize, *others = graph.ordered()
    assert [node.kind for node in others] == ["DequantizeLinear", "Exp"]
    assert quantize.inputs[1] not in graph.values


def test_a_result_between_that_others_read_stays() -> None:
    kinds = applied(
        QUANTIZED_TWICE, X, f"{Y}, float[4] z", f"{BODY} z=Neg(b)", s1=f32(0.1), s2=f32(0.05), z1=ZERO, z2=ZERO
    )
    assert kinds.split().count("QuantizeLinear") == 2
