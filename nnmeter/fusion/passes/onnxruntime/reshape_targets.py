"""Targets of reshapes that are put together of sizes: a constant, where each size stays in its place.

Fields of a `constant_targets` pass: `reshape`, `concat`, `unsqueeze`, `gather` and `shape`, the operators in question.

1. A target is looked at that one `concat` puts together for one `reshape` alone, of constants and of sizes: each taken
   by a `gather` of one index from a `shape`, and made a list by an `unsqueeze`.
2. A size that the reshaped tensor has in that very place becomes 0, which stands for it. One that is in another place,
   or is no size of that tensor, leaves the target as it is.
3. What a target has taken its sizes from goes, where nobody else needs it.
"""

from __future__ import annotations

import numpy as np

from nnmeter.fusion.engine.passes import Field, Fields, PassKind, procedure, text
from nnmeter.fusion.engine.rewriting import WorkingGraph, WorkNode


def constant_targets(graph: WorkingGraph, fields: Fields) -> bool:
    """Make targets of reshapes constants (rules 1 to 3); whether any became one."""
    changed = False
    for node in graph.of_kinds((fields["reshape"],)):
        if len(node.inputs) < 2 or node.attributes.get("allowzero", 0):
            continue
        concat = graph.producer.get(node.inputs[1])
        if concat is None or concat.kind != fields["concat"] or graph.uses(node.inputs[1]) != 1:
            continue
        target = _target(graph, node, concat, fields)
        if target is None:
            continue
        graph.set_input(node, 1, graph.add_constant("target", np.array(target, np.int64), "int64"))
        graph.prune([concat])
        changed = True
    return changed


def _target(graph: WorkingGraph, node: WorkNode, concat: WorkNode, fields: Fields) -> list[int] | None:
    target: list[int] = []
    for tensor in concat.inputs:
        value = graph.values.get(tensor) if tensor in graph.constants else None
        if value is not None:
            target += [int(size) for size in value.ravel()]
        elif _is_size(graph, tensor, node.inputs[0], len(target), fields):
            target.append(0)
        else:
            return None
    return target


def _is_size(graph: WorkingGraph, tensor: str, reshaped: str, place: int, fields: Fields) -> bool:
    """Whether a list of one number is the size of the reshaped tensor in a place (rules 1 and 2)."""
    chain = []
    for kind in (fields["unsqueeze"], fields["gather"], fields["shape"]):
        writer = graph.producer.get(tensor)
        if writer is None or writer.kind != kind:
            return False
        chain.append(writer)
        tensor = writer.inputs[0]
    index = graph.values.get(chain[1].inputs[1]) if chain[1].inputs[1] in graph.constants else None
    if index is None or index.size != 1 or int(index.ravel()[0]) != place:
        return False
    source, shape = graph.types[tensor].shape, graph.types[reshaped].shape
    return place < min(len(source), len(shape)) and source[place] == shape[place]


PASSES = (
    PassKind(
        "constant_targets",
        procedure(constant_targets),
        {name: Field(text) for name in ("reshape", "concat", "unsqueeze", "gather", "shape")},
    ),
)
