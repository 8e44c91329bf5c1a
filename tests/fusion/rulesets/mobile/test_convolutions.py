"""Normalizations, factors and offsets behind a convolution."""

from nnmeter.fusion.rulesets.mobile.convolutions import BIAS_FOR_EVERY_CONVOLUTION, NORMALIZATIONS_AND_BIASES
from tests.fusion.models import f32
from tests.fusion.rulesets.applying import applied, rewritten

X, Y = "float[1,8,4,4] x", "float[1,8,4,4] y"
W = {"w": (8, 8, 1, 1)}


def test_a_normalization_goes_into_the_convolution() -> None:
    body = "a=Conv(x,w) y=BatchNormalization(a,s,s,s,s)"
    assert applied(NORMALIZATIONS_AND_BIASES, X, Y, body, s=(8,), **W) == "Conv"
    assert applied(NORMALIZATIONS_AND_BIASES, X, Y, body.replace("Conv(x,w)", "Relu(x)"), s=(8,)) == (
        "Relu BatchNormalization"
    )


def test_constants_of_one_number_or_one_a_channel_do() -> None:
    assert applied(NORMALIZATIONS_AND_BIASES, X, Y, "a=Conv(x,w) y=Add(c,a)", c=(8, 1, 1), **W) == "Conv"
    assert applied(NORMALIZATIONS_AND_BIASES, X, Y, "a=Conv(x,w) y=Mul(a,c)", c=f32(2), **W) == "Conv"
    assert applied(NORMALIZATIONS_AND_BIASES, X, Y, "a=Conv(x,w) y=Mul(a,c)", c=(4,), **W) == "Conv Mul"


def test_every_convolution_has_a_bias() -> None:
    (conv,) = rewritten(BIAS_FOR_EVERY_CONVOLUTION, f"agraph ({X}) => ({Y}) {{ y=Conv(x,w) }}", **W).ordered()
    assert len(conv.inputs) == 3
