"""Types of operators on sequences of tensors and optional values.

A sequence is typed as one flat tensor of all its elements, so that it has a size in bytes; `Context.sequences` keeps
the types of the elements. An optional value has the type of what it holds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nnmeter.graph.ir import Node, TensorType
from nnmeter.limits import MAX_SEQUENCE, MAX_SEQUENCES
from nnmeter.operators.shape_rules.common import (
    Context,
    Inputs,
    Rule,
    ShapeError,
    UnknownShapeError,
    axis_of,
    dtype_attribute,
    present,
    table,
)
from nnmeter.operators.shape_rules.movement import split_sizes


def _remember(node: Node, context: Context, elements: list[TensorType], dtype: str = "float32") -> list[TensorType]:
    if len(elements) > MAX_SEQUENCE:
        raise ShapeError(f"it would make a sequence of {len(elements)} tensors, more than {MAX_SEQUENCE}")
    context.held[0] += len(elements)
    if context.held[0] > MAX_SEQUENCES:
        raise ShapeError(f"the sequences of the model have more than {MAX_SEQUENCES} tensors in all")
    context.sequences[node.outputs[0]] = elements
    return [TensorType(elements[0].dtype if elements else dtype, (sum(t.elements for t in elements),))]


def _elements(node: Node, context: Context) -> list[TensorType]:
    known = context.sequences.get(node.inputs[0])
    if known is None:
        raise UnknownShapeError(f"the elements of the sequence '{node.inputs[0]}' are not known")
    return known


def _position(node: Node, context: Context, which: int, count: int) -> int | None:
    value = context.value(node, which)
    if value is None:
        return None
    return axis_of(int(value.item()), count)


def _construct(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    return _remember(node, context, [present(inputs, position) for position in range(len(inputs))])


def _empty(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    return _remember(node, context, [], dtype_attribute(node, "dtype", "float32"))


def _split(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    x = present(inputs, 0)
    axis = axis_of(node.attributes.get("axis", 0), len(x.shape))
    size = x.shape[axis]
    given = context.integers(node, 1)
    keep = node.attributes.get("keepdims", 1) or given is not None
    if given is None or not present(inputs, 1).shape:
        parts = -(-size // max(given[0], 1)) if given else size
        if parts > MAX_SEQUENCE:
            raise ShapeError(f"it would make {parts} tensors, more than {MAX_SEQUENCE}")
    if given is None:
        sizes = [1] * size
    elif not present(inputs, 1).shape:
        sizes = split_sizes(size, -(-size // max(given[0], 1))) if size else []
        sizes = [min(given[0], size - given[0] * index) for index in range(len(sizes))]
    else:
        sizes = given
    before, after = x.shape[:axis], x.shape[axis + 1 :]
    return _remember(
        node, context, [TensorType(x.dtype, (*before, *((part,) if keep else ()), *after)) for part in sizes], x.dtype
    )


def _at(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    elements = _elements(node, context)
    if not elements:
        raise UnknownShapeError("the sequence is empty")
    position = _position(node, context, 1, len(elements))
    if position is None:
        largest = max(elements, key=lambda t: t.elements)
        if any(t != largest for t in elements):
            context.bound(node, "the run decides which element it takes; counted as the largest")
        return (largest,)
    return (elements[position],)


def _insert(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    elements = list(_elements(node, context))
    position = _position(node, context, 2, len(elements) + 1)
    elements.insert(len(elements) if position is None else position, present(inputs, 1))
    return _remember(node, context, elements)


def _erase(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    elements = list(_elements(node, context))
    position = _position(node, context, 1, len(elements))
    if elements:
        elements.pop(-1 if position is None else position)
    return _remember(node, context, elements, present(inputs, 0).dtype)


def _length(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    elements = context.sequences.get(node.inputs[0])
    if elements is not None:
        context.values[node.outputs[0]] = np.array(len(elements), np.int64)
    return (TensorType("int64", ()),)


def _same(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    """Identity, of a tensor or of a sequence."""
    elements = context.sequences.get(node.inputs[0])
    if elements is not None:
        context.sequences[node.outputs[0]] = elements
    return (present(inputs, 0),)


def _join(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    elements = _elements(node, context)
    if not elements:
        raise UnknownShapeError("the sequence is empty")
    first = elements[0]
    if node.attributes.get("new_axis", 0):
        axis = axis_of(node.attributes["axis"], len(first.shape) + 1)
        return (TensorType(first.dtype, (*first.shape[:axis], len(elements), *first.shape[axis:])),)
    axis = axis_of(node.attributes["axis"], len(first.shape))
    size = sum(t.shape[axis] for t in elements)
    return (TensorType(first.dtype, (*first.shape[:axis], size, *first.shape[axis + 1 :])),)


def _optional(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    if not inputs:
        declared = node.attributes.get("type")
        return (TensorType(getattr(declared, "dtype", "") or "float32", (0,)),)
    if node.inputs[0] in context.sequences:
        context.sequences[node.outputs[0]] = context.sequences[node.inputs[0]]
    return (present(inputs, 0),)


def _has_element(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    return (TensorType("bool", ()),)


RULES: dict[str, Rule] = table(
    ("SequenceConstruct", _construct),
    ("SequenceEmpty", _empty),
    ("SplitToSequence", _split),
    ("SequenceAt", _at),
    ("SequenceInsert", _insert),
    ("SequenceErase", _erase),
    ("SequenceLength", _length),
    ("ConcatFromSequence", _join),
    ("Optional OptionalGetElement", _optional),
    ("Identity", _same),
    ("OptionalHasElement", _has_element),
)
