"""How transposes move through operators: one handler for each way of handling that `push_transposes` rules name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nnmeter.fusion.engine.rewriting import WorkNode
from nnmeter.fusion.passes.onnxruntime.permutations import (
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
from nnmeter.fusion.passes.onnxruntime.transpose_moves import TransposeMoves, movable_inputs
from nnmeter.graph.ir import TensorType

# Each handler moves a transpose by `perm` from before a node to behind it; False if it cannot.

Handler = Callable[[TransposeMoves, WorkNode, WorkNode, Perm], bool]


def _inputs_of(way: str) -> Handler:
    def handle(push: TransposeMoves, transpose: WorkNode, node: WorkNode, perm: Perm) -> bool:
        for index in movable_inputs(push.graph, node, way):
            push.move_input(node, index, inverse(perm))
        push.move_outputs(node, perm)
        return True

    return handle


def _first_input(push: TransposeMoves, transpose: WorkNode, node: WorkNode, perm: Perm) -> bool:
    push.move_input(node, 0, inverse(perm))
    push.move_outputs(node, perm)
    return True


def _broadcast(push: TransposeMoves, transpose: WorkNode, node: WorkNode, perm: Perm) -> bool:
    if not push.equal_ranks(node, len(perm)):
        return False
    for index in movable_inputs(push.graph, node, "broadcast"):
        push.move_input(node, index, inverse(perm))
    push.move_outputs(node, perm)
    return True


def _with_axis(move: Handler, default: int | None) -> Handler:
    def handle(push: TransposeMoves, transpose: WorkNode, node: WorkNode, perm: Perm) -> bool:
        axis = node.attributes.get("axis", default)
        if axis is None:
            return False
        push.set_attribute(node, "axis", perm[axis % len(perm)])
        return move(push, transpose, node, perm)

    return handle


def _softmax(push: TransposeMoves, transpose: WorkNode, node: WorkNode, perm: Perm) -> bool:
    if push.graph.opsets.get("", 13) >= 13:
        return _with_axis(_first_input, -1)(push, transpose, node, perm)
    axis = node.attributes.get("axis", 1) % len(perm)
    if any((position < axis) != (source < axis) for position, source in enumerate(perm)):
        return False
    return _first_input(push, transpose, node, perm)


def _reduce(push: TransposeMoves, transpose: WorkNode, node: WorkNode, perm: Perm) -> bool:
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


def _arg(push: TransposeMoves, transpose: WorkNode, node: WorkNode, perm: Perm) -> bool:
    axis = perm[node.attributes.get("axis", 0) % len(perm)]
    push.set_attribute(node, "axis", axis)
    push.move_input(node, 0, inverse(perm))
    push.move_outputs(node, perm if node.attributes.get("keepdims", 1) else without_axes(perm, (axis,)))
    return True


def _squeeze(push: TransposeMoves, transpose: WorkNode, node: WorkNode, perm: Perm) -> bool:
    axes = push.axes(node, len(perm))
    if axes is None:
        return False
    moved = tuple(sorted(perm[axis] for axis in axes))
    push.set_axes(node, moved)
    push.move_input(node, 0, inverse(perm))
    push.move_outputs(node, without_axes(perm, moved))
    return True


def _unsqueeze(push: TransposeMoves, transpose: WorkNode, node: WorkNode, perm: Perm) -> bool:
    rank = len(push.graph.types[node.outputs[0]].shape)
    axes = push.axes(node, rank)
    if axes is None:
        return False
    push.move_input(node, 0, inverse(perm))
    push.move_outputs(node, with_axes(perm, axes))
    return True


def _slice(push: TransposeMoves, transpose: WorkNode, node: WorkNode, perm: Perm) -> bool:
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


def _pad(push: TransposeMoves, transpose: WorkNode, node: WorkNode, perm: Perm) -> bool:
    undo = inverse(perm)
    order = (*undo, *(axis + len(perm) for axis in undo))
    if len(node.inputs) > 1:
        return _reordered_input(push, node, 1, order) and _first_input(push, transpose, node, perm)
    pads = node.attributes.get("pads", ())
    if len(pads) != len(order):
        return False
    push.set_attribute(node, "pads", permuted(pads, order))
    return _first_input(push, transpose, node, perm)


def _tile(push: TransposeMoves, transpose: WorkNode, node: WorkNode, perm: Perm) -> bool:
    return _reordered_input(push, node, 1, inverse(perm)) and _first_input(push, transpose, node, perm)


def _resize(push: TransposeMoves, transpose: WorkNode, node: WorkNode, perm: Perm) -> bool:
    if perm not in ((0, 2, 3, 1), (0, 3, 1, 2)):
        return False
    given = [index for index, tensor in enumerate(node.inputs[1:], 1) if tensor]
    if not all(_reordered_input(push, node, index, inverse(perm)) for index in given):
        return False
    return _first_input(push, transpose, node, perm)


def _quantize(push: TransposeMoves, transpose: WorkNode, node: WorkNode, perm: Perm) -> bool:
    if push.graph.types[node.inputs[1]].shape:
        push.set_attribute(node, "axis", perm[node.attributes.get("axis", 1) % len(perm)])
    return _first_input(push, transpose, node, perm)


def _never(push: TransposeMoves, transpose: WorkNode, node: WorkNode, perm: Perm) -> bool:
    return False


def _reordered_input(push: TransposeMoves, node: WorkNode, index: int, order: Perm) -> bool:
    """Reorder an input of one number an axis; False where it is not a constant of that length."""
    graph = push.graph
    tensor = node.inputs[index]
    value = graph.values.get(tensor)
    if tensor not in graph.constants or value is None or value.size != len(order):
        return False
    graph.set_input(node, index, graph.add_constant(tensor, value[list(order)], graph.types[tensor].dtype))
    return True


def _gather(push: TransposeMoves, transpose: WorkNode, node: WorkNode, perm: Perm) -> bool:
    if push.graph.types[node.inputs[1]].shape:
        return False
    axis = perm[node.attributes.get("axis", 0) % len(perm)]
    push.set_attribute(node, "axis", axis)
    push.move_input(node, 0, inverse(perm))
    push.move_outputs(node, without_axes(perm, (axis,)))
    return True


def _reshape(push: TransposeMoves, transpose: WorkNode, node: WorkNode, perm: Perm) -> bool:
    graph = push.graph
    if graph.free.get(node.inputs[0]) or graph.free.get(node.outputs[0]):
        return False
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


def _shape(push: TransposeMoves, transpose: WorkNode, node: WorkNode, perm: Perm) -> bool:
    """The sizes before the transpose, picked in its order by a Gather, which is no place to move on to."""
    graph = push.graph
    rank = len(perm)
    start, end = node.attributes.get("start", 0), node.attributes.get("end", rank)
    picked = np.array(perm[start:end], np.int64)
    output, whole = node.outputs[0], graph.fresh("shape")
    graph.types[whole] = TensorType("int64", (rank,))
    push.move_input(node, 0, inverse(perm))
    node.attributes = {}
    graph.set_output(node, 0, whole)
    indices = graph.add_constant("perm", picked, "int64")
    graph.add_node("Gather", graph.fresh("gather"), [whole, indices], [output], {"axis": 0}, node.position + 1e-6)
    return True


def _quantized_pool(push: TransposeMoves, transpose: WorkNode, node: WorkNode, perm: Perm) -> bool:
    """A pool that knows both layouts."""
    last = node.attributes.get("channels_last", 0)
    to_first = (0, len(perm) - 1, *range(1, len(perm) - 1))
    if perm != (inverse(to_first) if last else to_first):
        return False
    push.set_attribute(node, "channels_last", 1 - last)
    return _first_input(push, transpose, node, perm)


def _integer_pool(push: TransposeMoves, transpose: WorkNode, node: WorkNode, perm: Perm) -> bool:
    """A pool of integers that exists as another operator with channels last."""
    graph = push.graph
    to_first = (0, len(perm) - 1, *range(1, len(perm) - 1))
    if node.kind not in push.channels_last or perm != to_first:
        return False
    if graph.types[node.outputs[0]].dtype not in ("int8", "uint8") or len(node.outputs) > 1:
        return False
    attributes = {key: value for key, value in node.attributes.items() if key != "storage_order"}
    graph.remove_node(node)
    swapped = graph.add_node(
        push.channels_last[node.kind], node.name, node.inputs, node.outputs, attributes, node.position, node.sources
    )
    return _first_input(push, transpose, swapped, perm)


def _transpose(push: TransposeMoves, transpose: WorkNode, node: WorkNode, perm: Perm) -> bool:
    return _merge(push, transpose, node, compose(perm, push.perm(node)))


def _merge(push: TransposeMoves, transpose: WorkNode, node: WorkNode, perm: Perm) -> bool:
    """Replace a transpose and the node after it, itself a transpose in effect, by one transpose or none."""
    graph, source, output = push.graph, transpose.inputs[0], node.outputs[0]
    if is_identity(perm):
        if output in graph.outputs:
            writer = graph.producer.get(source)
            if writer is None or source in graph.outputs:
                return False
            graph.remove_node(node)
            graph.set_output(writer, writer.outputs.index(source), output)
            graph.redirect(source, output)
            push.await_readers(output)
        else:
            graph.remove_node(node)
            graph.redirect(output, source)
            push.await_readers(source)
    else:
        graph.remove_node(node)
        heirs = node.sources
        if graph.uses(transpose.outputs[0]) == 0:
            heirs = transpose.sources + heirs
        push.add_transpose(node.name, source, output, perm, node.position, heirs)
    push.drop(transpose)
    return True


HANDLERS: dict[str, Handler] = {
    "simple": _inputs_of("simple"),
    "first": _first_input,
    "broadcast": _broadcast,
    "concat": _with_axis(_inputs_of("concat"), None),
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
    "resize": _resize,
    "quantize": _quantize,
    "never": _never,
    "reshape": _reshape,
    "shape": _shape,
    "transpose": _transpose,
    "quantized_pair": _inputs_of("quantized_pair"),
    "quantized_concat": _with_axis(_inputs_of("quantized_concat"), None),
    "quantized_pool": _quantized_pool,
    "integer_pool": _integer_pool,
}

# Ways whose outputs keep their order of axes, and ways that are taken whatever they cost.
KEEPS_OUTPUTS = frozenset({"reshape", "shape", "transpose"})
ALWAYS_PAYS = frozenset({"transpose", "integer_pool"})
