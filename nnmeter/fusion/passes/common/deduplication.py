"""What a runtime does once instead of twice.

Fields of a `deduplicate` pass: `except` (operators that are never merged), `only` (the operators that are; all where
not given), `shared_elements` (up to how many elements constants are compared by value; one where not given).

1. Of nodes with one kind, equal attributes and equal inputs the first stays; readers of the others read its outputs.
2. Constants of one element are equal if type, shape and value are, and so are those of the model of up to
   `shared_elements` elements; those that rules made stay apart.
3. Outputs of the graph stay, and nodes of the kinds in `except` (random numbers) and those with bodies are left alone.
"""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np

from nnmeter.fusion.engine.passes import Field, Fields, PassKind, count, optional, procedure, texts
from nnmeter.fusion.engine.rewriting import WorkingGraph, WorkNode
from nnmeter.graph.ir import Graph


def deduplicate(graph: WorkingGraph, fields: Fields) -> bool:
    """Merge equal nodes; whether any were."""
    spared, chosen = frozenset(fields["except"]), fields["only"]
    scalars: dict[str, Hashable] = {}
    constants, readers = graph.constants, graph.readers
    changed = False
    pending = [tensor for tensor, nodes in readers.items() if len(nodes) > 1 and tensor not in constants]
    while pending:
        candidates: dict[str, list[WorkNode]] = {}
        reading = readers.get(pending.pop(), ())
        graph.spend(len(reading))
        for node in dict.fromkeys(reading):
            candidates.setdefault(node.kind, []).append(node)
        for kind, nodes in candidates.items():
            if len(nodes) > 1 and kind not in spared and (chosen is None or kind in chosen):
                pairs = _merge_equal(graph, nodes, scalars, fields["shared_elements"])
                for old, new in pairs:
                    changed = True
                    graph.redirect(old, new)
                pending += dict.fromkeys(new for _, new in pairs)
    return changed


def _merge_equal(
    graph: WorkingGraph, nodes: list[WorkNode], scalars: dict[str, Hashable], largest: int
) -> list[tuple[str, str]]:
    """Remove all but the first of equal nodes; which tensors are to be read in place of which."""
    seen: dict[Hashable, WorkNode] = {}
    pairs: list[tuple[str, str]] = []
    for node in sorted(nodes, key=lambda node: node.position):
        key = _identity(graph, node, scalars, largest) if node.alive else None
        if key is None:
            continue
        first = seen.setdefault(key, node)
        if first is node or any(name in graph.outputs for name in node.outputs):
            continue
        if [bool(name) for name in node.outputs] != [bool(name) for name in first.outputs]:
            continue
        graph.remove_node(node)
        pairs += [(old, new) for old, new in zip(node.outputs, first.outputs, strict=True) if old]
    return pairs


def _identity(graph: WorkingGraph, node: WorkNode, scalars: dict[str, Hashable], largest: int) -> Hashable | None:
    """What two equal nodes have in common; None for a node that is never merged."""
    attributes = []
    for name, value in node.attributes.items():
        if isinstance(value, Graph):
            return None
        attributes.append((name, value.tobytes() if isinstance(value, np.ndarray) else value))
    attributes.sort(key=lambda item: item[0])
    graph.spend(len(node.inputs))
    inputs = tuple(_input_identity(graph, name, scalars, largest) for name in node.inputs)
    return node.kind, inputs, tuple(attributes), len(node.outputs)


def _input_identity(graph: WorkingGraph, name: str, scalars: dict[str, Hashable], largest: int) -> Hashable:
    if name not in graph.constants:
        return name
    known = scalars.get(name)
    if known is None:
        value = graph.values.get(name)
        if value is not None and (value.size == 1 or (0 < value.size <= largest and name not in graph.made)):
            kind = graph.types[name]
            known = (kind.dtype, kind.shape, value.tobytes())
        else:
            known = name
        scalars[name] = known
    return known


PASSES = (
    PassKind(
        "deduplicate",
        procedure(deduplicate),
        {"except": Field(texts, ()), "only": Field(optional(texts), None), "shared_elements": Field(count, 1)},
    ),
)
