"""Operators that do nothing, and those that look like it."""

import pytest

from nnmeter.fusion.rulesets.mobile.no_ops import NO_OPS
from tests.fusion.models import f32, i64
from tests.fusion.rulesets.applying import applied

X, Y = "float[1,8,4,4] x", "float[1,8,4,4] y"


@pytest.mark.parametrize(
    "body",
    ["Identity(x)", "Dropout(x)", "Cast<to=1>(x)", "Reshape(x,size)", "Concat<axis=1>(x)", "Sum(x)",
     "MaxPool<kernel_shape=[1,1]>(x)", "Add(x,zero)", "Mul(x,one)", "Div(x,one)"],
)  # fmt: skip
def test_what_does_nothing_is_left_out(body: str) -> None:
    weights = {"size": i64(1, 8, 4, 4), "zero": f32(0), "one": f32(1)}
    used = {name: value for name, value in weights.items() if f",{name})" in body}
    assert applied(NO_OPS, X, Y, f"a={body} y=Relu(a)", **used) == "Relu"


def test_a_pool_with_a_stride_stays() -> None:
    body = "a=MaxPool<kernel_shape=[1,1],strides=[2,2]>(x) y=Relu(a)"
    assert applied(NO_OPS, X, "float[1,8,2,2] y", body) == "MaxPool Relu"
