"""Operators that cost nothing."""

from __future__ import annotations

from tests.fusion.models import i64
from tests.fusion.passes.applying import apply_pass, kinds, shape


def test_free_operators_go_and_their_results_keep_their_types() -> None:
    text = "agraph (float[2,3] x) => (float[6] y) { a=Reshape(x,s) y=Neg(a) }"
    graph = apply_pass("free_operators", {"operators": ["Reshape"]}, text, s=i64(6))
    assert kinds(graph) == ["Neg"]
    assert shape(graph, "a") == (6,)


def test_operators_may_be_free_only_before_some() -> None:
    fields = {"operators": ["Reshape"], "only_before": ["Neg"]}
    text = "agraph (float[2,3] x) => (float[6] y) { a=Reshape(x,s) y=Neg(a) }"
    assert kinds(apply_pass("free_operators", fields, text, s=i64(6))) == ["Neg"]
    assert kinds(apply_pass("free_operators", fields, text.replace("Neg(a)", "Exp(a)"), s=i64(6))) == ["Reshape", "Exp"]
    twice = "agraph (float[2,3] x) => (float[6] y) { a=Reshape(x,s) b=Neg(a) y=Add(a,b) }"
    assert kinds(apply_pass("free_operators", fields, twice, s=i64(6))) == ["Reshape", "Neg", "Add"]
