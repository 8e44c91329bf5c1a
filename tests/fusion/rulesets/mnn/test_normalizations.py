"""Normalizations into convolutions, and out of single operators."""

import pytest

from nnmeter.fusion.rulesets.mnn.normalizations import NORMALIZATIONS
from tests.fusion.models import CONV, f32, i64
from tests.fusion.rulesets.applying import applied

MAP, ROWS = "float[1,8,4,4]", "float[2,16]"
STATISTICS = dict.fromkeys("stmv", (8,))
NUMBERS = {"k": i64(-1), "two": f32(2), "eps": f32(1e-5)}
NORMALIZED = "m=ReduceMean(x,k) d=Sub(x,m) q=Pow(d,two) e=ReduceMean(q,k) f=Add(e,eps) r=Sqrt(f) "


def test_a_normalization_becomes_part_of_a_convolution_that_nobody_else_reads() -> None:
    body = f"a={CONV}(x,w) y=BatchNormalization(a,s,t,m,v)"
    weights = {"w": (8, 8, 3, 3), **STATISTICS}
    assert applied(NORMALIZATIONS, f"{MAP} x", f"{MAP} y", body, **weights) == "Conv"
    both = applied(NORMALIZATIONS, f"{MAP} x", f"{MAP} y, {MAP} z", f"{body} z=Relu(a)", **weights)
    assert both == "Conv BatchNormalization Relu"


@pytest.mark.parametrize(
    ("body", "weights"), [("y=Div(d,r)", {}), ("n=Div(d,r) s=Mul(n,g) y=Add(s,b)", {"g": (16,), "b": (16,)})]
)
def test_a_decomposed_normalization_is_one_operator(body: str, weights: dict[str, tuple[int, ...]]) -> None:
    kinds = applied(NORMALIZATIONS, f"{ROWS} x", f"{ROWS} y", NORMALIZED + body, **NUMBERS, **weights)
    assert kinds == "LayerNormalization"


@pytest.mark.parametrize("body", ["n=Div(x,r)", "i=Reciprocal(r) n=Mul(x,i)", "i=Div(one,r) n=Mul(x,i)"])
def test_so_is_a_root_mean_square(body: str) -> None:
    text = f"q=Pow(x,two) e=ReduceMean(q,k) f=Add(e,eps) r=Sqrt(f) {body} y=Mul(n,g)"
    weights = {**NUMBERS, "g": (16,), **({"one": f32(1)} if "one" in body else {})}
    assert applied(NORMALIZATIONS, f"{ROWS} x", f"{ROWS} y", text, **weights) == "LayerNormalization"


def test_a_third_power_is_none() -> None:
    body = NORMALIZED + "y=Div(d,r)"
    kinds = applied(NORMALIZATIONS, f"{ROWS} x", f"{ROWS} y", body, **{**NUMBERS, "two": f32(3)})
    assert "LayerNormalization" not in kinds
