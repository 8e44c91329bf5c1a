"""Concatenations of concatenations along one axis are one.

Fields of a `merge_concats` pass: `operators` (that concatenate).

1. An input that another concatenation along the same axis writes, and that nobody else reads, is replaced by its parts.
"""

from __future__ import annotations

from nnmeter.fusion.engine.neighbours import only_reader
from nnmeter.fusion.engine.passes import Field, Fields, PassKind, procedure, texts
from nnmeter.fusion.engine.rewriting import WorkingGraph, WorkNode


def merge_concats(graph: WorkingGraph, fields: Fields) -> bool:
    """Replace concatenated inputs of concatenations by their parts; whether there were any."""
    before = graph.version
    for node in graph.of_kinds(fields["operators"]):
        inner = [_part(graph, node, tensor) for tensor in node.inputs]
        if not any(inner):
            continue
        parts = [
            part
            for tensor, writer in zip(node.inputs, inner, strict=True)
            for part in (writer.inputs if writer else [tensor])
        ]
        members = [writer for writer in inner if writer]
        sources = tuple(source for member in (*members, node) for source in member.sources)
        for member in (*members, node):
            graph.remove_node(member)
        graph.add_node(node.kind, node.name, parts, node.outputs, node.attributes, node.position, sources)
    return graph.version != before


def _part(graph: WorkingGraph, node: WorkNode, tensor: str) -> WorkNode | None:
    """The concatenation along the node's axis that writes a tensor for it alone."""
    writer = graph.producer.get(tensor)
    if writer is None or writer.kind != node.kind or only_reader(graph, tensor) is None:
        return None
    rank = max(len(graph.types[tensor].shape), 1)
    axes = [member.attributes.get("axis", 0) % rank for member in (writer, node)]
    return writer if axes[0] == axes[1] else None


PASSES = (PassKind("merge_concats", procedure(merge_concats), {"operators": Field(texts)}),)
