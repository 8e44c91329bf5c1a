"""Slices that together are a split."""

from __future__ import annotations

from tests.fusion.models import i64
from tests.fusion.passes.applying import apply_pass, kinds, only, shape

FIELDS = {"slices": ["Slice"], "gathers": ["Gather"], "split": "Split", "squeeze": "Squeeze", "opset": 13}
HEAD = "agraph (float[2,6] x) => (float[2,2] a, float[2,4] b) "
BOUNDS = {"z": i64(0), "t": i64(2), "e": i64(6), "ax": i64(1)}


def test_slices_from_end_to_end_become_one_split() -> None:
    graph = apply_pass("split_slices", FIELDS, HEAD + "{ a=Slice(x,z,t,ax) b=Slice(x,t,e,ax) }", **BOUNDS)
    assert kinds(graph) == ["Split"]
    split = only(graph, "Split")
    assert split.outputs == ["a", "b"]
    assert split.attributes == {"axis": 1}
    assert len(split.sources) == 2


def test_slices_that_overlap_stay() -> None:
    text = "agraph (float[2,6] x) => (float[2,2] a, float[2,6] b) { a=Slice(x,z,t,ax) b=Slice(x,z,e,ax) }"
    assert kinds(apply_pass("split_slices", FIELDS, text, **BOUNDS)) == ["Slice", "Slice"]


def test_a_gather_by_a_scalar_is_squeezed() -> None:
    text = "agraph (float[2,4] x) => (float[4] a, float[4] b) { a=Gather(x,i) b=Gather(x,j) }"
    graph = apply_pass("split_slices", FIELDS, text, i=i64(0)[0], j=i64(1)[0])
    assert kinds(graph) == ["Split", "Squeeze", "Squeeze"]
    assert shape(graph, only(graph, "Split").outputs[0]) == (1, 4)


def test_an_older_opset_has_no_such_split() -> None:
    text = HEAD + "{ a=Slice(x,z,t,ax) b=Slice(x,t,e,ax) }"
    assert kinds(apply_pass("split_slices", {**FIELDS, "opset": 19}, text, **BOUNDS)) == ["Slice", "Slice"]
