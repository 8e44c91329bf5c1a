"""Operators that a runtime repeats for each of their readers, as it does with dequantize nodes.

Field of an `unshare` pass: `operators`.

1. The first reader keeps the node, every other reading gets a node of its own, which is the heir of no operator.
"""

from __future__ import annotations

from nnmeter.fusion.engine.passes import Field, Fields, PassKind, procedure, texts
from nnmeter.fusion.engine.rewriting import WorkingGraph


def unshare(graph: WorkingGraph, fields: Fields) -> bool:
    """Give each reader of the nodes of some kinds a node of its own; whether any was shared."""
    changed = False
    for node in graph.of_kinds(fields["operators"]):
        output = node.outputs[0]
        for reader in list(graph.readers.get(output, ()))[1:]:
            copy = graph.fresh(output)
            graph.types[copy] = graph.types[output]
            graph.add_node(node.kind, copy, list(node.inputs), [copy], node.attributes, node.position + 1e-6)
            for index in [i for i, tensor in enumerate(reader.inputs) if tensor == output][-1:]:
                graph.set_input(reader, index, copy)
            changed = True
    return changed


PASSES = (PassKind("unshare", procedure(unshare), {"operators": Field(texts)}),)
