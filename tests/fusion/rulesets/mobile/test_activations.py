"""Hard activations, in however many operators they are written."""

import pytest

from nnmeter.fusion.rulesets.mobile.activations import ACTIVATIONS
from tests.fusion.models import f32
from tests.fusion.rulesets.applying import applied

X, Y = "float[4] x", "float[4] y"
CLIP = "a=Add(x,three) c=Clip(a,lo,hi)"
NUMBERS = {"three": f32(3), "lo": f32(0), "hi": f32(6), "six": f32(6), "sixth": f32(1 / 6)}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (f"{CLIP} g=Mul(c,x) y=Mul(g,sixth)", "HardSwish"),
        (f"{CLIP} g=Mul(x,c) y=Div(g,six)", "HardSwish"),
        (f"{CLIP} y=Mul(c,sixth)", "HardSigmoid"),
        (f"{CLIP} y=Div(c,six)", "HardSigmoid"),
        ("h=HardSigmoid<alpha=0.16666667>(x) y=Mul(h,x)", "HardSwish"),
        ("y=Clip(x,lo)", "Relu"),
    ],
)
def test_they_become_one(body: str, expected: str) -> None:
    used = {name: value for name, value in NUMBERS.items() if f",{name})" in body or f",{name}," in body}
    assert applied(ACTIVATIONS, X, Y, body, **used) == expected


def test_other_bounds_stay() -> None:
    used = {"three": f32(3), "lo": f32(0), "hi": f32(5), "six": f32(6)}
    assert applied(ACTIVATIONS, X, Y, f"{CLIP} y=Div(c,six)", **used) == "Add Clip Div"
