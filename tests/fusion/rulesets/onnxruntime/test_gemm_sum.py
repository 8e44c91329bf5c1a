"""Sum behind Gemm becomes its bias; Add does not."""

from nnmeter.fusion.rulesets.onnxruntime.gemm_sum import RULES
from tests.fusion.rulesets.applying import applied

XC, Y = "float[4,8] x, float[4,8] c", "float[4,8] y"


def test_a_sum_of_the_same_shape_becomes_the_bias() -> None:
    assert applied(RULES, XC, Y, "a=Gemm(x,w) y=Sum(a,c)", w=(8, 8)) == "Gemm"


def test_an_add_stays() -> None:
    assert applied(RULES, XC, Y, "a=Gemm(x,w) y=Add(a,c)", w=(8, 8)) == "Gemm Add"


def test_a_gemm_with_a_bias_stays() -> None:
    assert applied(RULES, XC, Y, "a=Gemm(x,w,b) y=Sum(a,c)", w=(8, 8), b=(8,)) == "Gemm Sum"
