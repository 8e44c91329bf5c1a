"""What operators can take where a value decides whether and how they run: indices, sizes, axes, lengths, thresholds.

1. An input of an operator that is in `_NEEDED` gets a value by its rule there: a number, numbers, or `Below(n)`, which
   are whole numbers from 0 to n - 1. `needed_value` gives it.
2. Rules see the shapes of the operator's inputs as far as they are known: those of stored tensors and of the model's
   inputs. Where a table's size is not known, its first row is always there.
3. A value is followed through operators that hand it on in another shape. Where an index is calculated behind it, by
   additions, choices and limits, it is 0: it may be an offset, and 0 is the smallest. What divides is 1. Products are
   not followed: what masks others stays what it would be.
4. Lengths are whole: sequences are as long as their padding, selections as large as their source, slices and tiles give
   what they take. That is how unknown lengths are priced.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import onnx

_LARGEST = 2**31 - 1  # an end that lies behind all ends

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Below:
    """Whole numbers from 0 to `count` - 1."""

    count: int


Value = Below | float | tuple[float, ...]


@dataclass(frozen=True, slots=True)
class _Reading:
    """One input of one operator: what its rule may look at (rule 2)."""

    node: onnx.NodeProto
    sizes: Mapping[str, Shape]
    shape: Shape  # of the value that is sought

    def size(self, position: int, axis: int) -> int | None:
        """Size of an axis of another input of the operator; None if it is not known."""
        shape = self.input_shape(position)
        return shape[axis] if shape is not None and -len(shape) <= axis < len(shape) else None

    def input_shape(self, position: int) -> Shape | None:
        inputs = self.node.input
        return self.sizes.get(inputs[position]) if position < len(inputs) else None

    def attribute(self, name: str, default: int) -> int:
        return next((int(a.i) for a in self.node.attribute if a.name == name), default)


_Rule = Callable[[_Reading], Value | None]


def _rows(table: int, axis: int = 0, attribute: str = "axis") -> _Rule:
    """Indices of the rows of another input, along the axis that the operator names."""

    def rule(reading: _Reading) -> Value:
        return Below(reading.size(table, reading.attribute(attribute, axis)) or 1)

    return rule


def _rows_of(table: int, axis: int) -> _Rule:
    """Indices along a fixed axis of another input."""
    return lambda reading: Below(reading.size(table, axis) or 1)


def _places(reading: _Reading) -> Value:
    """Indices of several axes at once, the last axis of the indices long: valid for the shortest of these axes."""
    data, count = reading.input_shape(0), reading.shape[-1] if reading.shape else 0
    first = reading.attribute("batch_dims", 0)
    return Below(min(data[first : first + count], default=1)) if data else Below(1)


def _whole(source: int, axis: int, otherwise: int = 1) -> _Rule:
    """As much as an axis of another input has (rule 4)."""
    return lambda reading: reading.size(source, axis) or otherwise


def _steps(reading: _Reading) -> Value:
    """Sequences of recurrent layers: as long as their padding."""
    return reading.size(0, 1 if reading.attribute("layout", 0) else 0) or 1


def _cached(offset: int) -> _Rule:
    """Keys that an attention over a cache has when it is full and the new ones are added."""

    def rule(reading: _Reading) -> Value:
        past, new = reading.size(3, 2), reading.size(0, 1)
        return max((past or 0) + (new or 1) + offset, 0)

    return rule


def _axes(reading: _Reading) -> Value:
    return tuple(range(math.prod(reading.shape)))


def _target(reading: _Reading) -> Value:
    """A shape to reshape to: all elements in the first axis."""
    return (-1, *([1] * (math.prod(reading.shape) - 1)))


def _same_sizes(reading: _Reading) -> Value | None:
    """The sizes of the first input, for an operator that changes sizes."""
    data, count = reading.input_shape(0), math.prod(reading.shape)
    return data[len(data) - count :] if data is not None and len(data) >= count else None


def _even_parts(reading: _Reading) -> Value | None:
    size, count = reading.size(0, reading.attribute("axis", 0)), math.prod(reading.shape)
    if size is None or not count:
        return None
    return (*[size // count] * (count - 1), size - size // count * (count - 1))


def _all_elements(reading: _Reading) -> Value:
    return Below(math.prod(reading.input_shape(0) or (1,)))


def _always(value: float) -> _Rule:
    return lambda reading: value


_REDUCTIONS = (
    *("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd"),
    *("ReduceSum", "ReduceSumSquare"),
)

# Rule 1, by (operator, position of the input).
_NEEDED: dict[tuple[str, int], _Rule] = {
    ("ArrayFeatureExtractor", 1): _rows_of(0, -1),
    ("Attention", 6): _whole(1, -2),
    ("CenterCropPad", 1): _same_sizes,
    ("ConstantOfShape", 0): _always(1),
    ("CumSum", 1): _always(0),
    ("Dropout", 1): _always(0.5),
    ("Dropout", 2): _always(0),
    ("EmbedLayerNormalization", 0): _rows_of(2, 0),
    ("EmbedLayerNormalization", 1): _rows_of(4, 0),
    ("Expand", 1): _always(1),
    ("GRU", 4): _steps,
    ("Gather", 1): _rows(0),
    ("GatherBlockQuantized", 1): _rows(0, attribute="gather_axis"),
    ("GatherElements", 1): _rows(0),
    ("GatherND", 1): _places,
    ("GroupQueryAttention", 5): _cached(-1),
    ("GroupQueryAttention", 6): _cached(0),
    ("LSTM", 4): _steps,
    ("Loop", 0): _always(1),
    ("MaxUnpool", 1): _all_elements,
    ("NegativeLogLikelihoodLoss", 1): _rows_of(0, 1),
    ("NonMaxSuppression", 2): _whole(0, 1, _LARGEST),
    ("NonMaxSuppression", 3): _always(0.5),
    ("NonMaxSuppression", 4): _always(0),
    ("OneHot", 0): _always(0),
    ("OneHot", 1): _always(1),
    ("Pad", 1): _always(0),
    ("Pad", 3): _axes,
    ("RNN", 4): _steps,
    ("Range", 0): _always(0),
    ("Range", 1): _always(1),
    ("Range", 2): _always(1),
    ("Reshape", 1): _target,
    ("Resize", 2): _always(1),
    ("Resize", 3): _same_sizes,
    ("ReverseSequence", 1): lambda reading: reading.size(0, reading.attribute("time_axis", 0)) or 1,
    ("RoiAlign", 2): _rows_of(0, 0),
    ("Scatter", 1): _rows(0),
    ("ScatterElements", 1): _rows(0),
    ("ScatterND", 1): _places,
    ("SequenceAt", 1): _always(0),
    ("Slice", 1): _always(0),
    ("Slice", 2): _always(_LARGEST),
    ("Slice", 3): _axes,
    ("Slice", 4): _always(1),
    ("SoftmaxCrossEntropyLoss", 1): _rows_of(0, 1),
    ("Split", 1): _even_parts,
    ("TensorScatter", 2): _always(0),
    ("Tile", 1): _always(1),
    ("TopK", 1): lambda reading: reading.size(0, reading.attribute("axis", -1)) or 1,
    ("Trilu", 1): _always(0),
    ("Unsqueeze", 1): _axes,
    ("Upsample", 1): _always(1),
    **{(reduction, 1): _axes for reduction in _REDUCTIONS},
}

# Rule 3: operators that hand on the value of their first input; that calculate with it; what divides or only chooses.
_HANDING_ON = frozenset(
    {"Cast", "Expand", "Flatten", "Gather", "GatherElements", "GatherND", "Identity", "Reshape", "Slice", "Squeeze"}
    | {"Tile", "Transpose", "Unsqueeze", "Split"}
)
_ARITHMETIC = frozenset({"Abs", "Add", "Clip", "Concat", "Div", "Max", "Min", "Mod", "Neg", "Sub", "Sum", "Where"})
_DIVISORS = frozenset({("Div", 1), ("Mod", 1)})
_CONDITIONS = frozenset({("Where", 0)})
_DEPTH = 6


def needed_value(
    consumers: Mapping[str, Sequence[tuple[onnx.NodeProto, int]]],
    sizes: Mapping[str, Shape],
    name: str,
    shape: Shape,
    depth: int = _DEPTH,
) -> Value | None:
    """The value that the readers of a tensor need; None where any will do.

    Args:
        consumers: who reads each tensor, and as which of its inputs.
        sizes: the shapes that are known.
        name: the tensor.
        shape: its shape.
        depth: how many operators it is followed through.
    """
    rows: int | None = None
    for node, position in consumers.get(name, ()):
        rule = _NEEDED.get((node.op_type, position))
        found: Value | None = None
        if rule is not None:
            found = rule(_Reading(node, sizes, shape))
        elif depth and node.output:
            if node.op_type in _HANDING_ON and position == 0:
                found = needed_value(consumers, sizes, node.output[0], shape, depth - 1)
            elif node.op_type in _ARITHMETIC and (node.op_type, position) not in _CONDITIONS:
                found = _before_arithmetic(consumers, sizes, node, position, shape, depth - 1)
        if isinstance(found, Below):
            rows = found.count if rows is None else min(rows, found.count)
        elif found is not None:
            return found
    return None if rows is None else Below(rows)


def _before_arithmetic(
    consumers: Mapping[str, Sequence[tuple[onnx.NodeProto, int]]],
    sizes: Mapping[str, Shape],
    node: onnx.NodeProto,
    position: int,
    shape: Shape,
    depth: int,
) -> Value | None:
    """Rule 3 for an operator that calculates."""
    if (node.op_type, position) in _DIVISORS:
        return 1
    behind = needed_value(consumers, sizes, node.output[0], shape, depth)
    return 0 if isinstance(behind, Below) or behind == 0 else None


def numbers(value: Value, shape: Shape, dtype: np.dtype[Any], generator: np.random.Generator) -> np.ndarray[Any, Any]:
    """An array of a shape and element type that has a needed value."""
    if isinstance(value, Below):
        return generator.integers(0, max(1, value.count), shape).astype(dtype)
    if isinstance(value, tuple) and len(value) == math.prod(shape):
        return np.array(value).reshape(shape).astype(dtype)
    return np.full(shape, value[0] if isinstance(value, tuple) and value else (value or 0)).astype(dtype)
