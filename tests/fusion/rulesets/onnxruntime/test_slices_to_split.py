"""Slices that cut a tensor to pieces."""

from nnmeter.fusion.rulesets.onnxruntime.slices_to_split import SLICES_TO_SPLIT
from tests.fusion.models import i64
from tests.fusion.rulesets.applying import applied

X, Y = "float[4,8] x", "float[4,4] y"
BODY = "a=Slice(x,s0,e0,ax) b=Slice(x,s1,e1,ax) y=Sub(a,b)"
BOUNDS = {"s0": i64(0), "e0": i64(4), "s1": i64(4), "e1": i64(8), "ax": i64(1)}


def test_slices_of_all_become_a_split() -> None:
    assert applied(SLICES_TO_SPLIT, X, Y, BODY, **BOUNDS) == "Split Sub"


def test_slices_that_overlap_stay() -> None:
    kinds = applied(SLICES_TO_SPLIT, X, Y, BODY, **{**BOUNDS, "s1": i64(3), "e1": i64(7)})
    assert kinds == "Slice Slice Sub"
