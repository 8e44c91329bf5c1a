"""Operators that do nothing, and those that look like it."""

import numpy as np
import pytest

from nnmeter.fusion.rulesets.onnxruntime import constants
from nnmeter.fusion.rulesets.onnxruntime.no_ops import NO_OPS
from tests.fusion.models import f32, i64
from tests.fusion.rulesets.applying import applied

X, Y = "float[4,8] x", "float[4,8] y"
LARGEST = np.array([2**63 - 1, 2**63 - 1])


@pytest.mark.parametrize(
    "body",
    [
        "y=Identity(a)",
        "y=Dropout(a)",
        "y=Slice(a,zeros,most,axes)",
        "y=Expand(a,size)",
        "y=Cast<to=1>(a)",
        "y=Add(a,zero)",
        "y=Add(zero,a)",
        "y=Mul(a,one)",
        "y=Mul(one,a)",
        "y=Sub(a,zero)",
        "y=Div(a,one)",
    ],
)
def test_what_does_nothing_behind_another_operator_is_left_out(body: str) -> None:
    weights = {"zero": f32(0), "one": f32(1), "zeros": i64(0, 0), "axes": i64(0, 1), "most": LARGEST, "size": i64(4, 8)}
    used = {name: value for name, value in weights.items() if f"{name}," in body or f"{name})" in body}
    assert applied(NO_OPS, X, Y, f"a=Exp(x) {body.replace('y=', 'b=')} y=Neg(b)", **used) == "Exp Neg"


def test_a_sum_with_zero_of_the_graph_s_own_input_stays() -> None:
    assert applied(NO_OPS, X, Y, "a=Add(x,zero) y=Neg(a)", zero=f32(0)) == "Add Neg"


def test_a_slice_that_ends_at_the_size_itself_stays() -> None:
    kinds = applied(NO_OPS, X, Y, "a=Exp(x) b=Slice(a,s,e) y=Neg(b)", s=i64(0, 0), e=i64(4, 8))
    assert kinds == "Exp Slice Neg"


MODE = {"ratio": f32(0.5), "mode": np.bool_(True)}


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ("a=Dropout(x) y=Neg(a)", "Neg"),
        ("a=Dropout(x,ratio,mode) y=Neg(a)", "Dropout Neg"),
        ("a=Exp(x) b=Dropout(a,ratio,mode) y=Neg(b)", "Exp Neg"),
        ("a=Exp(x) b,m=Dropout(a,ratio,mode) d=Cast<to=1>(m) y=Mul(b,d)", "Exp Dropout Cast Mul"),
        ("a=Dropout(c,ratio,mode) y=Add(x,a)", "Dropout Add"),
        ("a=Dropout(x,ratio,mode) b=Dropout(x,ratio,mode) y=Add(a,b)", "Dropout Dropout Add"),
    ],
)
def test_dropout_goes_behind_another_operator_and_is_never_computed_before_the_run(body: str, left: str) -> None:
    weights = {"c": (4, 8), **MODE}
    used = {name: value for name, value in weights.items() if f"{name}," in body or f",{name})" in body}
    passes = [constants.COMMON_SUBEXPRESSIONS, constants.CONSTANT_FOLDING, NO_OPS]
    assert applied(passes, X, Y, body, **used) == left
