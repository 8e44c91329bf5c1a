"""Moving transposes: runtimes push them through operators until they meet and cancel.

1. Operators are visited in order. A transpose that an operator reads is pushed behind it if the operator has a handler
   (rule 5), the input is one that the handler transposes, and it pays (rules 2-4).
2. Cost is counted in axes longer than 1. Transposing an input costs its axes; nothing for a constant or for the output of
   another transpose; minus its axes where a transpose with the same permutation goes away, which is so if all its
   readers have handlers and the graph does not return it.
3. If that is negative, the axes of the widest output are added, except where an output leads to another transpose
   through operators with handlers only. The transpose is pushed if the sum is negative.
4. Two transposes in a row always become one, or none.
5. `handlers` maps a way of handling to operators. Ways: `simple` (all inputs), `first` (only the first input), `broadcast`
   (all but scalars, ranks made equal), `concat`, `split` and `softmax` (attribute `axis`), `reduce` and `squeeze` (axes that go away), `arg`,
   `unsqueeze`, `slice`, `pad`, `tile`, `gather` (by a scalar), `shape`, `reshape` (where it splits axes or moves ones).
6. A transpose is an operator of the kinds in `transposes`; new ones are of the first kind there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from nnmeter.fusion.permutations import (
    Perm,
    as_transpose,
    compose,
    inverse,
    is_identity,
    permuted,
    split_axes,
    with_axes,
    without_axes,
)
from nnmeter.fusion.rewriting import WorkingGraph, WorkNode
from nnmeter.graph.ir import TensorType


class TransposePusher:
    """A `push_transposes` pass, prepared."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self.kinds = tuple(fields.get("transposes", ("Transpose",)))
        self.way: dict[str, str] = {kind: way for way, kinds in fields["handlers"].items() for kind in kinds}
        self.way.update({kind: "transpose" for kind in self.kinds})

    def apply(self, graph: WorkingGraph) -> bool:
        """Push transposes through the graph once; whether any moved."""
        if not any(graph.by_kind.get(kind) for kind in self.kinds):
            return False
        return _Pushing(self, graph).run()


