"""Passes of rewrite rules, and their short form for operators that do nothing."""

from __future__ import annotations

from tests.fusion.passes.applying import apply_pass, kinds, only

RULE = {
    "name": "Neg of Exp",
    "match": [
        {"id": "exp", "op": "Exp", "inputs": ["x"], "outputs": ["a"]},
        {"id": "neg", "op": "Neg", "inputs": ["a"], "outputs": ["y"]},
    ],
    "replace": [{"op": "NegExp", "inputs": ["x"], "outputs": ["y"]}],
}


def test_rules_are_tried_in_their_order() -> None:
    text = "agraph (float[4] x) => (float[4] y) { a=Exp(x) y=Neg(a) }"
    other = {**RULE, "name": "another", "replace": [{"op": "Other", "inputs": ["x"], "outputs": ["y"]}]}
    assert kinds(apply_pass("rewrite", {"rules": [RULE, other]}, text)) == ["NegExp"]
    assert kinds(apply_pass("rewrite", {"rules": [other, RULE]}, text)) == ["Other"]


def test_the_new_node_is_the_heir_of_all_that_it_replaces() -> None:
    graph = apply_pass("rewrite", {"rules": [RULE]}, "agraph (float[4] x) => (float[4] y) { a=Exp(x) y=Neg(a) }")
    assert len(only(graph, "NegExp").sources) == 2


def test_an_operator_that_does_nothing_is_eliminated() -> None:
    text = "agraph (float[4] x) => (float[4] y) { a=Exp(x) b=Identity(a) y=Neg(b) }"
    graph = apply_pass("eliminate", {"operators": [{"op": "Identity"}]}, text)
    assert kinds(graph) == ["Exp", "Neg"]
    assert only(graph, "Neg").inputs == ["a"]


def test_an_elimination_renames_an_output_only_if_it_may() -> None:
    text = "agraph (float[4] x) => (float[4] y) { a=Exp(x) y=Identity(a) }"
    assert kinds(apply_pass("eliminate", {"operators": [{"op": "Identity"}]}, text)) == ["Exp", "Identity"]
    graph = apply_pass("eliminate", {"operators": [{"op": "Identity", "outputs": True}]}, text)
    assert only(graph, "Exp").outputs == ["y"]
