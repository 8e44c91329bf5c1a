"""Operators that cost nothing."""

from __future__ import annotations

from tests.fusion.models import i64
from tests.fusion.passes.applying import apply_pass, kinds, shape


def test_free_operators_go_and_their_results_keep_their_types() -> None:
    text = "agraph (float[2,3] x) => (float[6] y) { a=Reshape(x,s) y=Neg(a) }"
    graph = apply_pass("free_operators", {"operators": ["Reshape"]}, text, s=i64(6))
    assert kinds(graph) == ["Neg"]
    assert shape(graph, "a") == (6,)
