"""Every reader of a dequantized tensor gets its own."""

import numpy as np

from nnmeter.fusion.rulesets.onnxruntime.one_dequantize_a_reader import ONE_DEQUANTIZE_A_READER
from tests.fusion.models import f32
from tests.fusion.rulesets.applying import applied

OUTPUTS = "float[4] y, float[4] z"


def test_two_readers_get_two() -> None:
    body = "d=DequantizeLinear(x,s,t) y=Exp(d) z=Neg(d)"
    kinds = applied(ONE_DEQUANTIZE_A_READER, "uint8[4] x", OUTPUTS, body, s=f32(0.1), t=np.uint8(0))
    assert kinds.split().count("DequantizeLinear") == 2


def test_other_operators_are_shared() -> None:
    assert applied(ONE_DEQUANTIZE_A_READER, "float[4] x", OUTPUTS, "d=Abs(x) y=Exp(d) z=Neg(d)").count("Abs") == 1
