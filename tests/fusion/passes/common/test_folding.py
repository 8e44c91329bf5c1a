"""Folding of constants."""

from __future__ import annotations

from tests.fusion.models import i64
from tests.fusion.passes.applying import apply_pass, kinds

HEAD = "agraph (float[4] x) => (float[4] y) "


def test_what_reads_constants_alone_becomes_one() -> None:
    assert kinds(apply_pass("fold_constants", {}, HEAD + "{ a=Exp(c) b=Neg(a) y=Add(x,b) }", c=(4,))) == ["Add"]


def test_operators_that_are_excepted_stay_and_what_follows_them() -> None:
    graph = apply_pass("fold_constants", {"except": ["Exp"]}, HEAD + "{ a=Exp(c) b=Neg(a) y=Add(x,b) }", c=(4,))
    assert kinds(graph) == ["Exp", "Neg", "Add"]


def test_a_shape_is_known_though_its_input_is_not() -> None:
    text = "agraph (float[2,3] x) => (float[6] y) { s=Shape(x) p=ReduceProd<keepdims=1>(s) y=Reshape(x,p) }"
    assert kinds(apply_pass("fold_constants", {"of_shapes": ["Shape"]}, text)) == ["Reshape"]
    assert kinds(apply_pass("fold_constants", {}, text)) == ["Shape", "ReduceProd", "Reshape"]


def test_a_generator_is_spared_where_it_would_make_a_large_constant() -> None:
    text = "agraph (float[8] x) => (float[8] y) { a=Expand(c,s) y=Add(x,a) }"
    fields = {"generators": ["Expand"], "limit": 4}
    assert kinds(apply_pass("fold_constants", fields, text, c=(1,), s=i64(8))) == ["Expand", "Add"]
    assert kinds(apply_pass("fold_constants", {**fields, "limit": 8}, text, c=(1,), s=i64(8))) == ["Add"]
