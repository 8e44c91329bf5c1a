"""Operators that cost nothing wherever they stand, because a runtime only looks at memory in another way.

Fields of a `free_operators` pass: `operators`; `only_before` (operators one of which must be the only reader; any where
not given).

They are dropped; what they give keeps its type, so that kernels see the shapes that they work on. To be applied last:
nothing writes these results any more.
"""

from __future__ import annotations

from nnmeter.fusion.engine.neighbours import only_reader
from nnmeter.fusion.engine.passes import Field, Fields, PassKind, procedure, texts
from nnmeter.fusion.engine.rewriting import WorkingGraph


def drop_free_operators(graph: WorkingGraph, fields: Fields) -> bool:
    """Drop the operators; whether there were any."""
    free, before = graph.of_kinds(fields["operators"]), fields["only_before"]
    if before:
        readers = [(node, only_reader(graph, node.outputs[0])) for node in free]
        free = [node for node, reader in readers if reader is not None and reader.kind in before]
    for node in free:
        graph.remove_node(node)
    return bool(free)


PASSES = (
    PassKind(
        "free_operators", procedure(drop_free_operators), {"operators": Field(texts), "only_before": Field(texts, ())}
    ),
)
