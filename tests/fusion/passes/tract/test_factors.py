"""Factors that join a product past views of its results."""

from __future__ import annotations

from typing import Any

from tests.fusion.models import f32, i64
from tests.fusion.passes.applying import apply_pass, kinds, only, shape

FIELDS: dict[str, Any] = {"into": ["MatMul"], "operators": ["Mul"], "views": ["Reshape", "Transpose"]}
TEXT = (
    "agraph (float[4,6] x, float[6,8] z) => (float[2,4,4] y) "
    "{ a=MatMul(x,z) b=Reshape(a,s) c=Transpose<perm=[1,0,2]>(b) y=Mul(c,k) }"
)


def test_a_factor_joins_the_product_and_the_view_writes_its_result() -> None:
    graph = apply_pass("join_past_views", FIELDS, TEXT, s=i64(4, 2, 4), k=f32(0.5))
    assert kinds(graph) == ["MatMul", "Reshape", "Transpose"]
    assert only(graph, "MatMul").attributes["fused"] == "Mul"
    assert only(graph, "Transpose").outputs == ["y"]
    assert shape(graph, "a") == (4, 8)


def test_other_factors_and_results_that_are_read_elsewhere_stay() -> None:
    left = ["MatMul", "Reshape", "Transpose", "Mul"]
    assert kinds(apply_pass("join_past_views", FIELDS, TEXT, s=i64(4, 2, 4), k=(4,))) == left
    read = TEXT.replace("=> (float[2,4,4] y)", "=> (float[2,4,4] y, float[4,2,4] b)")
    assert kinds(apply_pass("join_past_views", FIELDS, read, s=i64(4, 2, 4), k=f32(0.5))) == left


def test_a_sum_joins_where_both_have_its_shape() -> None:
    head = "agraph (float[4,6] x, float[6,8] z, float[2,4,4] r) => (float[2,4,4] y) "
    text = head + "{ a=MatMul(x,z) b=Reshape(a,s) y=Add(r,b) }"
    fields = {**FIELDS, "sums": ["Add"]}
    graph = apply_pass("join_past_views", fields, text, s=i64(2, 4, 4))
    assert kinds(graph) == ["MatMul", "Reshape"]
    assert only(graph, "MatMul").inputs == ["x", "z", "", "r"]
    wider = text.replace("float[2,4,4] r", "float[4] r")
    assert kinds(apply_pass("join_past_views", fields, wider, s=i64(2, 4, 4))) == ["MatMul", "Reshape", "Add"]
    assert kinds(apply_pass("join_past_views", FIELDS, text, s=i64(2, 4, 4))) == ["MatMul", "Reshape", "Add"]
