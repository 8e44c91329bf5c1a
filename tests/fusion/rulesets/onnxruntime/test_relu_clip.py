"""Relu before Clip, with bounds that are known or computed."""

from nnmeter.fusion.rulesets.onnxruntime.relu_clip import RULES
from tests.fusion.models import f32
from tests.fusion.rulesets.applying import applied, rewritten

X, Y = "float[4] x", "float[4] y"


def test_the_lower_bound_becomes_at_least_zero() -> None:
    text = f"agraph ({X}) => ({Y}) {{ a=Relu(x) y=Clip(a,lo,hi) }}"
    graph = rewritten(RULES, text, lo=f32(-1), hi=f32(6))
    (clip,) = graph.ordered()
    assert clip.kind == "Clip"
    assert graph.values[clip.inputs[1]] == 0


def test_bounds_as_attributes() -> None:
    graph = rewritten(RULES, f"agraph ({X}) => ({Y}) {{ a=Relu(x) y=Clip<min=-1.0,max=6.0>(a) }}", opset=9)
    (clip,) = graph.ordered()
    assert clip.attributes["min"] == 0


def test_a_computed_bound_stays() -> None:
    kinds = applied(RULES, f"{X}, float lo", Y, "a=Relu(x) y=Clip(a,lo)")
    assert kinds == "Relu Clip"
