"""Rotary embeddings in single operators."""

from nnmeter.fusion.rulesets.openvino.rotary_embeddings import ROTARY_EMBEDDINGS
from tests.fusion.rulesets.applying import applied

X, Y = "float[1,2,4,8] x", "float[1,2,4,8] y"
BODY = "a,b=Split<axis={0},num_outputs=2>(x) n=Neg(b) r=Concat<axis={0}>(n,a) s=Mul(r,sin) c=Mul(x,cos) y=Add(c,s)"
ANGLES = {"sin": (4, 8), "cos": (4, 8)}


def test_halves_of_the_last_axis() -> None:
    assert applied(ROTARY_EMBEDDINGS, X, Y, BODY.format(-1), **ANGLES) == "RotaryEmbedding"


def test_halves_of_another_axis_stay() -> None:
    assert "RotaryEmbedding" not in applied(ROTARY_EMBEDDINGS, X, Y, BODY.format(2), **ANGLES)


def test_a_transpose_of_heads_and_positions_joins() -> None:
    body = "x=Transpose<perm=[0,2,1,3]>(z) " + BODY.format(-1)
    assert applied(ROTARY_EMBEDDINGS, "float[1,4,2,8] z", Y, body, **ANGLES) == "RotaryEmbedding"