class _Pushing:
    """One application to one graph."""

    def __init__(self, pusher: TransposePusher, graph: WorkingGraph) -> None:
        self.graph = graph
        self.kinds = frozenset(pusher.kinds)
        self.transpose = pusher.kinds[0]
        self.way = pusher.way
        self.orphans: tuple[str, ...] = ()

    def run(self) -> bool:
        graph, kinds, producer, way = self.graph, self.kinds, self.graph.producer, self.way
        nodes = graph.nodes()
        self.leading = self._leading_to_transposes(nodes)
        changed = False
        for node in nodes:
            if not node.alive or node.kind not in way:
                continue
            for index, tensor in enumerate(node.inputs):
                writer = producer.get(tensor)
                if writer is not None and writer.kind in kinds and self._push(writer, node, index):
                    changed = True
                    break
        return changed

    def _leading_to_transposes(self, nodes: list[WorkNode]) -> set[str]:
        leading: set[str] = set()
        for node in reversed(nodes):
            if node.kind in self.kinds:
                leading.add(node.inputs[0])
            elif any(tensor in leading for tensor in node.outputs):
                way = self.way.get(node.kind)
                if way is not None and way not in _KEEPS_OUTPUTS:
                    leading.update(node.inputs[index] for index in self._movable(node, way))
        return leading

    def _movable(self, node: WorkNode, way: str) -> list[int]:
        """The inputs that are transposed when a transpose moves through a node."""
        if way in ("simple", "concat"):
            return [index for index, tensor in enumerate(node.inputs) if tensor]
        if way == "broadcast":
            return [i for i, tensor in enumerate(node.inputs) if tensor and self.graph.types[tensor].shape]
        return [0]

    def _push(self, transpose: WorkNode, node: WorkNode, index: int) -> bool:
        perm = self._perm(transpose)
        way = self.way[node.kind]
        movable = self._movable(node, way)
        if index not in movable or (way != "transpose" and not self._pays(node, way, perm, movable)):
            return False
        self.orphans = ()
        return _HANDLERS[way](self, transpose, node, perm)

    def _perm(self, transpose: WorkNode) -> Perm:
        perm = transpose.attributes.get("perm")
        rank = len(self.graph.types[transpose.inputs[0]].shape)
        return tuple(perm) if perm else tuple(range(rank - 1, -1, -1))

    # Rules 2 and 3: what pushing costs.

    def _pays(self, node: WorkNode, way: str, perm: Perm, movable: list[int]) -> bool:
        cost = sum(self._input_cost(node.inputs[index], perm) for index in movable)
        if cost < 0 and way not in _KEEPS_OUTPUTS and not any(tensor in self.leading for tensor in node.outputs):
            cost += max((self._axes(tensor) for tensor in node.outputs if tensor), default=0)
        return cost < 0

    def _input_cost(self, tensor: str, perm: Perm) -> int:
        graph = self.graph
        if tensor in graph.constants:
            return 0
        writer = graph.producer.get(tensor)
        if writer is not None and writer.kind in self.kinds:
            if self._perm(writer) == perm and self._goes_away(tensor):
                return -self._axes(tensor)
            return 0
        return self._axes(tensor)

    def _goes_away(self, tensor: str) -> bool:
        readers = self.graph.readers.get(tensor, ())
        return tensor not in self.graph.outputs and all(reader.kind in self.way for reader in readers)

    def _axes(self, tensor: str) -> int:
        return sum(1 for size in self.graph.types[tensor].shape if size != 1)

    # Changes to the graph.

    def move_input(self, node: WorkNode, index: int, perm: Perm) -> None:
        """Let an input be read transposed by `perm`, which cancels a transpose before it where there is one."""
        graph, tensor = self.graph, node.inputs[index]
        kind = graph.types[tensor]
        if tensor in graph.constants:
            if kind.elements > 1:
                graph.set_input(node, index, self._permuted_constant(tensor, kind, perm))
            return
        writer = graph.producer.get(tensor)
        source = tensor
        if writer is not None and writer.kind in self.kinds:
            source, perm = writer.inputs[0], compose(self._perm(writer), perm)
        graph.set_input(node, index, source if is_identity(perm) else self._transposed(source, perm))
        if writer is not None and writer.kind in self.kinds:
            self._drop(writer)

    def move_outputs(self, node: WorkNode, perm: Perm) -> None:
        """Let the outputs be written before a transpose by `perm` that now comes after the node."""
        if is_identity(perm):
            return
        graph, undo = self.graph, inverse(perm)
        for index, tensor in enumerate(node.outputs):
            if not tensor:
                continue
            kind = graph.types[tensor]
            inner = graph.fresh(tensor)
            graph.types[inner] = TensorType(kind.dtype, permuted(kind.shape, undo))
            graph.set_output(node, index, inner)
            heirs, self.orphans = self.orphans, ()
            graph.add_node(
                self.transpose, graph.fresh("transpose"), [inner], [tensor], {"perm": perm}, node.position + 1e-6, heirs
            )

    def set_attribute(self, node: WorkNode, name: str, value: Any) -> None:
        """Set an attribute; the original graph keeps its own."""
        node.attributes = {**node.attributes, name: value}

    def set_axes(self, node: WorkNode, axes: tuple[int, ...], position: int = 1) -> None:
        """Set the axes of a node, where it has them: in its attribute or as an input."""
        if len(node.inputs) > position and node.inputs[position]:
            dtype = self.graph.types[node.inputs[position]].dtype
            self.graph.set_input(node, position, self.graph.add_constant("axes", np.array(axes, np.int64), dtype))
        else:
            self.set_attribute(node, "axes", axes)

    def axes(self, node: WorkNode, rank: int, position: int = 1) -> tuple[int, ...] | None:
        """The axes of a node, counted from the front; None if they are not known or not given."""
        if len(node.inputs) > position and node.inputs[position]:
            value = self.graph.values.get(node.inputs[position])
            if value is None or node.inputs[position] not in self.graph.constants:
                return None
            return tuple(int(axis) % rank for axis in value.ravel())
        given = node.attributes.get("axes")
        return None if given is None else tuple(axis % rank for axis in given)

    def _permuted_constant(self, tensor: str, kind: TensorType, perm: Perm) -> str:
        graph = self.graph
        if len(kind.shape) == 1 and kind.shape[0] == len(perm):
            return graph.add_weight(tensor, kind)
        value = graph.values.get(tensor)
        if value is not None and value.ndim == len(perm):
            return graph.add_constant(tensor, value.transpose(perm), kind.dtype)
        return graph.add_weight(tensor, TensorType(kind.dtype, permuted(kind.shape, perm)))

    def _transposed(self, tensor: str, perm: Perm) -> str:
        graph = self.graph
        for reader in graph.readers.get(tensor, ()):
            if reader.kind in self.kinds and self._perm(reader) == perm:
                return reader.outputs[0]
        kind = graph.types[tensor]
        result = graph.fresh(tensor)
        graph.types[result] = TensorType(kind.dtype, permuted(kind.shape, perm))
        writer = graph.producer.get(tensor)
        position = -1.0 if writer is None else writer.position + 1e-6
        heirs, self.orphans = self.orphans, ()
        graph.add_node(self.transpose, graph.fresh("transpose"), [tensor], [result], {"perm": perm}, position, heirs)
        return result

    def _drop(self, transpose: WorkNode) -> None:
        """Remove a transpose that nobody reads any more; its operators pass to the transpose that replaces it."""
        if transpose.alive and not self.graph.uses(transpose.outputs[0]):
            self.orphans += transpose.sources
            self.graph.remove_node(transpose)

    def equal_ranks(self, node: WorkNode, rank: int) -> bool:
        """Give all inputs that are no scalars the same rank, by axes of size 1 in front."""
        graph = self.graph
        movable = self._movable(node, "broadcast")
        if any(len(graph.types[node.inputs[index]].shape) > rank for index in movable):
            return False
        for index in movable:
            tensor = node.inputs[index]
            kind = graph.types[tensor]
            missing = rank - len(kind.shape)
            if not missing:
                continue
            widened = TensorType(kind.dtype, (1,) * missing + kind.shape)
            if tensor in graph.constants:
                value = graph.values.get(tensor)
                if value is not None:
                    graph.set_input(node, index, graph.add_constant(tensor, value.reshape(widened.shape), kind.dtype))
                else:
                    graph.set_input(node, index, graph.add_weight(tensor, widened))
            else:
                self._unsqueeze(node, index, widened, missing)
        return True

    def _unsqueeze(self, node: WorkNode, index: int, widened: TensorType, missing: int) -> None:
        graph, tensor = self.graph, node.inputs[index]
        axes = graph.add_constant("axes", np.arange(missing, dtype=np.int64), "int64")
        result = graph.fresh(tensor)
        graph.types[result] = widened
        added = graph.add_node("Unsqueeze", result, [tensor, axes], [result], {}, node.position - 1e-6)
        graph.set_input(node, index, result)
        writer = graph.producer.get(tensor)
        if writer is not None and writer.kind in self.kinds:
            perm = with_axes(self._perm(writer), tuple(range(missing)))
            self.move_input(added, 0, inverse(self._perm(writer)))
            self.move_outputs(added, perm)


