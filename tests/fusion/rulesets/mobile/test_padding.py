"""Padding before a convolution or a maximum."""

from nnmeter.fusion.rulesets.mobile.padding import PADDING
from tests.fusion.models import f32, i64
from tests.fusion.rulesets.applying import applied, rewritten

X, Y = "float[1,8,4,4] x", "float[1,8,4,4] y"
AROUND = i64(0, 0, 1, 1, 0, 0, 1, 1)
CONV = "y=Conv<kernel_shape=[3,3]>(a,w)"


def test_zeros_go_into_a_convolution() -> None:
    text = f"agraph ({X}) => ({Y}) {{ a=Pad(x,p) {CONV} }}"
    (conv,) = rewritten(PADDING, text, 13, p=AROUND, w=(8, 8, 3, 3)).ordered()
    assert list(conv.attributes["pads"]) == [1, 1, 1, 1]


def test_the_lowest_number_goes_into_a_maximum_alone() -> None:
    lowest = f32(-3.4e38)
    body = "a=Pad(x,p,v) y=MaxPool<kernel_shape=[3,3]>(a)"
    assert applied(PADDING, X, Y, body, 13, p=AROUND, v=lowest) == "MaxPool"
    assert applied(PADDING, X, Y, f"a=Pad(x,p,v) {CONV}", 13, p=AROUND, v=lowest, w=(8, 8, 3, 3)) == "Pad Conv"


def test_pads_as_an_attribute() -> None:
    body = f"a=Pad<pads=[0,0,1,1,0,0,1,1]>(x) {CONV}"
    assert applied(PADDING, X, Y, body, 9, w=(8, 8, 3, 3)) == "Conv"
