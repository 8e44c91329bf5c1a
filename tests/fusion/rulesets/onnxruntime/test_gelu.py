"""Gelu by Erf, in the operator set's form and in ONNX Runtime's."""

import pytest

from nnmeter.fusion.rulesets.onnxruntime.gelu import GELU, GELU_OF_THE_OPERATOR_SET
from tests.fusion.models import f32
from tests.fusion.rulesets.applying import applied

X, Y = "float[4,8] x", "float[4,8] y"
NUMBERS = {"r": f32(2**0.5), "one": f32(1), "h": f32(0.5)}
LAST = "a=Div(x,r) b=Erf(a) c=Add(b,one) d=Mul(x,c) y=Mul(d,h)"
FIRST = "a=Div(x,r) b=Erf(a) c=Add(b,one) d=Mul(x,h) y=Mul(d,c)"


@pytest.mark.parametrize("body", [LAST, FIRST])
def test_the_half_may_be_multiplied_first_or_last(body: str) -> None:
    assert applied(GELU, X, Y, body, 17, **NUMBERS) == "com.microsoft.Gelu"
    assert applied(GELU_OF_THE_OPERATOR_SET, X, Y, body, 20, **NUMBERS) == "Gelu"


def test_before_opset_20_only_the_extended_optimizations_fuse() -> None:
    assert applied(GELU_OF_THE_OPERATOR_SET, X, Y, LAST, 17, **NUMBERS) == "Div Erf Add Mul Mul"


def test_half_of_the_sum_stays() -> None:
    body = "a=Div(x,r) b=Erf(a) c=Add(b,one) d=Mul(h,c) y=Mul(x,d)"
    assert applied(GELU, X, Y, body, 17, **NUMBERS) == "Div Erf Add Mul Mul"


def test_another_number_stays() -> None:
    assert applied(GELU, X, Y, LAST, 17, **{**NUMBERS, "r": f32(1.5)}) == "Div Erf Add Mul Mul"
