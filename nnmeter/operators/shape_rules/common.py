"""What shape rules share.

A shape rule is a function of a node, the types of its inputs (None for an absent one) and the context; it returns the
types of the outputs in order. It may return fewer than the node has only where the others are never used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, NamedTuple

import numpy as np

from nnmeter.errors import ModelError
from nnmeter.graph.dtypes import DTYPE_OF_CODE, DTYPE_OF_NAME
from nnmeter.graph.ir import Node, TensorType
from nnmeter.graph.notes import Note, NoteCode
from nnmeter.graph.unbound import MAX_ELEMENTS, MAX_RANK, DeclaredType, UnboundGraph

Inputs = Sequence[TensorType | None]
Shape = tuple[int, ...]


class ShapeError(Exception):
    """Inputs or attributes that contradict what the operator demands."""


class MismatchError(ShapeError):
    """Two sizes that must be equal and are not."""

    def __init__(self, message: str, sizes: tuple[int, int]) -> None:
        super().__init__(message)
        self.sizes = sizes


class BodyLimitError(ModelError):
    """Nested graphs that would have to be inferred too often."""


class UnknownShapeError(Exception):
    """A shape that depends on something that is not known before the model runs."""


Elements = list[TensorType] | None  # types of the elements of a sequence, None for a tensor


class Body(NamedTuple):
    """A nested graph that was inferred: types and elements of its outputs, and the bound graph to keep in the node."""

    outputs: list[TensorType]
    elements: list[Elements]
    graph: Any


@dataclass(slots=True)
class Context:
    """What a rule may look at beside its node.

    Attributes:
        types: types of all tensors that are known so far.
        values: values of the small constants that are known so far.
        opsets: operator set versions of the model.
        warnings: what the user should know of shapes that are only bounds.
        sequences: element types of the tensor sequences.
        held: how many tensors the sequences of the model have in all, as the only item of a list that bodies share.
        padded_channels: channels of tensors in a blocked layout, where a convolution's weights tell.
        infer_body: infers a nested graph from the types of its inputs and the elements of those that are sequences.
        bounded: tensors whose shapes depend on data (`nnmeter.binding.assumptions`).
        value_info: the types that the file declares, by tensor.
        declared: the static type that the file declares for a tensor, None where it does not.
        trips: trip counts that the user gave, by the name of the node; those that were asked for are in `asked`.
    """

    types: dict[str, TensorType]
    values: dict[str, np.ndarray[Any, Any]]
    opsets: dict[str, int]
    warnings: list[Note] = field(default_factory=list)
    sequences: dict[str, list[TensorType]] = field(default_factory=dict)
    held: list[int] = field(default_factory=lambda: [0])
    padded_channels: dict[str, int] = field(default_factory=dict)
    infer_body: Callable[[UnboundGraph, Sequence[TensorType | None], Sequence[Elements]], Body] | None = None
    bounded: dict[str, None] = field(default_factory=dict)
    value_info: Callable[[], Mapping[str, DeclaredType]] = dict
    declared: Callable[[str], TensorType | None] = lambda name: None
    trips: Mapping[str, int] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)

    def value(self, node: Node, position: int) -> np.ndarray[Any, Any] | None:
        """The value of an input, if it is a known small constant."""
        if position < len(node.inputs):
            return self.values.get(node.inputs[position])
        return None

    def integers(self, node: Node, position: int) -> list[int] | None:
        """An integer input's value as a flat list; None if the input is absent.

        Raises:
            UnknownShapeError: the input is there, but its value is not known.
        """
        if position >= len(node.inputs) or not node.inputs[position]:
            return None
        value = self.values.get(node.inputs[position])
        if value is None:
            raise UnknownShapeError(f"its shape depends on the value of '{node.inputs[position]}'")
        return [int(v) for v in value.ravel().tolist()]

    def bound(self, node: Node, what: str) -> None:
        """Warn that the shapes of a node's outputs depend on data, and by which rule they are bounded."""
        self.mark_bounded(node)
        self.note(node, what, "bounded")

    def note(self, node: Node, what: str, code: NoteCode = "estimated") -> None:
        """Warn of a node, naming its first output."""
        name = next(filter(None, node.outputs), "")
        self.warnings.append(Note(f"tensor '{name}' ({node.op_type} of node '{node.name}'): {what}", code, name))

    def mark_bounded(self, node: Node) -> None:
        """Note that the shapes of a node's outputs depend on data."""
        self.bounded.update(dict.fromkeys(filter(None, node.outputs)))


