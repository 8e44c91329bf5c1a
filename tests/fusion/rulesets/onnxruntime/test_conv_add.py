"""A constant that is added behind a convolution."""

from nnmeter.fusion.rulesets.onnxruntime.conv_add import RULES
from tests.fusion.rulesets.applying import applied, rewritten

X, Y = "float[1,8,4,4] x", "float[1,8,4,4] y"


def test_one_number_a_channel_becomes_the_bias() -> None:
    graph = rewritten(RULES, f"agraph ({X}) => ({Y}) {{ a=Conv(x,w) y=Add(a,c) }}", w=(8, 8, 1, 1), c=(1, 8, 1, 1))
    (conv,) = graph.ordered()
    assert graph.types[conv.inputs[2]].shape == (8,)


def test_one_number_for_all_channels_stays() -> None:
    assert applied(RULES, X, Y, "a=Conv(x,w) y=Add(a,c)", w=(8, 8, 1, 1), c=(1,)) == "Conv Add"


def test_a_convolution_that_is_the_second_input_stays() -> None:
    assert applied(RULES, X, Y, "a=Conv(x,w) y=Add(c,a)", w=(8, 8, 1, 1), c=(8, 1, 1)) == "Conv Add"
