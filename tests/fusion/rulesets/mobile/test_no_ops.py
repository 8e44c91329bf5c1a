"""Operators that do nothing, and those that look like it."""

import numpy as np
import pytest

from nnmeter.fusion.rulesets.mobile.no_ops import NO_OPS
from nnmeter.fusion.rulesets.mobile.plain_network import WORK_BEFORE_THE_RUN
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


@pytest.mark.parametrize(("mode", "left"), [(True, "Dropout Relu"), (False, "Relu")])
def test_dropout_stays_in_training_mode_alone(mode: bool, left: str) -> None:
    weights = {"ratio": f32(0.5), "mode": np.bool_(mode)}
    assert applied(NO_OPS, X, Y, "a=Dropout(x,ratio,mode) y=Relu(a)", **weights) == left


@pytest.mark.parametrize("body", ["RandomNormalLike(c)", "Bernoulli(c)", "Dropout(c,ratio,mode)"])
def test_what_is_drawn_anew_in_every_run_is_no_constant(body: str) -> None:
    weights = {"c": (1, 8, 4, 4)} | ({"ratio": f32(0.5), "mode": np.bool_(True)} if "mode" in body else {})
    kinds = applied([WORK_BEFORE_THE_RUN, NO_OPS], X, Y, f"a={body} y=Add(x,a)", **weights)
    assert kinds == f"{body.partition('(')[0]} Add"
