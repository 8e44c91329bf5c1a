"""Convolutions of a split, and strides that move back."""

import pytest

from nnmeter.fusion.rulesets.openvino import convolutions
from tests.fusion.rulesets.applying import applied, rewritten

X, Y = "float[1,8,4,4] x", "float[1,8,4,4] y"
BODY = "a,b=Split<axis=1,num_outputs=2>(x) c=Conv(a,v) d=Conv(b,w) y=Concat<axis=1>(c,d)"


def test_equal_convolutions_of_the_pieces_are_one_with_groups() -> None:
    text = f"agraph ({X}) => ({Y}) {{ {BODY} }}"
    graph = rewritten(convolutions.OF_A_SPLIT, text, v=(4, 4, 1, 1), w=(4, 4, 1, 1))
    (conv,) = graph.ordered()
    assert (conv.attributes["group"], graph.types[conv.inputs[1]].shape) == (2, (8, 4, 1, 1))


def test_convolutions_of_two_sizes_stay() -> None:
    kinds = applied(convolutions.OF_A_SPLIT, X, "float[1,10,4,4] y", BODY, v=(4, 4, 1, 1), w=(6, 4, 1, 1))
    assert kinds == "Split Conv Conv Concat"


STRIDED = "a=Conv<kernel_shape=[3,3],pads=[1,1,1,1]>(x,v) {} y=Conv<kernel_shape=[1,1],strides=[2,2]>({},w)"


@pytest.mark.parametrize(("between", "last"), [("", "a"), ("r=Relu(a)", "r")])
def test_the_stride_of_a_pointwise_convolution_moves_back(between: str, last: str) -> None:
    text = f"agraph ({X}) => (float[1,8,2,2] y) {{ {STRIDED.format(between, last)} }}"
    first, *_, second = rewritten(convolutions.STRIDES, text, v=(8, 8, 3, 3), w=(8, 8, 1, 1)).ordered()
    assert (list(first.attributes["strides"]), list(second.attributes["strides"])) == ([2, 2], [1, 1])


def test_the_stride_of_a_larger_window_stays() -> None:
    body = STRIDED.format("", "a").replace("kernel_shape=[1,1]", "kernel_shape=[2,2]")
    text = f"agraph ({X}) => (float[1,8,2,2] y) {{ {body} }}"
    _, second = rewritten(convolutions.STRIDES, text, v=(8, 8, 3, 3), w=(8, 8, 2, 2)).ordered()
    assert list(second.attributes["strides"]) == [2, 2]
