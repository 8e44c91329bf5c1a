"""Normalizations in single operators."""

import pytest

from nnmeter.fusion.rulesets.onnxruntime.layer_normalization import (
    LAYER_NORMALIZATION,
    LAYER_NORMALIZATION_OF_THE_OPERATOR_SET,
    SIMPLIFIED_LAYER_NORMALIZATION,
)
from tests.fusion.models import f32
from tests.fusion.rulesets.applying import applied

X, Y = "float[4,8,16] x", "float[4,8,16] y"
NUMBERS = {"two": f32(2), "eps": f32(1e-5), "g": (16,), "b": (16,)}
ONE = "q=Pow(d,two)"
TWO = "e=Sub(x,m) q=Pow(e,two)"
BODY = (
    "m=ReduceMean<axes=[{axis}]>(x) d=Sub(x,m) {square} v=ReduceMean<axes=[{axis}]>(q) w=Add(v,eps) s=Sqrt(w) "
    "n=Div(d,s) o=Mul(n,g) y=Add(o,b)"
)


@pytest.mark.parametrize("square", [ONE, TWO])
def test_one_or_two_differences(square: str) -> None:
    body = BODY.format(axis=-1, square=square)
    assert applied(LAYER_NORMALIZATION, X, Y, body, 13, **NUMBERS) == "LayerNormalization"
    assert applied(LAYER_NORMALIZATION_OF_THE_OPERATOR_SET, X, Y, body, 17, **NUMBERS) == "LayerNormalization"


def test_before_opset_17_the_basic_optimizations_leave_it() -> None:
    body = BODY.format(axis=-1, square=ONE)
    assert "LayerNormalization" not in applied(LAYER_NORMALIZATION_OF_THE_OPERATOR_SET, X, Y, body, 13, **NUMBERS)


def test_another_axis_stays() -> None:
    body = BODY.format(axis=1, square=ONE)
    assert "LayerNormalization" not in applied(LAYER_NORMALIZATION, X, Y, body, 13, **NUMBERS)


SIMPLIFIED = "q=Pow(x,two) m=ReduceMean<axes=[-1]>(q) e=Add(m,eps) s=Sqrt(e) n=Div(x,s) y=Mul(n,g)"


def test_the_root_of_the_mean_square() -> None:
    numbers = {name: NUMBERS[name] for name in ("two", "eps", "g")}
    assert applied(SIMPLIFIED_LAYER_NORMALIZATION, X, Y, SIMPLIFIED, 13, **numbers) == "SimplifiedLayerNormalization"


def test_the_root_of_the_mean_cube_stays() -> None:
    numbers = {"two": f32(3), "eps": f32(1e-5), "g": (16,)}
    assert "Simplified" not in applied(SIMPLIFIED_LAYER_NORMALIZATION, X, Y, SIMPLIFIED, 13, **numbers)
