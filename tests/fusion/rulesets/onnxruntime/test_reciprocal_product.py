"""A product with 1 / b, and with 2 / b."""

from nnmeter.fusion.rulesets.onnxruntime.reciprocal_product import RULES
from tests.fusion.models import f32
from tests.fusion.rulesets.applying import applied

XB, Y = "float[4] x, float[4] b", "float[4] y"


def test_a_product_with_a_reciprocal_is_a_division() -> None:
    assert applied(RULES, XB, Y, "r=Div(one,b) y=Mul(r,x)", one=f32(1)) == "Div"


def test_another_numerator_stays() -> None:
    assert applied(RULES, XB, Y, "r=Div(two,b) y=Mul(r,x)", two=f32(2)) == "Div Mul"
