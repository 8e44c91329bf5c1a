"""What a shape rule sees of a node, and the helpers that rules share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nnmeter.errors import ModelError
from nnmeter.graph.ir import Node, TensorType

# ONNX's numbers of element types (onnx.proto, TensorProto.DataType), as `to` and `dtype` attributes give them.
ELEMENT_TYPES: dict[int, str] = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 8: "string", 9: "bool",
    10: "float16", 11: "float64", 12: "uint32", 13: "uint64", 14: "complex64", 15: "complex128", 16: "bfloat16",
    17: "float8e4m3fn", 18: "float8e4m3fnuz", 19: "float8e5m2", 20: "float8e5m2fnuz", 21: "uint4", 22: "int4",
    23: "float4e2m1", 24: "float8e8m0", 25: "uint2", 26: "int2",
}  # fmt: skip


class NodeView:
    """One node with the types of its inputs, the values of those that are known, and the opset it belongs to."""

    __slots__ = ("attributes", "node", "opset", "types", "values", "warnings")

    def __init__(
        self,
        node: Node,
        types: list[TensorType | None],
        values: list[np.ndarray | None],
        opset: int,
        warnings: list[str],
    ) -> None:
        self.node = node
        self.attributes = node.attributes
        self.types = types
        self.values = values
        self.opset = opset
        self.warnings = warnings

    def fault(self, reason: str) -> ModelError:
        """The error of a node whose types do not fit together."""
        return ModelError(f"node '{self.node.name}' ({self.node.op_type}): {reason}; check the model")

    def type(self, position: int) -> TensorType:
        """Type of a required input."""
        found = self.types[position] if position < len(self.types) else None
        if found is None:
            raise self.fault(f"input {position} is missing")
        return found

    def optional_type(self, position: int) -> TensorType | None:
        """Type of an input, None where absent."""
        return self.types[position] if position < len(self.types) else None

    def shape(self, position: int) -> tuple[int, ...]:
        """Shape of a required input."""
        return self.type(position).shape

    def value(self, position: int) -> np.ndarray | None:
        """Value of an input, where it is known."""
        return self.values[position] if position < len(self.values) else None

    def integers(self, position: int, attribute: str | None = None) -> tuple[int, ...] | None:
        """Integers that older opsets give as an attribute and newer ones as an input; None where absent.

        Raises:
            ModelError: the input is there, but its value depends on the data.
        """
        if attribute is not None and attribute in self.attributes:
            given = self.attributes[attribute]
            return tuple(given) if isinstance(given, tuple | list) else (int(given),)
        if self.optional_type(position) is None:
            return None
        value = self.value(position)
        if value is None:
            raise self.unknown(position)
        return tuple(int(v) for v in value.ravel())

    def unknown(self, position: int) -> ModelError:
        """The error of a shape that depends on data."""
        tensor = self.node.inputs[position]
        return ModelError(
            f"node '{self.node.name}' ({self.node.op_type}): its shape depends on the values of '{tensor}', which are not "
            "known before the run; export the model with static shapes"
        )

    def axis(self, rank: int, name: str = "axis", default: int = 0) -> int:
        """An axis attribute, made non-negative and checked."""
        return self.checked_axis(int(self.attributes.get(name, default)), rank)

    def checked_axis(self, axis: int, rank: int) -> int:
        """An axis made non-negative."""
        position = axis + rank if axis < 0 else axis
        if not 0 <= position < max(rank, 1):
            raise self.fault(f"axis {axis} is out of range for rank {rank}")
        return position


Rule = Callable[[NodeView], Sequence[TensorType | None]]


def product(sizes: Sequence[int]) -> int:
    """Product of sizes; 1 for none."""
    result = 1
    for size in sizes:
        result *= size
    return result


def broadcast(view: NodeView, shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The common shape of operands, by numpy's rule."""
    result = shapes[0]
    for other in shapes[1:]:
        if other == result:
            continue
        rank = max(len(result), len(other))
        a = (1,) * (rank - len(result)) + result
        b = (1,) * (rank - len(other)) + other
        merged = []
        for x, y in zip(a, b, strict=True):
            if x != y and x != 1 and y != 1:
                raise view.fault(f"shapes {_text(result)} and {_text(other)} do not broadcast")
            merged.append(y if x == 1 else x)
        result = tuple(merged)
    return result


def _text(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def element_type(view: NodeView, number: Any) -> str:
    """Name of an element type by ONNX's number."""
    if number not in ELEMENT_TYPES:
        raise view.fault(f"element type {number} is unknown")
    return ELEMENT_TYPES[number]


def same_as_first(view: NodeView) -> list[TensorType]:
    """Every output has the type of the first input."""
    first = view.type(0)
    return [first] * len(view.node.outputs)
