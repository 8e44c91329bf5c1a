"""Slices that together cut a tensor into all its pieces become one split.

Fields of a `split_slices` pass: `slices` and `gathers` (operators that read a piece), `split` and `squeeze` (operators
that they become), `opset` (the least one in which a split takes its sizes as an input), `of_pieces` (whether the piece
of another split may be split, no by default), `except_of` (operators whose results are not split).

1. All slices and gathers that read a tensor must cut along one axis, with known bounds and step 1; a gather takes one
   index. Other readers do not matter. The tensor is no piece of a split itself, unless `of_pieces` says so; a slice
   that becomes a piece of one in the same pass is none yet.
2. Sorted by where they start, they must cover the axis from end to end without overlap, in at least two pieces.
3. They become one split; a gather by a scalar also becomes a squeeze of its piece. Where the tensor has sizes that the
   runtime does not know, it knows none of such a piece.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nnmeter.fusion.engine.passes import Field, Fields, PassKind, count, flag, procedure, text, texts
from nnmeter.fusion.engine.rewriting import WorkingGraph, WorkNode
from nnmeter.graph.ir import TensorType


@dataclass(slots=True)
class _Piece:
    node: WorkNode
    axis: int
    start: int
    end: int
    squeezes: bool


def split_slices(graph: WorkingGraph, fields: Fields) -> bool:
    """Turn slices into splits; whether any were."""
    slices, gathers = frozenset(fields["slices"]), frozenset(fields["gathers"])
    if graph.opsets.get("", 1) < fields["opset"]:
        return False
    sources: dict[str, list[WorkNode]] = {}
    for node in graph.of_kinds((*slices, *gathers)):
        sources.setdefault(node.inputs[0], []).append(node)
    changed = False
    may_be_cut = [
        tensor for tensor, readers in sources.items() if len(readers) > 1 and _may_be_cut(graph, tensor, fields)
    ]
    for tensor in may_be_cut:
        readers = sources[tensor]
        pieces = [_slice(graph, node) if node.kind in slices else _gather(graph, node) for node in readers]
        known = [piece for piece in pieces if piece is not None]
        if len(known) == len(pieces) and _partition(graph, tensor, known):
            _replace(graph, tensor, sorted(known, key=lambda piece: piece.start), fields)
            changed = True
    return changed


def _may_be_cut(graph: WorkingGraph, tensor: str, fields: Fields) -> bool:
    writer = graph.producer.get(tensor)
    if tensor in graph.constants or writer is None:
        return tensor not in graph.constants
    return (len(writer.outputs) < 2 or bool(fields["of_pieces"])) and writer.kind not in fields["except_of"]


def _slice(graph: WorkingGraph, node: WorkNode) -> _Piece | None:
    bounds = []
    for tensor, default in zip([*node.inputs[1:], "", "", "", ""][:4], (None, None, 0, 1), strict=True):
        value = graph.values.get(tensor) if tensor in graph.constants else None
        if tensor and (value is None or value.size != 1):
            return None
        bounds.append(default if value is None else int(value.ravel()[0]))
    start, end, axis, step = bounds
    if start is None or end is None or axis is None or step != 1:
        return None
    shape = graph.types[node.inputs[0]].shape
    axis %= len(shape)
    size = shape[axis]
    start = max(0, start + size) if start < 0 else min(start, size)
    end = max(0, end + size) if end < 0 else min(end, size)
    return _Piece(node, axis, start, end, squeezes=False)


def _gather(graph: WorkingGraph, node: WorkNode) -> _Piece | None:
    index = node.inputs[1]
    value = graph.values.get(index) if index in graph.constants else None
    if value is None or value.size != 1 or value.ndim > 1:
        return None
    shape = graph.types[node.inputs[0]].shape
    axis = node.attributes.get("axis", 0) % len(shape)
    if not shape[axis]:
        return None
    start = int(value.ravel()[0]) % shape[axis]
    return _Piece(node, axis, start, start + 1, squeezes=value.ndim == 0)


def _partition(graph: WorkingGraph, tensor: str, pieces: list[_Piece]) -> bool:
    """Rule 2: whether the pieces are the whole."""
    axis = pieces[0].axis
    if any(piece.axis != axis for piece in pieces):
        return False
    reached = 0
    for piece in sorted(pieces, key=lambda piece: piece.start):
        if piece.start != reached or piece.end <= piece.start:
            return False
        reached = piece.end
    return reached == graph.types[tensor].shape[axis]


def _replace(graph: WorkingGraph, tensor: str, pieces: list[_Piece], fields: Fields) -> None:
    axis = pieces[0].axis
    kind = graph.types[tensor]
    position = min(piece.node.position for piece in pieces)
    sources = tuple(source for piece in pieces for source in piece.node.sources)
    sizes = np.array([piece.end - piece.start for piece in pieces], np.int64)
    inputs = [tensor, graph.add_constant("splits", sizes, "int64")]
    outputs = []
    squeezed = []
    for piece in pieces:
        output = piece.node.outputs[0]
        graph.remove_node(piece.node)
        if not piece.squeezes:
            outputs.append(output)
            continue
        part = graph.fresh(output)
        shape = tuple(1 if i == axis else size for i, size in enumerate(kind.shape))
        graph.types[part] = TensorType(kind.dtype, shape)
        if graph.free.get(tensor):
            graph.free[part] = frozenset(range(len(shape)))
        outputs.append(part)
        squeezed.append((part, output))
    graph.add_node(fields["split"], pieces[0].node.name, inputs, outputs, {"axis": axis}, position, sources)
    for part, output in squeezed:
        axes = graph.add_constant("axes", np.array([axis], np.int64), "int64")
        graph.add_node(fields["squeeze"], graph.fresh(f"{output}~squeeze"), [part, axes], [output], {}, position + 1e-6)


PASSES = (
    PassKind(
        "split_slices",
        procedure(split_slices),
        {
            "slices": Field(texts),
            "gathers": Field(texts),
            "split": Field(text),
            "squeeze": Field(text),
            "opset": Field(count),
            "of_pieces": Field(flag, False),
            "except_of": Field(texts, ()),
        },
    ),
)
