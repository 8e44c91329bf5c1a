"""Operators that cost nothing wherever they stand, because a runtime only looks at memory in another way.

Field of a `free_operators` pass: `operators`.

They are dropped; what they give keeps its type, so that kernels see the shapes that they work on. To be applied last:
nothing writes these results any more.
"""

from __future__ import annotations

from nnmeter.fusion.engine.passes import Field, Fields, PassKind, procedure, texts
from nnmeter.fusion.engine.rewriting import WorkingGraph


def drop_free_operators(graph: WorkingGraph, fields: Fields) -> bool:
    """Drop the operators; whether there were any."""
    free = graph.of_kinds(fields["operators"])
    for node in free:
        graph.remove_node(node)
    return bool(free)


PASSES = (PassKind("free_operators", procedure(drop_free_operators), {"operators": Field(texts)}),)
