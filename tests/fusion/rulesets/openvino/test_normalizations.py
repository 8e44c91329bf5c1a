"""Normalizations into convolutions, as operators of the plugin, and as products and sums."""

import pytest

from nnmeter.fusion.rulesets.openvino import normalizations
from tests.fusion.models import f32
from tests.fusion.rulesets.applying import applied, rewritten

IMAGE, OUT = "float[1,8,4,4] x", "float[1,8,4,4] y"
X, Y = "float[2,4,8] x", "float[2,4,8] y"
ZEROS, ONES = f32([0] * 8), f32([1] * 8)
BATCH = "y=BatchNormalization({},s,o,m,v)"


def test_batch_normalization_gives_a_convolution_a_bias() -> None:
    text = f"agraph ({IMAGE}) => ({OUT}) {{ a=Conv(x,w) {BATCH.format('a')} }}"
    weights = {"w": (8, 8, 1, 1), "s": (8,), "o": (8,), "m": (8,), "v": (8,)}
    (conv,) = rewritten(normalizations.BATCH_NORMALIZATION, text, **weights).ordered()
    assert len(conv.inputs) == 3
    only_scales = {**weights, "o": ZEROS, "m": ZEROS}
    (conv,) = rewritten(normalizations.BATCH_NORMALIZATION, text, **only_scales).ordered()
    assert len(conv.inputs) == 2


def test_a_convolution_that_others_read_keeps_its_normalization_apart() -> None:
    body = f"a=Conv(x,w) {BATCH.format('a')} z=Neg(a)"
    weights = {"w": (8, 8, 1, 1), "s": (8,), "o": (8,), "m": (8,), "v": (8,)}
    kinds = applied(normalizations.BATCH_NORMALIZATION, IMAGE, f"{OUT}, float[1,8,4,4] z", body, **weights)
    assert "BatchNormalization" in kinds


def test_alone_they_are_products_and_sums() -> None:
    passes = normalizations.WITHOUT_CONVOLUTIONS
    weights = {"s": (8,), "o": (8,), "m": (8,), "v": (8,)}
    assert applied(passes, IMAGE, OUT, BATCH.format("x"), **weights) == "Mul Add"
    assert applied(passes, IMAGE, OUT, BATCH.format("x"), **{**weights, "o": ZEROS, "m": ZEROS}) == "Mul"
    assert applied(passes, IMAGE, OUT, "y=InstanceNormalization(x,g,b)", g=(8,), b=(8,)) == "MVN Mul Add"
    assert applied(passes, IMAGE, OUT, "y=InstanceNormalization(x,g,b)", g=ONES, b=ZEROS) == "MVN"


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ({"g": (8,), "b": (8,)}, "MVN Mul Add"),
        ({"g": (8,), "b": ZEROS}, "MVN Mul"),
        ({"g": ONES, "b": (8,)}, "MVN Add"),
        ({"g": ONES, "b": ZEROS}, "MVN"),
    ],
)
def test_layer_normalization(weights: dict[str, object], expected: str) -> None:
    kinds = applied(normalizations.LAYER_NORMALIZATION, X, Y, "y=LayerNormalization(x,g,b)", **weights)
    assert kinds == expected


DECOMPOSED = "m=ReduceMean<axes=[{0}]>(x) d=Sub(x,m) {1} v=ReduceMean<axes=[{0}]>(q) e=Add(v,eps) r=Sqrt(e) y=Div(d,r)"


def test_a_decomposed_normalization_of_the_last_axis() -> None:
    eps, passes = f32(1e-5), normalizations.LAYER_NORMALIZATION
    assert applied(passes, X, Y, DECOMPOSED.format(-1, "q=Mul(d,d)"), 13, eps=eps) == "MVN"
    assert applied(passes, X, Y, DECOMPOSED.format(-1, "q=Pow(d,two)"), 13, eps=eps, two=f32(2)) == "MVN"
    assert "MVN" not in applied(passes, X, Y, DECOMPOSED.format(1, "q=Mul(d,d)"), 13, eps=eps)


@pytest.mark.parametrize("last", ["y=Div(x,r)", "i=Reciprocal(r) y=Mul(x,i)", "i=Div(one,r) y=Mul(x,i)"])
@pytest.mark.parametrize("square", ["q=Mul(x,x)", "q=Pow(x,two)"])
def test_the_root_of_the_mean_square(square: str, last: str) -> None:
    numbers = {"eps": f32(1e-5), "one": f32(1), "two": f32(2)}
    body = f"{square} m=ReduceMean<axes=[-1]>(q) e=Add(m,eps) r=Sqrt(e) {last}"
    used = {name: value for name, value in numbers.items() if f",{name})" in body or f"({name}," in body}
    assert applied(normalizations.RMS_NORMALIZATION, X, Y, body, 13, **used) == "RMSNormalization"


def test_a_scale_joins_the_root_mean_square() -> None:
    passes = [normalizations.RMS_NORMALIZATION, normalizations.LAST_AXIS]
    body = "q=Mul(x,x) m=ReduceMean<axes=[-1]>(q) e=Add(m,eps) r=Sqrt(e) n=Div(x,r) y=Mul(n,g)"
    assert applied(passes, X, Y, body, 13, eps=f32(1e-5), g=(8,)) == "RMSNormalization"
    assert applied(passes, X, Y, body, 13, eps=f32(1e-5), g=(4, 1)) == "RMSNormalization Mul"
