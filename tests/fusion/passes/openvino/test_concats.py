"""Concatenations of concatenations."""

from __future__ import annotations

from tests.fusion.passes.applying import apply_pass, kinds, only

HEAD = "agraph (float[2,3] a, float[2,3] b, float[2,6] c) => "


def test_concatenations_along_one_axis_are_one() -> None:
    text = HEAD + "(float[2,12] y) { d=Concat<axis=1>(a,b) y=Concat<axis=-1>(d,c) }"
    graph = apply_pass("merge_concats", {"operators": ["Concat"]}, text)
    assert only(graph, "Concat").inputs == ["a", "b", "c"]
    assert len(only(graph, "Concat").sources) == 2


def test_other_axes_or_other_readers_keep_them_apart() -> None:
    text = HEAD + "(float[4,6] y) { d=Concat<axis=1>(a,b) y=Concat<axis=0>(d,c) }"
    assert kinds(apply_pass("merge_concats", {"operators": ["Concat"]}, text)) == ["Concat", "Concat"]
    text = HEAD + "(float[2,12] y, float[2,6] z) { d=Concat<axis=1>(a,b) y=Concat<axis=1>(d,c) z=Neg(d) }"
    assert kinds(apply_pass("merge_concats", {"operators": ["Concat"]}, text)).count("Concat") == 2
