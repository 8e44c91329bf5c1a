"""A residual sum behind a convolution on plain channels."""

from nnmeter.fusion.rulesets.onnxruntime.conv_add_activation import CONV_ADD_AND_ACTIVATION
from tests.fusion.rulesets.applying import applied, rewritten

XZ, Y = "float[1,6,4,4] x, float[1,6,4,4] z", "float[1,6,4,4] y"
WEIGHTS = {"w": (6, 6, 1, 1), "b": (6,)}


def test_the_sum_and_its_activation_join() -> None:
    text = f"agraph ({XZ}) => ({Y}) {{ a=Conv(x,w,b) s=Add(a,z) y=Relu(s) }}"
    (conv,) = rewritten(CONV_ADD_AND_ACTIVATION, text, **WEIGHTS).ordered()
    assert (conv.kind, conv.inputs[3], conv.attributes["activation"]) == ("com.microsoft.FusedConv", "z", "Relu")


def test_the_sum_alone_joins() -> None:
    assert applied(CONV_ADD_AND_ACTIVATION, XZ, Y, "a=Conv(x,w,b) y=Add(z,a)", **WEIGHTS) == "com.microsoft.FusedConv"


def test_a_convolution_without_a_bias_stays() -> None:
    kinds = applied(CONV_ADD_AND_ACTIVATION, XZ, Y, "a=Conv(x,w) y=Add(a,z)", w=(6, 6, 1, 1))
    assert kinds == "Conv Add"


def test_a_sum_that_is_broadcast_stays() -> None:
    inputs = "float[1,6,4,4] x, float[1,6,1,1] z"
    assert applied(CONV_ADD_AND_ACTIVATION, inputs, Y, "a=Conv(x,w,b) y=Add(a,z)", **WEIGHTS) == "Conv Add"
