"""Shapes of operators that rearrange, select or copy elements."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor

from nnmeter.graph.ir import Node, TensorType
from nnmeter.operators.shape_rules.common import (
    Context,
    Inputs,
    MismatchError,
    Rule,
    ShapeError,
    UnknownShapeError,
    axis_of,
    broadcast,
    present,
    product,
    show,
    table,
)


def _reshape(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x = present(inputs, 0)
    target = context.integers(node, 1)
    if target is None:
        target = list(node.attributes["shape"])
    if not node.attributes.get("allowzero", 0) and 0 in target:
        if len(x.shape) < max(i for i, size in enumerate(target) if size == 0) + 1:
            raise ShapeError(f"shape {target} keeps dimensions that the input {show(x.shape)} does not have")
        target = [x.shape[i] if size == 0 else size for i, size in enumerate(target)]
    if -1 in target:
        known = product([size for size in target if size != -1])
        target[target.index(-1)] = x.elements // known if known else 0
    made = TensorType(x.dtype, tuple(target))
    if made.elements != x.elements or (target and min(target) < 0):
        raise ShapeError(f"the input {show(x.shape)} cannot be reshaped to {show(made.shape)}")
    return (made,)


def _flatten(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x = present(inputs, 0)
    axis = node.attributes.get("axis", 1)
    axis = axis + len(x.shape) if axis < 0 else axis
    return (TensorType(x.dtype, (product(x.shape[:axis]), product(x.shape[axis:]))),)


def _axes(node: Node, context: Context, rank: int) -> list[int] | None:
    """Axes of an operator that has them as attribute (to opset 12) or as second input."""
    axes = node.attributes.get("axes")
    if axes is None:
        axes = context.integers(node, 1)
    return None if axes is None else [axis_of(axis, rank) for axis in axes]


def _squeeze(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x = present(inputs, 0)
    axes = _axes(node, context, len(x.shape))
    if axes is None:
        return (TensorType(x.dtype, tuple([size for size in x.shape if size != 1])),)
    if any(x.shape[axis] != 1 for axis in axes):
        raise ShapeError(f"axes {axes} of {show(x.shape)} are not all of size 1")
    return (TensorType(x.dtype, tuple([size for axis, size in enumerate(x.shape) if axis not in axes])),)


def _unsqueeze(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x = present(inputs, 0)
    count = len(node.attributes.get("axes") or context.integers(node, 1) or ())
    axes = _axes(node, context, len(x.shape) + count) or []
    shape = list(x.shape)
    for axis in sorted(axes):
        shape.insert(axis, 1)
    return (TensorType(x.dtype, tuple(shape)),)


def _transpose(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x = present(inputs, 0)
    order = node.attributes.get("perm")
    if order is None:
        return (TensorType(x.dtype, x.shape[::-1]),)
    shape = x.shape
    if len(order) != len(shape) or sorted(order) != list(range(len(shape))):
        raise ShapeError(f"perm {order} does not fit the input {show(shape)}")
    return (TensorType(x.dtype, tuple([shape[axis] for axis in order])),)


def _concat(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x = present(inputs, 0)
    axis = axis_of(node.attributes["axis"], len(x.shape))
    shape = list(x.shape)
    for position in range(1, len(inputs)):
        other = present(inputs, position).shape
        if len(other) != len(shape) or other[:axis] != x.shape[:axis] or other[axis + 1 :] != x.shape[axis + 1 :]:
            message = f"inputs {show(x.shape)} and {show(other)} cannot be joined along axis {axis}"
            unequal = [(a, b) for i, (a, b) in enumerate(zip(x.shape, other, strict=False)) if a != b and i != axis]
            if len(other) != len(shape) or not unequal:
                raise ShapeError(message)
            raise MismatchError(message, unequal[0])
        shape[axis] += other[axis]
    return (TensorType(x.dtype, tuple(shape)),)


def split_sizes(size: int, parts: int) -> list[int]:
    """Sizes of equal parts; the last is smaller where the size does not divide (opset 18)."""
    chunk = -(-size // parts)
    return [max(min(chunk, size - chunk * index), 0) for index in range(parts)]


def _split(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x = present(inputs, 0)
    axis = axis_of(node.attributes.get("axis", 0), len(x.shape))
    sizes = node.attributes.get("split")
    if sizes is None:
        sizes = context.integers(node, 1)
    if sizes is None:
        sizes = split_sizes(x.shape[axis], len(node.outputs))
    if len(sizes) < len(node.outputs) or sum(sizes) != x.shape[axis]:
        raise ShapeError(f"parts {sizes} do not fit axis {axis} of the input {show(x.shape)}")
    before, after = x.shape[:axis], x.shape[axis + 1 :]
    return [TensorType(x.dtype, (*before, size, *after)) for size in sizes]


def slice_length(size: int, start: int, end: int, step: int) -> int:
    """How many elements a slice takes; limits outside of the axis are moved to its ends, as Python does."""
    return len(range(*slice(start, end if end >= -size or step > 0 else None, step).indices(size)))


def _slice(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x = present(inputs, 0)
    rank = len(x.shape)
    if "starts" in node.attributes:
        starts, ends = node.attributes["starts"], node.attributes["ends"]
        axes, steps = node.attributes.get("axes"), None
    else:
        axes, steps = context.integers(node, 3), context.integers(node, 4)
        try:
            starts, ends = context.integers(node, 1), context.integers(node, 2)
        except UnknownShapeError:
            context.bound(node, f"takes a part that only the run decides; counted as all of {show(x.shape)}")
            return (x,)
    if starts is None or ends is None or len(starts) != len(ends):
        raise ShapeError("starts and ends differ in length")
    shape = list(x.shape)
    for index, axis in enumerate(axes if axes is not None else range(len(starts))):
        at = axis_of(axis, rank)
        step = steps[index] if steps else 1
        if step == 0:
            raise ShapeError("a step is 0")
        shape[at] = slice_length(x.shape[at], starts[index], ends[index], step)
    return (TensorType(x.dtype, tuple(shape)),)


def _gather(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x, indices = present(inputs, 0), present(inputs, 1).shape
    axis = axis_of(node.attributes.get("axis", 0), len(x.shape))
    return (TensorType(x.dtype, x.shape[:axis] + indices + x.shape[axis + 1 :]),)


def _gather_elements(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    return (TensorType(present(inputs, 0).dtype, present(inputs, 1).shape),)


def _gather_nd(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x, indices = present(inputs, 0), present(inputs, 1).shape
    depth = node.attributes.get("batch_dims", 0) + indices[-1]
    if depth > len(x.shape):
        raise ShapeError(f"indices {show(indices)} are too deep for the input {show(x.shape)}")
    return (TensorType(x.dtype, indices[:-1] + x.shape[depth:]),)


def pad_shape(node: Node, shape: tuple[int, ...], pads: Sequence[int], axes: Sequence[int] | None) -> tuple[int, ...]:
    """A shape with padding before and after each (given) axis."""
    rank = len(shape)
    chosen = list(range(rank)) if axes is None else [axis_of(axis, rank) for axis in axes]
    if len(pads) != 2 * len(chosen):
        raise ShapeError(f"{len(pads)} pads do not fit {len(chosen)} axes")
    result = list(shape)
    for index, axis in enumerate(chosen):
        result[axis] += pads[index] + pads[index + len(chosen)]
    return tuple(result)


def _pad(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x = present(inputs, 0)
    pads = node.attributes.get("pads") or node.attributes.get("paddings")
    if pads is None:
        pads = context.integers(node, 1) or []
    return (TensorType(x.dtype, pad_shape(node, x.shape, pads, context.integers(node, 3))),)


def _expand(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x = present(inputs, 0)
    return (TensorType(x.dtype, broadcast(x.shape, tuple(context.integers(node, 1) or ()))),)


def _tile(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x = present(inputs, 0)
    repeats = context.integers(node, 1) or []
    axis = context.integers(node, 2)
    if axis:  # operator set 1: how often along one axis
        repeats = [repeats[0] if at == axis_of(axis[0], len(x.shape)) else 1 for at in range(len(x.shape))]
    return (TensorType(x.dtype, tuple([size * count for size, count in zip(x.shape, repeats, strict=True)])),)


def _depth_to_space(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x, block = present(inputs, 0), node.attributes["blocksize"]
    batch, channels, height, width = x.shape
    return (TensorType(x.dtype, (batch, channels // (block * block), height * block, width * block)),)


def _space_to_depth(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x, block = present(inputs, 0), node.attributes["blocksize"]
    batch, channels, height, width = x.shape
    return (TensorType(x.dtype, (batch, channels * block * block, height // block, width // block)),)


def scaled(shape: tuple[int, ...], scales: Sequence[float]) -> tuple[int, ...]:
    """A shape after resizing: `floor(size * scale)`."""
    return tuple([floor(size * scale) for size, scale in zip(shape, scales, strict=True)])


def _upsample(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x = present(inputs, 0)
    scales = node.attributes.get("scales")
    if scales is None and "height_scale" in node.attributes:  # operator set 1
        scales = (1.0, 1.0, node.attributes["height_scale"], node.attributes["width_scale"])
    if scales is None:
        value = context.value(node, 1)
        if value is None:
            raise UnknownShapeError("its scales are not known")
        scales = value.ravel().tolist()
    if len(scales) != len(x.shape):
        raise ShapeError(f"{len(scales)} scales do not fit the input {show(x.shape)}")
    return (TensorType(x.dtype, scaled(x.shape, scales)),)


def _resize(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    """Resize: (X, scales) in opset 10, (X, roi, scales, sizes) from 11; `axes` and an aspect policy from 18."""
    x = present(inputs, 0)
    scales = context.value(node, 1 if len(node.inputs) == 2 else 2)
    axes = [axis_of(a, len(x.shape)) for a in node.attributes.get("axes") or range(len(x.shape))]
    shape = list(x.shape)
    if scales is not None and scales.size:
        for axis, scale in zip(axes, scales.ravel().tolist(), strict=True):
            shape[axis] = floor(shape[axis] * scale)
        return (TensorType(x.dtype, tuple(shape)),)
    sizes = context.integers(node, 3)
    if sizes is None:
        raise UnknownShapeError("neither its scales nor its sizes are known")
    policy = node.attributes.get("keep_aspect_ratio_policy", "stretch")
    for axis, size in zip(axes, sizes, strict=True):
        if size and not x.shape[axis]:
            raise ShapeError(f"an axis of 0 cannot be resized to {size}")
    ratios = [size / x.shape[axis] for axis, size in zip(axes, sizes, strict=True) if x.shape[axis]]
    for axis, size in zip(axes, sizes, strict=True):
        if policy == "stretch":
            shape[axis] = size
        else:
            ratio = min(ratios, default=1) if policy == "not_larger" else max(ratios, default=1)
            shape[axis] = floor(x.shape[axis] * ratio + 0.5)
    return (TensorType(x.dtype, tuple(shape)),)


def _center_crop_pad(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x = present(inputs, 0)
    sizes = context.integers(node, 1) or []
    shape = list(x.shape)
    for axis, size in zip(node.attributes.get("axes") or range(len(shape)), sizes, strict=True):
        shape[axis_of(axis, len(shape))] = size
    return (TensorType(x.dtype, tuple(shape)),)


RULES: dict[str, Rule] = table(
    ("Reshape", _reshape),
    ("Flatten", _flatten),
    ("Squeeze", _squeeze),
    ("Unsqueeze", _unsqueeze),
    ("Transpose", _transpose),
    ("Concat", _concat),
    ("Split", _split),
    ("Slice", _slice),
    ("Gather", _gather),
    ("GatherElements", _gather_elements),
    ("GatherND", _gather_nd),
    ("Pad", _pad),
    ("Expand", _expand),
    ("Tile", _tile),
    ("DepthToSpace", _depth_to_space),
    ("SpaceToDepth", _space_to_depth),
    ("Upsample", _upsample),
    ("Resize", _resize),
    ("CenterCropPad", _center_crop_pad),
)
