"""A residual sum before LayerNormalization."""

import pytest

from nnmeter.fusion.rulesets.onnxruntime.skip_layer_normalization import SKIP_LAYER_NORMALIZATION
from tests.fusion.rulesets.applying import applied, rewritten

XS, Y = "float[2,4,8] x, float[2,4,8] s", "float[2,4,8] y"
FUSED = "com.microsoft.SkipLayerNormalization"


def test_the_sum_becomes_part_of_it() -> None:
    assert applied(SKIP_LAYER_NORMALIZATION, XS, Y, "a=Add(x,s) y=LayerNormalization(a,g)", g=(8,)) == FUSED


@pytest.mark.parametrize("body", ["p=Add(x,c) a=Add(p,s)", "p=Add(s,c) a=Add(x,p)"])
def test_a_bias_of_either_input_joins(body: str) -> None:
    text = f"agraph ({XS}) => ({Y}) {{ {body} y=LayerNormalization(a,g) }}"
    (node,) = rewritten(SKIP_LAYER_NORMALIZATION, text, g=(8,), c=(8,)).ordered()
    assert (node.kind, node.inputs[4]) == (FUSED, "c")


def test_a_sum_that_others_read_stays() -> None:
    body = "a=Add(x,s) y=LayerNormalization(a,g) z=Neg(a)"
    kinds = applied(SKIP_LAYER_NORMALIZATION, XS, f"{Y}, float[2,4,8] z", body, g=(8,))
    assert sorted(kinds.split()) == ["Add", "LayerNormalization", "Neg"]


def test_two_dimensions_stay() -> None:
    kinds = applied(
        SKIP_LAYER_NORMALIZATION,
        "float[4,8] x, float[4,8] s",
        "float[4,8] y",
        "a=Add(x,s) y=LayerNormalization(a,g)",
        g=(8,),
    )
    assert kinds == "Add LayerNormalization"
