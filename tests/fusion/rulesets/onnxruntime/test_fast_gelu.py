"""Gelu by Tanh."""

import pytest

from nnmeter.fusion.rulesets.onnxruntime.fast_gelu import FAST_GELU
from tests.fusion.models import f32
from tests.fusion.rulesets.applying import applied

X, Y = "float[4,8] x", "float[4,8] y"
NUMBERS = {"k1": f32(0.044715), "k2": f32(0.7978845608), "one": f32(1), "h": f32(0.5)}
CUBE = "c=Pow(x,three) d=Mul(c,k1) e=Add(x,d) t=Mul(e,k2)"
PRODUCTS = "c=Mul(x,k1) d=Mul(c,x) e=Add(d,one) k=Mul(x,k2) t=Mul(e,k)"
REST = "u=Tanh(t) p=Add(u,one) hx=Mul(x,h) m=Mul(hx,p) y=Neg(m)"


@pytest.mark.parametrize("inner", [CUBE, PRODUCTS])
def test_a_power_or_products(inner: str) -> None:
    numbers = NUMBERS | ({"three": f32(3)} if inner == CUBE else {})
    assert applied(FAST_GELU, X, Y, f"{inner} {REST}", **numbers) == "com.microsoft.FastGelu Neg"


def test_one_that_the_graph_returns_stays() -> None:
    body = f"{CUBE} {REST}".replace("m=Mul(hx,p) y=Neg(m)", "y=Mul(hx,p)")
    assert "FastGelu" not in applied(FAST_GELU, X, Y, body, three=f32(3), **NUMBERS)
