"""Scalars have a dimension of one."""

from __future__ import annotations

from tests.fusion.passes.applying import apply_pass, shape


def test_computed_scalars_have_a_dimension_and_constants_stay() -> None:
    text = "agraph (float[2,3] x) => (float[2,3] y) { a=ReduceMax<keepdims=0>(x) b=Mul(a,c) y=Add(x,b) }"
    graph = apply_pass("scalars", {}, text, c=())
    assert [shape(graph, name) for name in "abcxy"] == [(1,), (1,), (), (2, 3), (2, 3)]
