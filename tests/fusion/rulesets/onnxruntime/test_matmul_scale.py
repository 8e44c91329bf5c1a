"""A scalar factor around a MatMul."""

import pytest

from nnmeter.fusion.rulesets.onnxruntime.matmul_scale import MATMUL_AND_SCALE
from tests.fusion.models import f32
from tests.fusion.rulesets.applying import applied, rewritten

AB, Y = "float[4,8] a, float[8,6] b", "float[4,6] y"


@pytest.mark.parametrize(
    ("body", "alpha"),
    [
        ("s=Mul(a,c) y=MatMul(s,b)", 4),
        ("s=Div(b,c) y=MatMul(a,s)", 0.25),
        ("m=MatMul(a,b) y=Mul(c,m)", 4),
        ("m=MatMul(a,b) y=Div(m,c)", 0.25),
    ],
)
def test_it_becomes_alpha(body: str, alpha: float) -> None:
    (product,) = rewritten(MATMUL_AND_SCALE, f"agraph ({AB}) => ({Y}) {{ {body} }}", c=f32(4)).ordered()
    assert (product.kind, product.attributes["alpha"]) == ("com.microsoft.FusedMatMul", alpha)


def test_one_factor_a_column_stays() -> None:
    assert applied(MATMUL_AND_SCALE, AB, Y, "m=MatMul(a,b) y=Mul(m,c)", c=(6,)) == "MatMul Mul"