# Rule 5: the handlers. Each moves a transpose by `perm` from before a node to behind it; False if it cannot.

_Handler = Callable[[_Pushing, WorkNode, WorkNode, Perm], bool]


def _all_inputs(push: _Pushing, transpose: WorkNode, node: WorkNode, perm: Perm) -> bool:
    for index in push._movable(node, "simple"):
        push.move_input(node, index, inverse(perm))
    push.move_outputs(node, perm)
    return True


def _first_input(push: _Pushing, transpose: WorkNode, node: WorkNode, perm: Perm) -> bool:
    push.move_input(node, 0, inverse(perm))
    push.move_outputs(node, perm)
    return True


def _broadcast(push: _Pushing, transpose: WorkNode, node: WorkNode, perm: Perm) -> bool:
    if not push.equal_ranks(node, len(perm)):
        return False
    for index in push._movable(node, "broadcast"):
        push.move_input(node, index, inverse(perm))
    push.move_outputs(node, perm)
    return True


def _with_axis(move: _Handler, default: int | None) -> _Handler:
    def handle(push: _Pushing, transpose: WorkNode, node: WorkNode, perm: Perm) -> bool:
        axis = node.attributes.get("axis", default)
        if axis is None:
            return False
        push.set_attribute(node, "axis", perm[axis % len(perm)])
        return move(push, transpose, node, perm)

    return handle


