"""Questions about the neighbourhood of a node that many passes ask."""

from __future__ import annotations

from nnmeter.fusion.engine.rewriting import WorkingGraph, WorkNode
from nnmeter.kernels.naming import without_leading_ones


def only_reader(graph: WorkingGraph, tensor: str) -> WorkNode | None:
    """The node that alone reads a tensor, once; None where there are none or more, or the graph returns it."""
    readers = graph.readers.get(tensor)
    return readers[0] if readers and len(readers) == 1 and tensor not in graph.outputs else None


def computed_inputs(graph: WorkingGraph, node: WorkNode) -> list[str]:
    """The inputs of a node that are not known before the run."""
    return [tensor for tensor in node.inputs if tensor and tensor not in graph.constants]


def leads_to(graph: WorkingGraph, start: WorkNode, goal: WorkNode) -> bool:
    """Whether a node reads, directly or through others, what another one computes."""
    pending, seen = [start], {start}
    while pending:
        node = pending.pop()
        graph.spend(4)
        if node is goal:
            return True
        for tensor in node.outputs:
            for reader in graph.readers.get(tensor, ()):
                if reader not in seen and reader.position <= goal.position:
                    seen.add(reader)
                    pending.append(reader)
    return False


def bare_constant(graph: WorkingGraph, constant: str) -> str:
    """A constant, or one like it without the leading dimensions of 1 that it has."""
    kind = graph.types[constant]
    bare = without_leading_ones(kind)
    return constant if bare == kind else graph.add_weight(constant, bare)
