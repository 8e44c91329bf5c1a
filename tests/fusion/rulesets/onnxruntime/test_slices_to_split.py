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


def test_slices_of_a_slice_become_a_split_too() -> None:
    inner = {"i0": i64(0), "j0": i64(2), "i1": i64(2), "j1": i64(4)}
    body = f"{BODY.replace('y=', 'z=')} c=Slice(a,i0,j0,ax) d=Slice(a,i1,j1,ax) y=Concat<axis=1>(d,c)"
    assert applied(SLICES_TO_SPLIT, X, Y, body, **BOUNDS, **inner) == "Split Sub Split Concat"


def test_slices_of_a_piece_of_a_split_stay() -> None:
    body = "p,q=Split<axis=1,num_outputs=2>(x) a=Slice(p,s0,e0,ax) b=Slice(p,e0,s1,ax) y=Concat<axis=1>(b,a,q)"
    bounds = {"s0": i64(0), "e0": i64(2), "s1": i64(4), "ax": i64(1)}
    assert applied(SLICES_TO_SPLIT, X, "float[4,8] y", body, 18, **bounds) == "Split Slice Slice Concat"