def _softmax(push: _Pushing, transpose: WorkNode, node: WorkNode, perm: Perm) -> bool:
    if push.graph.opsets.get("", 13) >= 13:
        return _with_axis(_first_input, -1)(push, transpose, node, perm)
    axis = node.attributes.get("axis", 1) % len(perm)
    if any((position < axis) != (source < axis) for position, source in enumerate(perm)):
        return False
    return _first_input(push, transpose, node, perm)


def _reduce(push: _Pushing, transpose: WorkNode, node: WorkNode, perm: Perm) -> bool:
    keeps = node.attributes.get("keepdims", 1)
    rank = len(perm)
    given = len(node.inputs) > 1 and node.inputs[1]
    axes = push.axes(node, rank)
    if given and axes is None:
        return False
    moved = tuple(sorted(perm[axis] for axis in axes)) if axes else ()
    if axes:
        push.set_axes(node, moved)
    elif not node.attributes.get("noop_with_empty_axes", 0):
        moved = tuple(range(rank))
    push.move_input(node, 0, inverse(perm))
    push.move_outputs(node, perm if keeps else without_axes(perm, moved))
    return True


def _arg(push: _Pushing, transpose: WorkNode, node: WorkNode, perm: Perm) -> bool:
    axis = perm[node.attributes.get("axis", 0) % len(perm)]
    push.set_attribute(node, "axis", axis)
    push.move_input(node, 0, inverse(perm))
    push.move_outputs(node, perm if node.attributes.get("keepdims", 1) else without_axes(perm, (axis,)))
    return True


def _squeeze(push: _Pushing, transpose: WorkNode, node: WorkNode, perm: Perm) -> bool:
    axes = push.axes(node, len(perm))
    if axes is None:
        return False
    moved = tuple(sorted(perm[axis] for axis in axes))
    push.set_axes(node, moved)
    push.move_input(node, 0, inverse(perm))
    push.move_outputs(node, without_axes(perm, moved))
    return True


def _unsqueeze(push: _Pushing, transpose: WorkNode, node: WorkNode, perm: Perm) -> bool:
    rank = len(push.graph.types[node.outputs[0]].shape)
    axes = push.axes(node, rank)
    if axes is None:
        return False
    push.move_input(node, 0, inverse(perm))
    push.move_outputs(node, with_axes(perm, axes))
    return True


def _slice(push: _Pushing, transpose: WorkNode, node: WorkNode, perm: Perm) -> bool:
    position = 3
    rank = len(perm)
    axes = push.axes(node, rank, position)
    if axes is None:
        if len(node.inputs) > position and node.inputs[position]:
            return False
        starts = node.attributes.get("starts")
        count = len(starts) if starts is not None else push.graph.types[node.inputs[1]].elements
        axes = tuple(range(count))
    moved = tuple(perm[axis] for axis in axes)
    if len(node.inputs) > 1:
        while len(node.inputs) <= position:
            node.inputs.append("")
        push.graph.set_input(node, position, push.graph.add_constant("axes", np.array(moved, np.int64), "int64"))
    else:
        push.set_attribute(node, "axes", moved)
    return _first_input(push, transpose, node, perm)


