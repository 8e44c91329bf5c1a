"""Activations in single operators."""

import pytest

from nnmeter.fusion.rulesets.openvino.activations import ACTIVATIONS, HARD_SIGMOID
from tests.fusion.models import f32
from tests.fusion.rulesets.applying import applied

X, Y = "float[4,8] x", "float[4,8] y"
NUMBERS = {
    "three": f32(3), "six": f32(6), "sixth": f32(1 / 6), "lo": f32(0), "hi": f32(6), "one": f32(1), "half": f32(0.5),
    "root": f32(2**0.5), "rec": f32(0.5**0.5), "k1": f32(0.044715), "k2": f32(0.79788456),
}  # fmt: skip
CLIP = "a=Add(x,three) c=Clip(a,lo,hi)"
ERF = "d=Div(x,root) e=Erf(d) p=Add(e,one)"
TANH = "q=Pow(x,three) r=Mul(q,k1) s=Add(x,r) t=Mul(s,k2) u=Tanh(t) p=Add(u,one)"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("s=Sigmoid(x) y=Mul(x,s)", "Swish"),
        (f"{CLIP} m=Mul(x,c) y=Div(m,six)", "HardSwish"),
        (f"{CLIP} m=Mul(x,c) y=Mul(m,sixth)", "HardSwish"),
        (f"{CLIP} y=Div(c,six)", "HardSigmoid"),
        (f"{CLIP} y=Mul(c,sixth)", "HardSigmoid"),
        ("s=Softplus(x) t=Tanh(s) y=Mul(x,t)", "Mish"),
        (f"{ERF} h=Mul(p,half) y=Mul(x,h)", "Gelu"),
        (f"{ERF} h=Mul(x,p) y=Mul(h,half)", "Gelu"),
        (f"{ERF} h=Mul(x,half) y=Mul(h,p)", "Gelu"),
        (f"{ERF} h=Mul(x,half) y=Mul(h,p)".replace("Div(x,root)", "Mul(x,rec)"), "Gelu"),
        (f"{TANH} h=Mul(x,half) y=Mul(h,p)", "Gelu"),
        (f"{TANH} h=Mul(p,half) y=Mul(x,h)", "Gelu"),
        ("y=com.microsoft.FastGelu(x)", "Gelu"),
        ("y=com.microsoft.QuickGelu(x)", "Swish"),
    ],
)
def test_they_become_one(body: str, expected: str) -> None:
    used = {name: value for name, value in NUMBERS.items() if f",{name})" in body or f",{name}," in body}
    assert applied(ACTIVATIONS, X, Y, body, **used) == expected


def test_a_quotient_before_the_product_is_hard_swish_to_its_own_rule_alone() -> None:
    """Among all rules that of HardSigmoid comes first: its anchor, the quotient, stands before the product."""
    body = f"{CLIP} d=Div(c,six) y=Mul(x,d)"
    used = {name: NUMBERS[name] for name in ("three", "lo", "hi", "six")}
    alone = [rule for rule in ACTIVATIONS.rules if rule.name == "HardSwish of Clip, quotient first"]
    assert applied(alone, X, Y, body, **used) == "HardSwish"
    assert applied(ACTIVATIONS, X, Y, body, **used) == "HardSigmoid Mul"


def test_a_sigmoid_that_others_read_stays() -> None:
    kinds = applied(ACTIVATIONS, X, f"{Y}, float[4,8] z", "s=Sigmoid(x) y=Mul(x,s) z=Neg(s)")
    assert "Swish" not in kinds


def test_hard_sigmoid_of_the_operator_set_runs_as_the_reference_does() -> None:
    assert applied(HARD_SIGMOID, X, Y, "y=HardSigmoid(x)") == "RefHardSigmoid"
    assert applied(HARD_SIGMOID, X, Y, "y=Sigmoid(x)") == "Sigmoid"
