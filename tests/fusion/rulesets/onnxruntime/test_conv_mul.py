"""A constant factor behind a convolution."""

from nnmeter.fusion.rulesets.onnxruntime.conv_mul import RULES
from tests.fusion.models import f32
from tests.fusion.rulesets.applying import applied

X, Y = "float[1,8,4,4] x", "float[1,8,4,4] y"


def test_one_factor_a_channel_goes_into_the_weights() -> None:
    assert applied(RULES, X, Y, "a=Conv(x,w) y=Mul(a,c)", w=(8, 8, 1, 1), c=(8, 1, 1)) == "Conv"


def test_a_scalar_goes_into_the_weights() -> None:
    assert applied(RULES, X, Y, "a=Conv(x,w) y=Mul(a,c)", w=(8, 8, 1, 1), c=f32(2)) == "Conv"


def test_one_factor_a_column_stays() -> None:
    assert applied(RULES, X, Y, "a=Conv(x,w) y=Mul(a,c)", w=(8, 8, 1, 1), c=(1, 1, 1, 4)) == "Conv Mul"