Rule = Callable[[Node, Inputs, Context], Sequence[TensorType]]


def present(inputs: Inputs, position: int) -> TensorType:
    """The type of an input that the operator cannot do without."""
    found = inputs[position] if position < len(inputs) else None
    if found is None:
        raise ShapeError(f"input {position} is missing")
    return found


def optional(inputs: Inputs, position: int) -> TensorType | None:
    """The type of an input that may be absent."""
    return inputs[position] if position < len(inputs) else None


def product(sizes: Sequence[int]) -> int:
    """Product of sizes; 1 for none."""
    return prod(sizes)


def broadcast(a: Shape, b: Shape) -> Shape:
    """The shape of two tensors broadcast against each other."""
    if a == b:
        return a
    if len(a) < len(b):
        a, b = b, a
    result = list(a)
    for axis, size in enumerate(b, len(a) - len(b)):
        if result[axis] != size:
            if result[axis] == 1:
                result[axis] = size
            elif size != 1:
                raise MismatchError(f"shapes {show(a)} and {show(b)} do not broadcast", (result[axis], size))
    return tuple(result)


def axis_of(axis: int, rank: int) -> int:
    """An axis counted from the front."""
    found = axis + rank if axis < 0 else axis
    if not 0 <= found < max(rank, 1):
        raise ShapeError(f"axis {axis} is outside of a tensor of rank {rank}")
    return found


def show(shape: Shape) -> str:
    """A shape as text."""
    return "x".join(map(str, shape)) or "scalar"


def dtype_attribute(node: Node, name: str, default: str) -> str:
    """The element type that an attribute gives by ONNX's number."""
    code = node.attributes.get(name)
    if not code:
        return default
    dtype = DTYPE_OF_NAME.get(code.upper()) if isinstance(code, str) else DTYPE_OF_CODE.get(code)
    if dtype is None:
        raise ShapeError(f"attribute {name} is the unknown element type {code}")
    return dtype


def check_size(kind: TensorType) -> TensorType:
    """The type itself, if such a tensor is possible."""
    shape = kind.shape
    elements = prod(shape)
    if (
        type(elements) is int
        and 0 < elements <= MAX_ELEMENTS
        and len(shape) <= MAX_RANK
        and (not shape or min(shape) > 0)
    ):
        return kind  # nearly all: what follows finds out what is wrong
    if len(shape) > MAX_RANK:
        raise ShapeError(f"it would write a tensor of {len(shape)} dimensions, more than {MAX_RANK}")
    for size in shape:
        if not isinstance(size, int):
            raise ShapeError(f"an attribute that gives a size is {size!r:.80}")
    if shape and (min(shape) < 0 or max(shape) > MAX_ELEMENTS or kind.elements > MAX_ELEMENTS):
        raise ShapeError(f"it would write the impossible shape {show(kind.shape)}")
    return kind


def same(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    """The first input's type."""
    return (present(inputs, 0),)


def scalar_like(node: Node, inputs: Inputs, context: Context) -> Sequence[TensorType]:
    """A scalar of the first input's element type."""
    return (TensorType(present(inputs, 0).dtype, ()),)


def table(*entries: tuple[str, Rule]) -> dict[str, Rule]:
    """A table from groups of operators, each group's names in one string."""
    return {op: rule for ops, rule in entries for op in ops.split()}
