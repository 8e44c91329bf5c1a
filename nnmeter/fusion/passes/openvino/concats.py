"""Concatenations of concatenations along one axis are one.

Fields of a `merge_concats` pass: `operators` (that concatenate).

1. An input that another concatenation along the same axis writes, and that nobody else reads, is replaced by its parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nnmeter.fusion.engine.rewriting import WorkingGraph, WorkNode
from nnmeter.fusion.passes.openvino.post_operators import only_reader


def merge_concats(graph: WorkingGraph, fields: Mapping[str, Any]) -> bool:
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
