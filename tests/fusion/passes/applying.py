"""One pass of a kind, alone, on a graph of a few nodes."""

from __future__ import annotations

from typing import Any

from nnmeter.fusion.detect import rewrite_graph
from nnmeter.fusion.engine.rewriting import WorkingGraph, WorkNode
from nnmeter.fusion.loading import load_rules
from tests.fusion.models import make_graph


def apply_pass(kind: str, fields: dict[str, Any], text: str, parameters: Any = None, **weights: Any) -> WorkingGraph:
    """The graph of `text` after one pass; `weights` as `make_graph` takes them."""
    rules = load_rules(
        {
            "schema_version": 1,
            "name": "test",
            "runtime": "none",
            "parameters": parameters or {},
            "stages": [{"name": "only", "passes": [{"name": "tested", "kind": kind, **fields}]}],
        }
    )
    return rewrite_graph(make_graph(text, **weights), rules)


def kinds(graph: WorkingGraph) -> list[str]:
    """The operators in an order of execution."""
    return [node.kind for node in graph.ordered()]


def only(graph: WorkingGraph, kind: str) -> WorkNode:
    """The one node of a kind."""
    (node,) = graph.of_kinds([kind])
    return node


def shape(graph: WorkingGraph, tensor: str) -> tuple[int, ...]:
    return graph.types[tensor].shape
