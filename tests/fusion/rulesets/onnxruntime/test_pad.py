"""Pad before a convolution or an average."""

import pytest

from nnmeter.fusion.rulesets.onnxruntime.pad import RULES
from tests.fusion.models import i64
from tests.fusion.rulesets.applying import applied, rewritten

X, Y = "float[1,8,4,4] x", "float[1,8,4,4] y"
AROUND = i64(0, 0, 1, 1, 0, 0, 1, 1)
CONV = "y=Conv<kernel_shape=[3,3]>(a,w)"


def test_pads_of_the_map_become_those_of_the_convolution() -> None:
    text = f"agraph ({X}) => ({Y}) {{ a=Pad(x,p) {CONV} }}"
    (conv,) = rewritten(RULES, text, 13, p=AROUND, w=(8, 8, 3, 3)).ordered()
    assert list(conv.attributes["pads"]) == [1, 1, 1, 1]


def test_pads_of_an_average_count() -> None:
    text = f"agraph ({X}) => ({Y}) {{ a=Pad<pads=[0,0,1,1,0,0,1,1]>(x) y=AveragePool<kernel_shape=[3,3]>(a) }}"
    (pool,) = rewritten(RULES, text, 9).ordered()
    assert (list(pool.attributes["pads"]), pool.attributes["count_include_pad"]) == ([1, 1, 1, 1], 1)


@pytest.mark.parametrize("mode", ["reflect", "edge"])
def test_other_modes_stay(mode: str) -> None:
    kinds = applied(RULES, X, Y, f'a=Pad<mode="{mode}">(x,p) {CONV}', 13, p=AROUND, w=(8, 8, 3, 3))
    assert kinds == "Pad Conv"


def test_padded_channels_stay() -> None:
    kinds = applied(
        RULES, X, "float[1,8,2,2] y", f"a=Pad(x,p) {CONV}", 13, p=i64(0, 1, 0, 0, 0, 0, 0, 0), w=(8, 9, 3, 3)
    )
    assert kinds == "Pad Conv"
