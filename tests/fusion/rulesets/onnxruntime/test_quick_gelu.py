"""The product of a tensor and its sigmoid."""

from nnmeter.fusion.rulesets.onnxruntime.quick_gelu import QUICK_GELU
from tests.fusion.models import f32
from tests.fusion.rulesets.applying import applied, rewritten

X, Y = "float[4] x", "float[4] y"


def test_silu() -> None:
    assert applied(QUICK_GELU, X, Y, "s=Sigmoid(x) y=Mul(x,s)") == "com.microsoft.QuickGelu"


def test_a_factor_becomes_an_attribute() -> None:
    text = f"agraph ({X}) => ({Y}) {{ a=Mul(x,c) s=Sigmoid(a) y=Mul(x,s) }}"
    (node,) = rewritten(QUICK_GELU, text, c=f32(1.5)).ordered()
    assert (node.kind, node.attributes["alpha"]) == ("com.microsoft.QuickGelu", 1.5)


def test_the_sigmoid_of_something_else_stays() -> None:
    assert applied(QUICK_GELU, f"{X}, float[4] z", Y, "s=Sigmoid(z) y=Mul(x,s)") == "Sigmoid Mul"
