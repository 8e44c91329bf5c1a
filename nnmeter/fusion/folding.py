"""Work that a runtime does before the run, or does once instead of twice: constant folding and deduplication.

1. `fold_constants`: a node all of whose inputs are constants becomes constants, except nodes of the kinds in `except`
   (random numbers, quantized weights that a later rule needs). A node of the kinds in `of_shapes` (`Shape`, `Size`)
   depends on static shapes only and is folded too. A node of the kinds in `generators` (`Expand`, `Tile`) is spared
   where it would make a constant of more than `limit` elements. A node of no inputs (`Constant`) is a constant.
2. `deduplicate`: of nodes with one kind, equal attributes and equal inputs the first stays; readers of the others read
   its outputs. Constants of one element are equal if type, shape and value are. Outputs of the graph stay, and nodes of
   the kinds in `except` (random numbers) and those with bodies are left alone.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np

from nnmeter.fusion.rewriting import WorkingGraph, WorkNode
from nnmeter.graph.ir import Graph


def fold_constants(graph: WorkingGraph, fields: Mapping[str, Any]) -> bool:
    """Remove what can be computed before the run (rule 1); whether anything was."""
    spared = frozenset(fields.get("except", ()))
    of_shapes = frozenset(fields.get("of_shapes", ()))
    generators = frozenset(fields.get("generators", ()))
    limit = int(fields.get("limit", 1 << 62))
    constants, types, outputs = graph.constants, graph.types, graph.outputs
    changed = False
    if not constants and not any(graph.by_kind.get(kind) for kind in ("Constant", *of_shapes)):
        return False
    for node in graph.nodes():
        kind = node.kind
        if kind not in of_shapes:
            folds = True
            for name in node.inputs:
                if name and name not in constants:
                    folds = False
                    break
            if not folds or kind in spared:
                continue
            if not node.inputs and kind != "Constant":
                continue
            if kind in generators and any(types[o].elements > limit for o in node.outputs if o):
                continue
        if any(isinstance(value, Graph) for value in node.attributes.values()):
            continue
        if kind != "Constant" and any(name in outputs for name in node.outputs):
            # ONNX Runtime turns such an output into an initializer too; the work is gone either way.
            pass
        graph.make_constant(node)
        changed = True
    return changed


def deduplicate(graph: WorkingGraph, fields: Mapping[str, Any]) -> bool:
    """Merge equal nodes (rule 2); whether any were."""
    spared = frozenset(fields.get("except", ()))
    seen: dict[Hashable, WorkNode] = {}
    scalars: dict[str, Hashable] = {}
    changed = False
    for node in graph.nodes():
        if node.kind in spared or not node.inputs:
            continue
        key = _identity(graph, node, scalars)
        if key is None:
            continue
        first = seen.setdefault(key, node)
        if first is node or any(name in graph.outputs for name in node.outputs):
            continue
        pairs = list(zip(node.outputs, first.outputs, strict=False))
        if len(node.outputs) != len(first.outputs) or any(bool(a) != bool(b) for a, b in pairs):
            continue
        graph.remove_node(node)
        for old, new in pairs:
            if old:
                graph.redirect(old, new)
        changed = True
    return changed


def _identity(graph: WorkingGraph, node: WorkNode, scalars: dict[str, Hashable]) -> Hashable | None:
    """What two equal nodes have in common; None for a node that is never merged."""
    attributes = []
    for name, value in node.attributes.items():
        if isinstance(value, Graph):
            return None
        attributes.append((name, value.tobytes() if isinstance(value, np.ndarray) else value))
    attributes.sort(key=lambda item: item[0])
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