def _pad(push: _Pushing, transpose: WorkNode, node: WorkNode, perm: Perm) -> bool:
    undo = inverse(perm)
    order = (*undo, *(axis + len(perm) for axis in undo))
    if len(node.inputs) > 1:
        return _reordered_input(push, node, order) and _first_input(push, transpose, node, perm)
    pads = node.attributes.get("pads", ())
    if len(pads) != len(order):
        return False
    push.set_attribute(node, "pads", permuted(pads, order))
    return _first_input(push, transpose, node, perm)


def _tile(push: _Pushing, transpose: WorkNode, node: WorkNode, perm: Perm) -> bool:
    return _reordered_input(push, node, inverse(perm)) and _first_input(push, transpose, node, perm)


def _reordered_input(push: _Pushing, node: WorkNode, order: Perm) -> bool:
    """Reorder the second input, one number an axis; False where it is not a constant of that length."""
    graph = push.graph
    tensor = node.inputs[1]
    value = graph.values.get(tensor)
    if tensor not in graph.constants or value is None or value.size != len(order):
        return False
    graph.set_input(node, 1, graph.add_constant(tensor, value[list(order)], graph.types[tensor].dtype))
    return True


def _gather(push: _Pushing, transpose: WorkNode, node: WorkNode, perm: Perm) -> bool:
    if push.graph.types[node.inputs[1]].shape:
        return False
    axis = perm[node.attributes.get("axis", 0) % len(perm)]
    push.set_attribute(node, "axis", axis)
    push.move_input(node, 0, inverse(perm))
    push.move_outputs(node, without_axes(perm, (axis,)))
    return True


def _reshape(push: _Pushing, transpose: WorkNode, node: WorkNode, perm: Perm) -> bool:
    graph = push.graph
    before, after = graph.types[node.inputs[0]].shape, graph.types[node.outputs[0]].shape
    same = as_transpose(before, after)
    if same is not None:
        return _merge(push, transpose, node, compose(perm, same))
    groups = split_axes(before, after)
    if groups is None or node.inputs[1] not in graph.constants:
        return False
    order = [axis for position in inverse(perm) for axis in groups[position]]
    shape = np.array(permuted(after, order), np.int64)
    graph.set_input(node, 1, graph.add_constant("shape", shape, "int64"))
    push.move_input(node, 0, inverse(perm))
    push.move_outputs(node, inverse(order))
    return True


def _transpose(push: _Pushing, transpose: WorkNode, node: WorkNode, perm: Perm) -> bool:
    return _merge(push, transpose, node, compose(perm, push._perm(node)))


def _merge(push: _Pushing, transpose: WorkNode, node: WorkNode, perm: Perm) -> bool:
    """Replace a transpose and the node after it, itself a transpose in effect, by one transpose or none."""
    graph, source, output = push.graph, transpose.inputs[0], node.outputs[0]
    if is_identity(perm):
        if output in graph.outputs:
            return False
        graph.remove_node(node)
        graph.redirect(output, source)
    else:
        graph.remove_node(node)
        heirs = node.sources
        if graph.uses(transpose.outputs[0]) == 0:
            heirs = transpose.sources + heirs
        graph.add_node(push.transpose, node.name, [source], [output], {"perm": perm}, node.position, heirs)
    push._drop(transpose)
    return True


_HANDLERS: dict[str, _Handler] = {
    "simple": _all_inputs,
    "first": _first_input,
    "broadcast": _broadcast,
    "concat": _with_axis(_all_inputs, None),
    "split": _with_axis(_first_input, 0),
    "softmax": _softmax,
    "reduce": _reduce,
    "arg": _arg,
    "squeeze": _squeeze,
    "unsqueeze": _unsqueeze,
    "slice": _slice,
    "pad": _pad,
    "tile": _tile,
    "gather": _gather,
    "reshape": _reshape,
    "transpose": _transpose,
}

_KEEPS_OUTPUTS = frozenset({"reshape", "transpose"})
