"""The working graph keeps writers, readers and order consistent while it is rewritten."""

from __future__ import annotations

import pytest

from nnmeter.fusion.engine.rewriting import WorkingGraph, split_kind
from nnmeter.graph.ir import Graph
from tests.fusion.models import make_graph


@pytest.fixture
def graph() -> Graph:
    """x -> Exp -> a; a -> Neg -> b; a, b -> Add -> y."""
    return make_graph("agraph (float[4] x) => (float[4] y) { a=Exp(x) b=Neg(a) y=Add(a,b) }")


def test_original_is_left_as_it_was(graph: Graph) -> None:
    work = WorkingGraph(graph)
    for node in work.nodes():
        work.remove_node(node)
    assert [node.op_type for node in graph.nodes] == ["Exp", "Neg", "Add"]


def test_readers_and_writers_follow_changes(graph: Graph) -> None:
    work = WorkingGraph(graph)
    exp, neg, add = work.nodes()
    assert work.readers["a"] == [neg, add]
    work.redirect("b", "a")
    assert add.inputs == ["a", "a"]
    assert work.uses("b") == 0
    work.prune([neg])
    assert not neg.alive
    assert exp.alive
    assert work.producer["a"] is exp


def test_pruning_takes_what_fed_only_the_pruned(graph: Graph) -> None:
    work = WorkingGraph(graph)
    _, _, add = work.nodes()
    work.set_input(add, 0, "x")
    work.set_input(add, 1, "x")
    work.prune([node for node in work.nodes() if node is not add])
    assert [node.kind for node in work.nodes()] == ["Add"]


def test_order_puts_writers_first_whatever_their_positions(graph: Graph) -> None:
    work = WorkingGraph(graph)
    exp, _, _ = work.nodes()
    exp.position = 99.0
    assert [node.kind for node in work.ordered()] == ["Exp", "Neg", "Add"]


def test_change_touches_the_kinds_of_neighbours(graph: Graph) -> None:
    work = WorkingGraph(graph)
    _, neg, _ = work.nodes()
    work.remove_node(neg)
    assert set(work.touched) == {"Exp", "Neg", "Add"}


def test_kind_is_domain_and_operator() -> None:
    assert split_kind("com.microsoft.nchwc.Conv") == ("com.microsoft.nchwc", "Conv")
    assert split_kind("Conv") == ("", "Conv")
