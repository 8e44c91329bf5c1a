"""Products and sums with constants around a convolution."""

import pytest

from nnmeter.fusion.rulesets.openvino.linear_into_conv import INTO_CONVOLUTIONS
from tests.fusion.models import f32
from tests.fusion.rulesets.applying import applied

X, Y = "float[1,8,4,4] x", "float[1,8,4,4] y"
CONV = "a=Conv(x,w)"
W, B = {"w": (8, 8, 1, 1)}, {"b": (8,)}


@pytest.mark.parametrize(
    "body",
    [
        f"{CONV} y=Mul(a,c)",
        f"{CONV} y=Mul(c,a)",
        f"{CONV} y=Div(a,c)",
        f"{CONV} y=Add(a,c)",
        f"{CONV} y=Add(c,a)",
        f"{CONV} y=Sub(a,c)",
        "a=Mul(x,c) y=Conv(a,w)",
        "a=Mul(c,x) y=Conv(a,w)",
    ],
)
def test_one_number_a_channel_goes_into_the_convolution(body: str) -> None:
    assert applied(INTO_CONVOLUTIONS, X, Y, body, c=(8, 1, 1), **W) == "Conv"
    with_bias = body.replace("Conv(x,w)", "Conv(x,w,b)").replace("Conv(a,w)", "Conv(a,w,b)")
    assert applied(INTO_CONVOLUTIONS, X, Y, with_bias, c=(8, 1, 1), **W, **B) == "Conv"


def test_a_scalar_factor_goes_in_and_a_scalar_sum_stays() -> None:
    assert applied(INTO_CONVOLUTIONS, X, Y, f"{CONV} y=Mul(a,c)", c=f32(2), **W) == "Conv"
    assert applied(INTO_CONVOLUTIONS, X, Y, f"{CONV} y=Add(a,c)", c=f32(2), **W) == "Conv Add"


def test_a_difference_from_a_constant_stays() -> None:
    assert applied(INTO_CONVOLUTIONS, X, Y, f"{CONV} y=Sub(c,a)", c=(8, 1, 1), **W) == "Conv Sub"


def test_a_bias_joins_a_larger_constant() -> None:
    body = "a=Conv(x,w,b) y=Add(a,c)"
    assert applied(INTO_CONVOLUTIONS, X, Y, body, c=(8, 4, 4), **W, **B) == "Conv Add"
