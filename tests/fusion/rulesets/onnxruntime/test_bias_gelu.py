"""A bias before Gelu."""

from nnmeter.fusion.rulesets.onnxruntime.bias_gelu import BIAS_GELU
from tests.fusion.rulesets.applying import applied

X, Y = "float[4,8] x", "float[4,8] y"


def test_a_vector_becomes_the_bias() -> None:
    assert applied(BIAS_GELU, X, Y, "a=Add(x,b) y=Gelu(a)", 20, b=(8,)) == "com.microsoft.BiasGelu"
    assert applied(BIAS_GELU, X, Y, "a=Add(x,b) y=com.microsoft.FastGelu(a)", b=(8,)) == "com.microsoft.FastGelu"


def test_a_matrix_stays() -> None:
    assert applied(BIAS_GELU, X, Y, "a=Add(x,b) y=Gelu(a)", 20, b=(4, 8)) == "Add Gelu"


def test_gelu_by_tanh_stays() -> None:
    assert applied(BIAS_GELU, X, Y, 'a=Add(x,b) y=Gelu<approximate="tanh">(a)', 20, b=(8,)) == "Add Gelu"
