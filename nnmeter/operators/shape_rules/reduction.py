"""Shapes of reductions, sorting and operators whose result's size depends on the data.

The size of a result that depends on data is its upper bound, and the graph carries a warning that says so.
"""

from __future__ import annotations

from collections.abc import Sequence

from nnmeter.graph.ir import Node, TensorType
from nnmeter.operators.shape_rules.common import (
    Context,
    Inputs,
    Rule,
    UnknownShapeError,
    axis_of,
    optional,
    present,
    show,
    table,
)


def reduced(shape: tuple[int, ...], axes: Sequence[int], keep: int) -> tuple[int, ...]:
    """A shape after reducing these axes."""
    if keep:
        return tuple([1 if axis in axes else size for axis, size in enumerate(shape)])
    return tuple([size for axis, size in enumerate(shape) if axis not in axes])


def _reduce(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x = present(inputs, 0)
    rank = len(x.shape)
    axes = node.attributes.get("axes")
    if axes is None:
        axes = context.integers(node, 1)
    if not axes:
        if node.attributes.get("noop_with_empty_axes", 0):
            return (x,)
        axes = range(rank)
    chosen = [axis_of(axis, rank) for axis in axes]
    return (TensorType(x.dtype, reduced(x.shape, chosen, node.attributes.get("keepdims", 1))),)


def _arg(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x = present(inputs, 0)
    axis = axis_of(node.attributes.get("axis", 0), len(x.shape))
    return (TensorType("int64", reduced(x.shape, [axis], node.attributes.get("keepdims", 1))),)


def _top_k(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x = present(inputs, 0)
    axis = axis_of(node.attributes.get("axis", -1), len(x.shape))
    count = node.attributes.get("k")
    if count is None:
        try:
            (count,) = context.integers(node, 1) or (1,)
        except UnknownShapeError:
            count = x.shape[axis]
            context.bound(node, f"the run decides how many it selects; counted as {count}")
    shape = (*x.shape[:axis], min(count, x.shape[axis]), *x.shape[axis + 1 :])
    return TensorType(x.dtype, shape), TensorType("int64", shape)


def _non_zero(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x = present(inputs, 0)
    value = context.value(node, 0)
    if value is not None:
        return (TensorType("int64", (max(len(x.shape), 1), int((value != 0).sum()))),)
    context.bound(node, f"the data decides how many elements it finds; counted as all {x.elements}")
    return (TensorType("int64", (max(len(x.shape), 1), x.elements)),)


def _unique(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x = present(inputs, 0)
    axis = node.attributes.get("axis")
    context.bound(node, f"the data decides how many elements differ; counted as all of {show(x.shape)}")
    size = x.elements if axis is None else x.shape[axis_of(axis, len(x.shape))]
    index = TensorType("int64", (size,))
    return TensorType(x.dtype, (size,)) if axis is None else x, index, index, index


def _compress(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x = present(inputs, 0)
    condition = context.value(node, 1)
    axis = node.attributes.get("axis")
    if condition is None:
        size = min(present(inputs, 1).elements, x.elements if axis is None else x.shape[axis_of(axis, len(x.shape))])
        context.bound(node, f"the data decides how much it keeps; counted as {size}")
    else:
        size = int(condition.astype(bool).sum())
    if axis is None:
        return (TensorType(x.dtype, (size,)),)
    at = axis_of(axis, len(x.shape))
    return (TensorType(x.dtype, (*x.shape[:at], size, *x.shape[at + 1 :])),)


def _non_max_suppression(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    boxes, scores = present(inputs, 0), present(inputs, 1)
    batch, classes, count = scores.shape
    try:
        limit = context.integers(node, 2)
        count = min(count, limit[0]) if limit else 0
    except UnknownShapeError:
        count = boxes.shape[1]
    size = batch * classes * count
    context.bound(node, f"the data decides how many boxes it selects; counted as {size}")
    return (TensorType("int64", (size, 3)),)


def _string_split(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x = present(inputs, 0)
    if not x.elements:
        return TensorType("string", (*x.shape, 0)), TensorType("int64", x.shape)
    raise UnknownShapeError("the text decides how many parts there are")


def _string_normalizer(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x = present(inputs, 0)
    if node.attributes.get("stopwords"):
        context.bound(node, f"the data decide how many words are no stop words; counted as all of {show(x.shape)}")
    return (x,)


def _array_feature_extractor(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x, chosen = present(inputs, 0), optional(inputs, 1)
    return (TensorType(x.dtype, (*(x.shape[:-1] or (1,)), chosen.elements if chosen is not None else 1)),)


RULES: dict[str, Rule] = table(
    (
        "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum "
        "ReduceSumSquare",
        _reduce,
    ),
    ("ArgMax ArgMin", _arg),
    ("TopK", _top_k),
    ("NonZero", _non_zero),
    ("Unique", _unique),
    ("Compress", _compress),
    ("NonMaxSuppression", _non_max_suppression),
    ("StringSplit", _string_split),
    ("StringNormalizer", _string_normalizer),
    ("ArrayFeatureExtractor", _array_feature_extractor),
)
