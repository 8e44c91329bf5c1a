"""Other ways to write the same: operators that some runtimes have no fast path for, in a form for which they have one.

What a model computes stays what it was. A rewrite is done wherever it can be, and refused where it cannot be done once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from nnmeter.graph.input_sizes import AS_DECLARED, InputSizes
from nnmeter.graph.ir import Node
from nnmeter.graph.unbound import UnboundModel
from nnmeter.operators.shape_rules.windows import window_outputs
from nnmeter.transforms.draft import Draft
from nnmeter.transforms.faults import TransformError

_LAYER_NORMALIZATION_OPSET = 17
_SOFTMAX_OPSET = 13  # the first whose Softmax is of one axis


def rewrite(model: UnboundModel, name: str, sizes: InputSizes = AS_DECLARED) -> UnboundModel:
    """The model with a rewrite done wherever it can be.

    Args:
        model: the model; it is not changed.
        name: a key of `REWRITES`.
        sizes: what the model leaves open.

    Raises:
        TransformError: there is no such rewrite, or nothing to rewrite.
    """
    if name not in REWRITES:
        raise TransformError(f"{model.source}: there is no rewrite '{name[:80]}'; take {', '.join(REWRITES)}")
    draft = Draft(model, sizes)
    if not REWRITES[name](draft):
        raise TransformError(f"{model.source}: has nothing that '{name}' rewrites; leave it out")
    return draft.finish(same_shapes=True)


def _softmax_last(draft: Draft) -> int:
    """A Softmax over an inner axis: transposed, over the last, and back. Runtimes have fast code for the last alone."""
    nodes, done = [], 0
    for node in draft.nodes:
        rank = len(draft.types[node.inputs[0]].shape) if node.inputs and node.inputs[0] in draft.types else 0
        axis = int(node.attributes.get("axis", -1)) % rank if rank else 0
        if (
            node.op_type not in ("Softmax", "LogSoftmax")
            or node.domain
            or draft.opset < _SOFTMAX_OPSET
            or axis == rank - 1
            or draft.types[node.inputs[0]].shape[axis] == 1
        ):
            nodes.append(node)
        else:
            order = [other for other in range(rank) if other != axis] + [axis]
            back = [order.index(place) for place in range(rank)]
            turned, result = draft.fresh(f"{node.name}_turned"), draft.fresh(f"{node.name}_last")
            nodes += [
                draft.node("Transpose", node.inputs, (turned,), perm=tuple(order)),
                draft.node(node.op_type, (turned,), (result,), node.name, axis=-1),
                draft.node("Transpose", (result,), node.outputs, perm=tuple(back)),
            ]
            done += 1
    draft.nodes = nodes
    return done


def _pool_floor(draft: Draft) -> int:
    """A pooling with `ceil_mode` whose result has the same size without it."""
    done = 0
    for node in draft.nodes:
        if node.op_type in ("AveragePool", "MaxPool") and node.attributes.get("ceil_mode"):
            floored = replace(node, attributes={**node.attributes, "ceil_mode": 0})
            data, result = draft.types[node.inputs[0]].shape, draft.types[node.outputs[0]].shape
            if window_outputs(floored, data[2:], node.attributes["kernel_shape"]) == result[2:]:
                node.attributes = floored.attributes
                done += 1
    return done


def _layer_normalization(draft: Draft) -> int:
    """Layer normalization over the last axis in single operators: (x - mean) / sqrt(variance + e) x scale + bias."""
    if draft.opset < _LAYER_NORMALIZATION_OPSET:
        return 0
    writers, readers = draft.writers(), draft.readers()
    gone: set[str] = set()
    made: dict[str, Node] = {}
    for node in draft.nodes:
        found = _normalization_at(node, draft, writers, readers)
        if found is not None:
            data, scale, bias, inner, last = found
            gone.update(inner)
            made[last.name] = draft.node("LayerNormalization", (data, scale, bias), last.outputs, axis=-1)
    draft.nodes = [made.get(n.name, n) for n in draft.nodes if n.name not in gone or n.name in made]
    return len(made)


def _normalization_at(
    divide: Node, draft: Draft, writers: Mapping[str, Node], readers: Mapping[str, list[Node]]
) -> tuple[str, str, str, set[str], Node] | None:
    """Data, scale, bias, operators and the last of them, where a Div is that of a layer normalization."""
    if divide.op_type != "Div":
        return None
    centred, root = (writers.get(name) for name in divide.inputs[:2])
    if centred is None or root is None or centred.op_type != "Sub" or root.op_type != "Sqrt":
        return None
    added = writers.get(root.inputs[0])
    mean = writers.get(centred.inputs[1])
    if added is None or added.op_type != "Add" or mean is None or not _is_mean_of_last(mean, draft):
        return None
    if mean.inputs[0] != centred.inputs[0]:
        return None
    variance = next((writers[name] for name in added.inputs if name in writers), None)
    if variance is None or not _is_mean_of_last(variance, draft):
        return None
    square = writers.get(variance.inputs[0])
    if square is None or square.op_type not in ("Pow", "Mul") or centred.outputs[0] not in square.inputs:
        return None
    inner = {divide.name, centred.name, root.name, added.name, mean.name, variance.name, square.name}
    scaled = _only_reader(divide, "Mul", readers)
    biased = _only_reader(scaled, "Add", readers) if scaled is not None else None
    if scaled is None or biased is None:
        return None
    width = draft.types[centred.inputs[0]].shape[-1]
    scale, bias = (
        next((name for name in node.inputs if _is_vector(draft, name, width)), "") for node in (scaled, biased)
    )
    inner |= {scaled.name, biased.name}
    inside = [node for node in draft.nodes if node.name in inner and node.name != biased.name]
    outputs = {declared.name for declared in draft.outputs}
    for node in inside:
        result = node.outputs[0]
        if result in outputs or any(reader.name not in inner for reader in readers.get(result, ())):
            return None
    return (centred.inputs[0], scale, bias, inner, biased) if scale and bias else None


def _is_mean_of_last(node: Node, draft: Draft) -> bool:
    if node.op_type != "ReduceMean" or not node.attributes.get("keepdims", 1):
        return False
    axes = node.attributes.get("axes")
    if axes is None and len(node.inputs) > 1:
        value = draft.known.get(node.inputs[1])
        axes = None if value is None else np.ravel(value).tolist()
    rank = len(draft.types[node.inputs[0]].shape)
    return axes is not None and [axis % rank for axis in axes] == [rank - 1]


def _only_reader(node: Node, op_type: str, readers: Mapping[str, list[Node]]) -> Node | None:
    reading = readers.get(node.outputs[0], [])
    return reading[0] if len(reading) == 1 and reading[0].op_type == op_type else None


def _is_vector(draft: Draft, name: str, width: int) -> bool:
    return name in draft.constants and draft.constants[name].shape == (width,)


REWRITES: Mapping[str, Callable[[Draft], int]] = {
    "layer-normalization": _layer_normalization,
    "pool-floor": _pool_floor,
    "softmax-last": _softmax_last,
}
