"""Strided slices that are put together again along the channels are one rearrangement of blocks into depth.

Fields of a `slices_to_blocks` pass: `concat` and `slice` (operators that it looks for), `becomes` (the operator that
moves blocks into depth), `gather` (the operator that then orders the channels).

1. All inputs of a concatenation of channels (axis 1 of 4) are slices, or slices of slices, of one tensor N,C,H,W.
2. Each takes every b-th row and every b-th column, from different starts; together they are all b*b of them.
3. Nobody else reads the slices, and the graph returns none of them.
4. The operator orders its blocks by rows; if the concatenation has another order, channels are gathered after it.
"""

from __future__ import annotations

from nnmeter.fusion.engine.passes import Field, Fields, PassKind, procedure, text, texts
from nnmeter.fusion.engine.rewriting import WorkingGraph, WorkNode
from nnmeter.graph.ir import TensorType

_ROWS, _COLUMNS = 2, 3
_Phase = dict[int, tuple[int, int]]  # axis -> start, step


def slices_to_blocks(graph: WorkingGraph, fields: Fields) -> bool:
    """Replace slices and concatenations by moves of blocks into depth; whether any were."""
    slices = frozenset(fields["slice"])
    if not any(graph.by_kind.get(kind) for kind in slices):
        return False
    changed = False
    for node in graph.of_kinds(fields["concat"]):
        changed = _try(graph, node, slices, fields) or changed
    return changed


def _try(graph: WorkingGraph, node: WorkNode, slices: frozenset[str], fields: Fields) -> bool:
    shape = graph.types[node.outputs[0]].shape
    if len(shape) != 4 or node.attributes.get("axis", 0) % 4 != 1 or len(node.inputs) < 4:
        return False
    phases: list[_Phase] = []
    roots: set[str] = set()
    used: dict[int, WorkNode] = {}
    for tensor in node.inputs:
        phase: _Phase = {}
        while (writer := graph.producer.get(tensor)) is not None and writer.kind in slices:
            cut = _cut(graph, writer)
            if cut is None or phase.keys() & cut.keys():
                return False
            phase.update(cut)
            used[id(writer)] = writer
            tensor = writer.inputs[0]
        roots.add(tensor)
        phases.append(phase)
    if len(roots) != 1 or not used:
        return False
    order = _order(phases)
    if order is None or not _only_here(graph, node, used):
        return False
    _replace(graph, node, roots.pop(), order, list(used.values()), fields)
    return True


def _cut(graph: WorkingGraph, node: WorkNode) -> _Phase | None:
    """Start and step of each axis that a slice cuts; None unless it goes on to the end."""
    values = [graph.values.get(tensor) if tensor in graph.constants else None for tensor in node.inputs[1:]]
    if len(values) < 4 or any(value is None for value in values):
        return None
    shape = graph.types[node.inputs[0]].shape
    starts, ends, axes, steps = (value.ravel().tolist() for value in values[:4] if value is not None)
    cut: _Phase = {}
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if start < 0 or end < shape[axis]:
            return None
        cut[axis % len(shape)] = (start, step)
    return cut


def _order(phases: list[_Phase]) -> list[int] | None:
    """For each input its place among the blocks ordered by rows; None if they are not all blocks of one size."""
    places = []
    size = phases[0].get(_ROWS, (0, 0))[1]
    for phase in phases:
        if phase.keys() != {_ROWS, _COLUMNS} or {step for _, step in phase.values()} != {size}:
            return None
        places.append(phase[_ROWS][0] * size + phase[_COLUMNS][0])
    return places if size > 1 and sorted(places) == list(range(size * size)) else None


def _only_here(graph: WorkingGraph, node: WorkNode, used: dict[int, WorkNode]) -> bool:
    for member in used.values():
        output = member.outputs[0]
        if output in graph.outputs:
            return False
        if any(reader is not node and id(reader) not in used for reader in graph.readers.get(output, ())):
            return False
    return True


def _replace(
    graph: WorkingGraph, node: WorkNode, root: str, order: list[int], used: list[WorkNode], fields: Fields
) -> None:
    kind = graph.types[root]
    size = round(len(order) ** 0.5)
    output, position = node.outputs[0], node.position
    members = sorted([*used, node], key=lambda member: member.position)
    sources = tuple(source for member in members for source in member.sources)
    for member in members:
        graph.remove_node(member)
    sorted_already = order == sorted(order)
    blocks = output if sorted_already else graph.fresh("blocks")
    graph.types[blocks] = graph.types[output]
    graph.add_node(fields["becomes"], node.name, [root], [blocks], {"blocksize": size}, position, sources)
    if not sorted_already:
        tensor = graph.add_weight("channels", TensorType("int64", (len(order) * kind.shape[1],)))
        graph.add_node(
            fields["gather"], graph.fresh("gather"), [blocks, tensor], [output], {"axis": 1}, position + 1e-6
        )


PASSES = (
    PassKind(
        "slices_to_blocks",
        procedure(slices_to_blocks),
        {"concat": Field(texts), "slice": Field(texts), "becomes": Field(text), "gather": Field(text)},
    ),
)
