"""Work that a runtime does before the run, or does once instead of twice: constant folding and deduplication.

1. `fold_constants`: a node all of whose inputs are constants becomes constants, except nodes of the kinds in `except`
   (random numbers, quantized weights that a later rule needs). A node of the kinds in `of_shapes` (`Shape`, `Size`)
   depends on static shapes only and is folded too. A node of the kinds in `generators` (`Expand`, `Tile`) is spared
   where it would make a constant of more than `limit` elements. A node of no inputs (`Constant`) is a constant.
2. `deduplicate`: of nodes with one kind, equal attributes and equal inputs the first stays; readers of the others read
   its outputs. Constants of one element are equal if type, shape and value are. Outputs of the graph stay, and nodes of
   the kinds in `except` (random numbers) and those with bodies are left alone; with `only`, all but these kinds.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np

from nnmeter.fusion.engine.rewriting import WorkingGraph, WorkNode, has_body
from nnmeter.graph.ir import Graph


def fold_constants(graph: WorkingGraph, fields: Mapping[str, Any]) -> bool:
    """Remove what can be computed before the run (rule 1); whether anything was."""
    spared = frozenset(fields.get("except", ()))
    of_shapes = frozenset(fields.get("of_shapes", ()))
    generators = frozenset(fields.get("generators", ()))
    limit = int(fields.get("limit", 1 << 62))
    constants, types = graph.constants, graph.types
    readers = graph.readers
    fresh, graph.new_constants = graph.new_constants, []
    pending = list(dict.fromkeys(node for tensor in fresh for node in readers.get(tensor, ())))
    pending += [node for kind in ("Constant", *of_shapes) for node in graph.by_kind.get(kind, ())]
    changed = False
    while pending:
        node = pending.pop()
        kind = node.kind
        if not node.alive or kind in spared or not (node.inputs or kind == "Constant"):
            continue
        graph.spend(len(node.inputs))
        if kind not in of_shapes and not _all_in(constants, node.inputs):
            continue
        if kind in generators and any(types[name].elements > limit for name in node.outputs if name):
            continue
        if has_body(node.attributes):
            continue
        graph.make_constant(node)
        pending += dict.fromkeys(reader for name in node.outputs for reader in readers.get(name, ()))
        changed = True
    graph.new_constants.clear()
    return changed


def _all_in(constants: set[str], tensors: list[str]) -> bool:
    for name in tensors:  # noqa: SIM110 - a loop takes half the time of a generator here
        if name and name not in constants:
            return False
    return True


def deduplicate(graph: WorkingGraph, fields: Mapping[str, Any]) -> bool:
    """Merge equal nodes (rule 2); whether any were."""
    spared, chosen = frozenset(fields.get("except", ())), fields.get("only")
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
                pairs = _merge_equal(graph, nodes, scalars)
                for old, new in pairs:
                    changed = True
                    graph.redirect(old, new)
                pending += dict.fromkeys(new for _, new in pairs)
    return changed


def _merge_equal(graph: WorkingGraph, nodes: list[WorkNode], scalars: dict[str, Hashable]) -> list[tuple[str, str]]:
    """Remove all but the first of equal nodes; which tensors are to be read in place of which."""
    seen: dict[Hashable, WorkNode] = {}
    pairs: list[tuple[str, str]] = []
    for node in sorted(nodes, key=lambda node: node.position):
        key = _identity(graph, node, scalars) if node.alive else None
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


def _identity(graph: WorkingGraph, node: WorkNode, scalars: dict[str, Hashable]) -> Hashable | None:
    """What two equal nodes have in common; None for a node that is never merged."""
    attributes = []
    for name, value in node.attributes.items():
        if isinstance(value, Graph):
            return None
        attributes.append((name, value.tobytes() if isinstance(value, np.ndarray) else value))
    attributes.sort(key=lambda item: item[0])
    graph.spend(len(node.inputs))
    inputs = tuple(_input_identity(graph, name, scalars) for name in node.inputs)
    return node.kind, inputs, tuple(attributes), len(node.outputs)


def _input_identity(graph: WorkingGraph, name: str, scalars: dict[str, Hashable]) -> Hashable:
    if name not in graph.constants:
        return name
    known = scalars.get(name)
    if known is None:
        value = graph.values.get(name)
        if value is not None and value.size == 1:
            kind = graph.types[name]
            known = (kind.dtype, kind.shape, value.tobytes())
        else:
            known = name
        scalars[name] = known
    return known
