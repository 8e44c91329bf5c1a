"""Equal nodes run once."""

from __future__ import annotations

from tests.fusion.models import f32
from tests.fusion.passes.applying import apply_pass, kinds, only

HEAD = "agraph (float[4] x) => (float[4] y) "
TWICE = HEAD + "{ a=Exp(x) b=Exp(x) y=Add(a,b) }"


def test_the_first_of_equal_nodes_stays() -> None:
    graph = apply_pass("deduplicate", {}, TWICE)
    assert kinds(graph) == ["Exp", "Add"]
    assert only(graph, "Add").inputs == ["a", "a"]


def test_nodes_of_other_attributes_differ() -> None:
    text = HEAD + "{ a=Elu<alpha=0.5>(x) b=Elu<alpha=0.25>(x) y=Add(a,b) }"
    assert kinds(apply_pass("deduplicate", {}, text)) == ["Elu", "Elu", "Add"]


def test_kinds_are_spared_or_chosen() -> None:
    assert kinds(apply_pass("deduplicate", {"except": ["Exp"]}, TWICE)) == ["Exp", "Exp", "Add"]
    assert kinds(apply_pass("deduplicate", {"only": ["Neg"]}, TWICE)) == ["Exp", "Exp", "Add"]
    assert kinds(apply_pass("deduplicate", {"only": ["Exp"]}, TWICE)) == ["Exp", "Add"]


def test_constants_of_one_element_are_equal_by_value_and_larger_ones_are_not() -> None:
    text = HEAD + "{ a=Add(x,c) b=Add(x,d) y=Mul(a,b) }"
    assert kinds(apply_pass("deduplicate", {}, text, c=f32(2.0), d=f32(2.0))) == ["Add", "Mul"]
    assert kinds(apply_pass("deduplicate", {}, text, c=f32([2.0] * 4), d=f32([2.0] * 4))) == ["Add", "Add", "Mul"]
