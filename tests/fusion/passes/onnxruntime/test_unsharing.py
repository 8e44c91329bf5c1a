"""A node for each reader."""

from __future__ import annotations

from tests.fusion.passes.applying import apply_pass, kinds, only


def test_each_reader_gets_a_node_and_the_first_keeps_the_operator() -> None:
    text = "agraph (float[4] x) => (float[4] y) { a=Exp(x) b=Neg(a) c=Abs(a) y=Add(b,c) }"
    graph = apply_pass("unshare", {"operators": ["Exp"]}, text)
    assert sorted(kinds(graph)) == ["Abs", "Add", "Exp", "Exp", "Neg"]
    assert only(graph, "Neg").inputs != only(graph, "Abs").inputs
    assert sorted(len(node.sources) for node in graph.of_kinds(["Exp"])) == [0, 1]


def test_a_node_with_one_reader_stays() -> None:
    text = "agraph (float[4] x) => (float[4] y) { a=Exp(x) y=Neg(a) }"
    graph = apply_pass("unshare", {"operators": ["Exp"]}, text)
    assert graph.version == 0
