"""What states a size: attributes and constants of operators whose tensors lose or get indices.

A shape that an exporter computes from other shapes follows by itself; one that it stores is stored anew. The constant
of one operator may serve others, so each gets its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from nnmeter.graph.ir import Node
from nnmeter.transforms.channels.relations import Resizing
from nnmeter.transforms.channels.rules import Shapes, sliced
from nnmeter.transforms.draft import Draft

Expected = Mapping[str, tuple[int, ...]]


def rewrite_sizes(draft: Draft, change: Resizing, expected: Expected) -> None:
    """Let the operators of a draft state the sizes that are expected.

    Args:
        draft: the model; its types are those before the change.
        change: what becomes of the indices of axes.
        expected: shape of every tensor after it.
    """
    changed = {name for name, _ in change.changed()}
    shapes = Shapes(draft)
    for node in draft.nodes:
        rewrite = _REWRITES.get(node.op_type) if not node.domain else None
        if rewrite is not None and not changed.isdisjoint((*node.inputs, *node.outputs)):
            rewrite(draft, node, change, expected, shapes)


def _store(draft: Draft, node: Node, position: int, values: Sequence[int]) -> None:
    """Let an input of an operator be a constant of its own, where it is not what it was."""
    old = draft.known.get(node.inputs[position])
    if old is not None and node.inputs[position] in draft.constants and old.ravel().tolist() == list(values):
        return
    name = draft.constant(f"{node.name}_input_{position}", list(values), "int64")
    node.inputs = (*node.inputs[:position], name, *node.inputs[position + 1 :])


def _grouped(draft: Draft, node: Node, change: Resizing, expected: Expected, shapes: Shapes) -> None:
    groups = node.attributes.get("group", 1)
    if groups > 1:
        inner = shapes[node.inputs[0]][1] // groups
        counts = change.counts((node.inputs[0], 1)).reshape(groups, inner)
        groups = int(counts.sum()) if inner == 1 else int(counts.any(1).sum())
        node.attributes = {**node.attributes, "group": groups}


def _reshape(draft: Draft, node: Node, change: Resizing, expected: Expected, shapes: Shapes) -> None:
    before, after = expected[node.inputs[0]], expected[node.outputs[0]]
    if len(node.inputs) < 2:  # version 1 of the operator
        node.attributes = {**node.attributes, "shape": after}
        return
    stated = shapes.value(node, 1)
    stored = node.inputs[1] in draft.constants
    if stated is None or (after == shapes[node.outputs[0]] and (stored or before == shapes[node.inputs[0]])):
        return
    values = []
    for axis, size in enumerate(after):
        old = stated[axis]
        if stored and (old == -1 or (old == 0 and not node.attributes.get("allowzero"))):
            values.append(old)
        elif not stored and axis < len(before) and before[axis] == size and not node.attributes.get("allowzero"):
            values.append(0)
        else:
            values.append(size)
    _store(draft, node, 1, values)


def _expand(draft: Draft, node: Node, change: Resizing, expected: Expected, shapes: Shapes) -> None:
    if node.inputs[1] in draft.constants:
        stated = shapes.value(node, 1) or []
        after = expected[node.outputs[0]][-len(stated) :] if stated else ()
        _store(draft, node, 1, [1 if old == 1 else new for old, new in zip(stated, after, strict=True)])


def _resize(draft: Draft, node: Node, change: Resizing, expected: Expected, shapes: Shapes) -> None:
    stated = shapes.value(node, 3)
    if stated is not None and "axes" not in node.attributes:
        _store(draft, node, 3, expected[node.outputs[0]])


def _split(draft: Draft, node: Node, change: Resizing, expected: Expected, shapes: Shapes) -> None:
    along = node.attributes.get("axis", 0) % shapes.rank(node.inputs[0])
    parts = [expected[name][along] for name in node.outputs if name]
    if "split" in node.attributes:
        node.attributes = {**node.attributes, "split": tuple(parts)}
    elif len(node.inputs) > 1 and node.inputs[1]:
        _store(draft, node, 1, parts)
    elif len(set(parts)) > 1:
        if draft.opset < 13:
            node.attributes = {**node.attributes, "split": tuple(parts)}
        else:
            node.attributes = {key: value for key, value in node.attributes.items() if key != "num_outputs"}
            node.inputs = (node.inputs[0], draft.constant(f"{node.name}_split", parts, "int64"))


def _slice(draft: Draft, node: Node, change: Resizing, expected: Expected, shapes: Shapes) -> None:
    cuts = sliced(node, shapes)
    if cuts is None:
        return
    data = node.inputs[0]
    cut = {axis for axis, (_, _, step) in cuts.items() if step == 1 and (change.counts((data, axis)) != 1).any()}
    if not cut:
        return
    attributes = node.attributes
    listed = attributes.get("axes") or shapes.value(node, 3) or list(range(len(cuts)))
    axes = [axis % shapes.rank(data) for axis in listed]
    sides = [
        list(attributes.get("starts") or shapes.value(node, 1) or ()),
        list(attributes.get("ends") or shapes.value(node, 2) or ()),
    ]
    for place, axis in enumerate(axes):
        if axis in cut:
            for side in (0, 1):
                sides[side][place] = int(change.counts((data, axis))[: cuts[axis][side]].sum())
    if "starts" in attributes:
        node.attributes = {**attributes, "starts": tuple(sides[0]), "ends": tuple(sides[1])}
    else:
        _store(draft, node, 1, sides[0])
        _store(draft, node, 2, sides[1])


_REWRITES: Mapping[str, Callable[[Draft, Node, Resizing, Expected, Shapes], None]] = {
    "Conv": _grouped,
    "Expand": _expand,
    "Reshape": _reshape,
    "Resize": _resize,
    "Slice": _slice,
    "Split": _split,
}
