"""Operators that do nothing, and those that look like it."""

import numpy as np
import pytest

from nnmeter.fusion.rulesets.openvino import no_ops
from tests.fusion.models import f32, i64
from tests.fusion.rulesets.applying import applied

X, Y = "float[4,8] x", "float[4,8] y"


@pytest.mark.parametrize(
    "body",
    [
        "Identity(x)",
        "Dropout(x)",
        "Cast<to=1>(x)",
        "Expand(x,size)",
        "Reshape(x,size)",
        "Concat<axis=0>(x)",
        "Add(x,zeros)",
        "Add(zeros,x)",
        "Mul(x,ones)",
        "Mul(ones,x)",
        "Sub(x,zeros)",
        "Div(x,ones)",
    ],
)
def test_what_does_nothing_is_left_out(body: str) -> None:
    weights = {"size": i64(4, 8), "zeros": f32([0] * 8), "ones": f32([1] * 8)}
    used = {name: value for name, value in weights.items() if name in body}
    assert applied(no_ops.NO_OPS, X, Y, f"a={body} y=Neg(a)", **used) == "Neg"


@pytest.mark.parametrize(("mode", "left"), [(True, "Dropout Neg"), (False, "Neg")])
def test_dropout_stays_in_training_mode_alone(mode: bool, left: str) -> None:
    weights = {"ratio": f32(0.5), "mode": np.bool_(mode)}
    assert applied(no_ops.NO_OPS, X, Y, "a=Dropout(x,ratio,mode) y=Neg(a)", **weights) == left


def test_a_transpose_in_order_of_the_graph_s_own_input_stays() -> None:
    assert applied(no_ops.NO_OPS, X, Y, "a=Transpose<perm=[0,1]>(x) y=Neg(a)") == "Transpose Neg"


def test_zeros_that_broadcast_the_result_stay() -> None:
    assert applied(no_ops.NO_OPS, "float[8] x", Y, "a=Add(x,zeros) y=Neg(a)", zeros=f32([[0] * 8] * 4)) == "Add Neg"


def test_a_transpose_of_ones_is_a_view() -> None:
    body = "y=Transpose<perm=[1,0]>(x)"
    assert applied(no_ops.TRANSPOSES_THAT_MOVE_NOTHING, "float[1,8] x", "float[8,1] y", body) == "Reshape"
    assert applied(no_ops.TRANSPOSES_THAT_MOVE_NOTHING, X, "float[8,4] y", body) == "Transpose"


def test_a_bias_of_zeros_goes() -> None:
    body = "y=Gemm(x,w,b)"
    assert applied([no_ops.BIASES_OF_ZEROS], X, Y, body, w=(8, 8), b=f32([0] * 8)) == "Gemm"
