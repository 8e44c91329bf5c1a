"""What holds of detection on any graph, here on random ones."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from nnmeter.fusion.detect import detect_kernels, rewrite_graph
from nnmeter.fusion.engine.rewrites import CompiledRule
from nnmeter.fusion.loading import load_rules
from nnmeter.graph.ir import Graph
from tests.fusion.models import make_graph
from tests.fusion.random_graphs import WEIGHTS, random_texts

RULES = load_rules("onnxruntime_cpu")
ALL_TRIED = load_rules("onnxruntime_cpu")  # remembers of its own which rules may fit
GRAPHS = random_texts().map(lambda text: make_graph(text, **WEIGHTS))


@given(GRAPHS)
@settings(max_examples=60, deadline=None)
def test_no_operator_is_in_two_kernels(graph: Graph) -> None:
    absorbed = [name for kernel in detect_kernels(graph, RULES) for name in kernel.nodes]
    assert len(absorbed) == len(set(absorbed))
    assert set(absorbed) <= {node.name for node in graph.nodes}


@given(GRAPHS)
@settings(max_examples=40, deadline=None)
def test_detection_is_deterministic_and_leaves_the_graph_alone(graph: Graph) -> None:
    before = [(node.op_type, node.inputs, node.outputs, dict(node.attributes)) for node in graph.nodes]
    assert detect_kernels(graph, RULES) == detect_kernels(graph, RULES)
    assert before == [(node.op_type, node.inputs, node.outputs, dict(node.attributes)) for node in graph.nodes]


@given(GRAPHS)
@settings(max_examples=60, deadline=None)
def test_rewritten_graph_still_computes_its_outputs_from_its_inputs(graph: Graph) -> None:
    work = rewrite_graph(graph, RULES)
    known = set(graph.inputs) | work.constants
    for node in work.ordered():
        assert all(name in known for name in node.inputs if name), f"{node} reads what nobody wrote"
        assert not known & {name for name in node.outputs if name}, f"{node} writes what is there already"
        known.update(name for name in node.outputs if name)
    assert set(graph.outputs) <= known
    assert {name: work.types[name] for name in graph.outputs} == {name: graph.types[name] for name in graph.outputs}


def test_graph_without_operators_has_no_kernels() -> None:
    graph = Graph("empty", [], ["x"], ["x"], {}, set(), {}, {"": 18})
    assert detect_kernels(graph, RULES) == []


@given(GRAPHS)
@settings(max_examples=60, deadline=None)
def test_no_rule_fits_that_was_passed_over_for_the_pairs_that_a_graph_lacks(graph: Graph) -> None:
    expected = detect_kernels(graph, RULES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CompiledRule, "may_link", lambda rule, links: True)
        assert detect_kernels(graph, ALL_TRIED) == expected
