"""Activations in single operators, and inside of others."""

import pytest

from nnmeter.fusion.rulesets.mnn.activations import ACTIVATIONS, BOUNDS, INSIDE
from tests.fusion.models import CONV, f32
from tests.fusion.rulesets.applying import applied, rewritten

MAP = "float[1,8,4,4]"
GELU = "a=Div(x,root) b=Erf(a) c=Add(b,one) "
NUMBERS = {"root": f32(2**0.5), "one": f32(1), "half": f32(0.5)}
SWISH = {"three": f32(3), "lo": f32(0), "hi": f32(6), "six": f32(6)}


def test_a_product_with_its_sigmoid_is_swish() -> None:
    assert applied(ACTIVATIONS, f"{MAP} x", f"{MAP} y", "a=Sigmoid(x) y=Mul(x,a)") == "Swish"


def test_gelu_is_one_where_its_half_is_multiplied_last() -> None:
    assert applied(ACTIVATIONS, f"{MAP} x", f"{MAP} y", f"{GELU} d=Mul(x,c) y=Mul(d,half)", **NUMBERS) == "Gelu"
    of_the_sum = applied(ACTIVATIONS, f"{MAP} x", f"{MAP} y", f"{GELU} d=Mul(c,half) y=Mul(x,d)", **NUMBERS)
    assert of_the_sum == "Div Erf Add Mul Mul"


@pytest.mark.parametrize("body", ["c=Mul(x,b) y=Div(c,six)", "c=Div(b,six) y=Mul(x,c)"])
def test_hard_swish(body: str) -> None:
    assert (
        applied(ACTIVATIONS, f"{MAP} x", f"{MAP} y", f"a=Add(x,three) b=Clip(a,lo,hi) {body}", **SWISH) == "HardSwish"
    )


def test_activations_run_inside_of_convolutions_and_sums() -> None:
    graph = rewritten([BOUNDS, INSIDE], f"agraph ({MAP} x) => ({MAP} y) {{ a={CONV}(x,w) y=Relu(a) }}", w=(8, 8, 3, 3))
    (conv,) = graph.ordered()
    assert conv.attributes["fused"] == "Relu"
    body = f"a={CONV}(x,w) b=Clip(a,lo,hi) c=Add(b,x) y=Relu(c)"
    weights = {"w": (8, 8, 3, 3), "lo": f32(0), "hi": f32(6)}
    assert applied([BOUNDS, INSIDE], f"{MAP} x", f"{MAP} y", body, **weights) == "Conv Add"


def test_clip_of_other_bounds_stays() -> None:
    weights = {"w": (8, 8, 3, 3), "lo": f32(0), "hi": f32(5)}
    assert applied([BOUNDS, INSIDE], f"{MAP} x", f"{MAP} y", f"a={CONV}(x,w) y=Clip(a,lo,hi)", **weights) == "Conv Clip"
