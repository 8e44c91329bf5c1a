"""Axes whose sizes a session does not know that keeps a model's free dimensions.

1. An axis is free if its size changes when the free dimensions do. The model is bound a second time for that, with all
   free dimensions changed: doubled, or where the graph does not allow it tripled, halved, or one larger.
2. A dimension that is an expression of others follows from them, as ever (`nnmeter.binding.dimensions`).
3. A tensor that has another rank then, or is not there, has all axes free.
4. A shape that the run computes (from sizes that are free) is not known before: what is reshaped or expanded to it has
   free axes, but for those that the file declares, and so has what follows from it (`_FOLLOWS`). A target that is put
   together of sizes, each in its place, and of constants is known but for these sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

from nnmeter.binding.dimensions import expressions
from nnmeter.errors import ModelError
from nnmeter.graph.input_sizes import InputSizes
from nnmeter.graph.ir import Graph, Node, TensorType
from nnmeter.graph.unbound import DeclaredType, UnboundModel

_CHANGES: tuple[Callable[[int], int], ...] = (
    lambda size: 2 * size or 1,
    lambda size: 3 * size or 1,
    lambda size: size // 2 or 2,
    lambda size: size + 1,
)


class Bind(Protocol):
    """`nnmeter.binding.bind.bind_shapes`, which asks for this module."""

    def __call__(self, model: UnboundModel, sizes: InputSizes) -> Graph:
        """Bind a model."""
        ...


def free_axes(bind: Bind, model: UnboundModel, sizes: InputSizes, graph: Graph) -> dict[str, frozenset[int]] | None:
    """The free axes of each tensor of a graph (rules 1 to 3); None where no other sizes can be had.

    Args:
        bind: binds the model.
        model: the model.
        sizes: those that it was bound with.
        graph: what came of it.
    """
    if all(declared.static is not None for declared in model.inputs):
        return {}
    for change in _CHANGES:
        try:
            other = bind(model, _changed(model, sizes, graph, change))
        except ModelError:
            continue
        free = dict(_differences(graph.types, other.types))
        return _with_computed(graph, free, model.value_info()) if free else free
    return None


def _changed(model: UnboundModel, sizes: InputSizes, graph: Graph, change: Callable[[int], int]) -> InputSizes:
    """The sizes with all free dimensions changed."""
    known = {
        dim: size
        for declared in model.inputs
        for dim, size in zip(declared.dims or (), graph.types[declared.name].shape, strict=False)
        if isinstance(dim, str)
    }
    derived = expressions(known)
    dims = {name: change(size) for name, size in known.items() if name not in derived}
    shapes = {
        declared.name: tuple(_size(dim, size, dims, change) for dim, size in _axes(declared, graph))
        for declared in model.inputs
        if declared.static is None and not all(isinstance(dim, int | str) for dim in declared.dims or (None,))
    }
    return replace(sizes, dims=dims, shapes=shapes, assume={}, values={}, session="bound")


def _axes(declared: DeclaredType, graph: Graph) -> list[tuple[int | str | None, int]]:
    shape = graph.types[declared.name].shape
    return list(zip(declared.dims or [None] * len(shape), shape, strict=False))


def _size(dim: int | str | None, size: int, dims: Mapping[str, int], change: Callable[[int], int]) -> int:
    if isinstance(dim, int):
        return dim
    return dims.get(dim, size) if dim is not None else change(size)


def _differences(types: Mapping[str, TensorType], others: Mapping[str, TensorType]) -> list[tuple[str, frozenset[int]]]:
    found = []
    for name, kind in types.items():
        other = others.get(name)
        if other is kind or (other is not None and other.shape == kind.shape):
            continue
        if other is None or len(other.shape) != len(kind.shape):
            found.append((name, frozenset(range(len(kind.shape)))))
            continue
        pairs = enumerate(zip(kind.shape, other.shape, strict=True))
        found.append((name, frozenset(axis for axis, (size, changed) in pairs if size != changed)))
    return found


Axes = frozenset[int]
_NONE: Axes = frozenset()
_SHAPED_BY = {"Reshape": 1, "Expand": 1, "Tile": 1, "ConstantOfShape": 0}  # the input that is the shape


def _with_computed(graph: Graph, free: dict[str, Axes], declared: Mapping[str, DeclaredType]) -> dict[str, Axes]:
    """The free axes with those of rule 4 added."""
    known = set(graph.initializers)
    writers = {name: node for node in graph.nodes for name in node.outputs}
    for node in graph.nodes:
        if node.op_type in ("Shape", "Size"):
            fixed = not free.get(node.inputs[0])
        else:
            fixed = bool(node.inputs or node.op_type == "Constant") and all(n in known for n in node.inputs if n)
        if fixed:
            known.update(node.outputs)
            continue
        position = _SHAPED_BY.get(node.op_type)
        for name in filter(None, node.outputs):
            rank = len(graph.types[name].shape)
            if position is not None and node.inputs[position] not in known:
                in_place = _in_place(node, graph, known, writers) if node.op_type == "Reshape" else None
                found: Axes = frozenset(range(rank)) if in_place is None else in_place
            else:
                follow = _FOLLOWS.get(node.op_type, _element_wise)
                found = follow(node, graph, free)
            stated = declared.get(name)
            if found and stated is not None and stated.dims is not None:
                found = frozenset(a for a in found if a >= len(stated.dims) or not isinstance(stated.dims[a], int))
            if found:
                free[name] = free.get(name, _NONE) | frozenset(axis for axis in found if axis < rank)
    return free


def _in_place(node: Node, graph: Graph, known: set[str], writers: Mapping[str, Node]) -> Axes | None:
    """The free axes of what is reshaped to a target of constants and of sizes in their places; None for another one."""
    concat = writers.get(node.inputs[1])
    if concat is None or concat.op_type != "Concat":
        return None
    found: set[int] = set()
    place = 0
    for name in concat.inputs:
        value = graph.values.get(name) if name in known else None
        if value is not None:
            found.update(place + offset for offset, size in enumerate(value.ravel().tolist()) if size == -1)
            place += value.size
            continue
        for operator in ("Unsqueeze", "Gather", "Shape"):
            writer = writers.get(name)
            if writer is None or writer.op_type != operator:
                return None
            if operator == "Gather":
                index = graph.values.get(writer.inputs[1])
                if index is None or index.size != 1 or int(index.ravel()[0]) != place:
                    return None
            name = writer.inputs[0]
        found.add(place)
        place += 1
    return frozenset(found)


_Follow = Callable[[Node, Graph, Mapping[str, Axes]], Axes]


def _element_wise(node: Node, graph: Graph, free: Mapping[str, Axes]) -> Axes:
    """Of an operator whose result has the shape of its inputs, broadcast; nothing of one that has another."""
    rank = len(graph.types[node.outputs[0]].shape) if node.outputs[0] else 0
    found: set[int] = set()
    settled: set[int] = set()
    for name in filter(None, node.inputs):
        shape, own = graph.types[name].shape, free.get(name, _NONE)
        if len(shape) > rank:
            return _NONE
        for axis, size in enumerate(shape):
            place = axis + rank - len(shape)
            if axis in own:
                found.add(place)
            elif size > 1:
                settled.add(place)
    return frozenset(found - settled)


def _permuted(node: Node, graph: Graph, free: Mapping[str, Axes]) -> Axes:
    own = free.get(node.inputs[0], _NONE)
    rank = len(graph.types[node.inputs[0]].shape)
    perm = node.attributes.get("perm") or tuple(range(rank))[::-1]
    return frozenset(place for place, axis in enumerate(perm) if axis in own)


def _axes_of(node: Node, graph: Graph, rank: int) -> set[int] | None:
    given: Any = node.attributes.get("axes")
    if given is None and len(node.inputs) > 1 and node.inputs[1] in graph.values:
        given = graph.values[node.inputs[1]].ravel().tolist()
    return None if given is None else {int(axis) % rank for axis in given}


def _squeezed(node: Node, graph: Graph, free: Mapping[str, Axes]) -> Axes:
    own, rank = free.get(node.inputs[0], _NONE), len(graph.types[node.inputs[0]].shape)
    gone = _axes_of(node, graph, rank)
    if gone is None or len(graph.types[node.outputs[0]].shape) == rank:
        return _NONE if gone is None else own - gone
    kept = [axis for axis in range(rank) if axis not in gone]
    return frozenset(place for place, axis in enumerate(kept) if axis in own)


def _unsqueezed(node: Node, graph: Graph, free: Mapping[str, Axes]) -> Axes:
    own, rank = free.get(node.inputs[0], _NONE), len(graph.types[node.outputs[0]].shape)
    added = _axes_of(node, graph, rank) or set()
    kept = [axis for axis in range(rank) if axis not in added]
    return frozenset(place for axis, place in enumerate(kept) if axis in own)


def _gathered(node: Node, graph: Graph, free: Mapping[str, Axes]) -> Axes:
    rank = len(graph.types[node.inputs[0]].shape)
    if graph.types[node.inputs[1]].shape:
        return _NONE
    axis = node.attributes.get("axis", 0) % rank
    return frozenset(a - (a > axis) for a in free.get(node.inputs[0], _NONE) if a != axis)


def _product(node: Node, graph: Graph, free: Mapping[str, Axes]) -> Axes:
    rank = len(graph.types[node.outputs[0]].shape)
    left, right = (graph.types[name].shape for name in node.inputs[:2])
    if min(len(left), len(right)) < 2:
        return _NONE
    of_left, of_right = (free.get(name, _NONE) for name in node.inputs[:2])
    found = {axis + rank - len(left) for axis in of_left if axis < len(left) - 1}
    found |= {axis + rank - len(right) for axis in of_right if axis != len(right) - 2}
    return frozenset(found)


def _first(node: Node, graph: Graph, free: Mapping[str, Axes]) -> Axes:
    same = len(graph.types[node.inputs[0]].shape) == len(graph.types[node.outputs[0]].shape)
    return free.get(node.inputs[0], _NONE) if same else _NONE


def _nothing(node: Node, graph: Graph, free: Mapping[str, Axes]) -> Axes:
    return _NONE


# Rule 4: which axes of a result are free, given those of the inputs; all others are as `_element_wise` says.
_FOLLOWS: dict[str, _Follow] = {
    "Transpose": _permuted,
    "Squeeze": _squeezed,
    "Unsqueeze": _unsqueezed,
    "Gather": _gathered,
    "MatMul": _product,
    **dict.fromkeys(("Slice", "Split", "LayerNormalization", "Softmax", "LogSoftmax", "Clip", "Dropout"), _first),
    **dict.fromkeys(
        ("Reshape", "Expand", "Tile", "ConstantOfShape", "Gemm", "Conv", "ConvTranspose", "Range", "Shape", "Size"),
        _nothing,
    ),
    **dict.fromkeys(("If", "Loop", "Scan", "OneHot", "TopK", "Resize", "Concat", "GatherND", "ScatterND"), _nothing),
}
