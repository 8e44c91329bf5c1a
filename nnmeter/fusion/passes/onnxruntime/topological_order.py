"""The order in which ONNX Runtime sorts the operators of a graph (`core/graph/graph_viewer.cc`).

1. From the operators whose results no other one reads, the last of the graph first, it goes back to what they read.
2. Of those that an operator reads, the last of the graph comes first, with all that it needs.
"""

from __future__ import annotations

from nnmeter.fusion.engine.rewriting import WorkingGraph, WorkNode


def topological_order(graph: WorkingGraph) -> dict[WorkNode, int]:
    """The place of each operator in the order, from 0 on."""
    nodes = graph.nodes()
    graph.spend(len(nodes))
    readers, producer = graph.readers, graph.producer
    pending = [(node, False) for node in nodes if not any(readers.get(tensor) for tensor in node.outputs)]
    places: dict[WorkNode, int] = {}
    visited: set[WorkNode] = set()
    while pending:
        node, left = pending.pop()
        if left:
            places[node] = len(places)
            continue
        if node in visited:
            continue
        visited.add(node)
        pending.append((node, True))
        writers = {producer[tensor] for tensor in node.inputs if tensor in producer} - visited
        pending += [(writer, False) for writer in sorted(writers, key=lambda writer: writer.position)]
    return places
