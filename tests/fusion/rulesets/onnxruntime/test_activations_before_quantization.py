"""Activations that a quantization makes superfluous."""

import numpy as np
import pytest

from nnmeter.fusion.rulesets.onnxruntime.activations_before_quantization import ACTIVATIONS_BEFORE_QUANTIZATION
from tests.fusion.models import f32
from tests.fusion.rulesets.applying import applied

X, Y = "float[4] x", "uint8[4] y"


@pytest.mark.parametrize(("zero", "expected"), [(0, "QuantizeLinear"), (128, "Relu QuantizeLinear")])
def test_relu_goes_where_nothing_is_below_zero(zero: int, expected: str) -> None:
    body = "a=Relu(x) y=QuantizeLinear(a,s,z)"
    kinds = applied(ACTIVATIONS_BEFORE_QUANTIZATION, X, Y, body, s=f32(0.1), z=np.uint8(zero))
    assert kinds == expected


@pytest.mark.parametrize(("high", "expected"), [(25.5, "QuantizeLinear"), (6, "Clip QuantizeLinear")])
def test_clip_goes_where_the_integers_reach_no_further(high: float, expected: str) -> None:
    body = "a=Clip(x,lo,hi) y=QuantizeLinear(a,s,z)"
    kinds = applied(ACTIVATIONS_BEFORE_QUANTIZATION, X, Y, body, s=f32(0.1), z=np.uint8(0), lo=f32(0), hi=f32(high))
    assert kinds == expected
