"""The graph: operators, tensors and constants with static types, as every later stage sees them.

A `Graph` is what a reader returns once dimensions are bound: every tensor has a `TensorType` with a static shape.
Weights are described (type and shape), not held; only small constants that shapes may depend on keep their value.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from nnmeter.graph.notes import Note

DTYPE_BITS: dict[str, int] = {
    "float32": 32, "float64": 64, "float16": 16, "bfloat16": 16,
    "float8e4m3fn": 8, "float8e4m3fnuz": 8, "float8e5m2": 8, "float8e5m2fnuz": 8, "float8e8m0": 8, "float4e2m1": 4,
    "int8": 8, "uint8": 8, "int16": 16, "uint16": 16, "int32": 32, "uint32": 32, "int64": 64, "uint64": 64,
    "int4": 4, "uint4": 4, "int2": 2, "uint2": 2, "bool": 8, "complex64": 64, "complex128": 128, "string": 128,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class TensorType:
    """Element type (a key of `DTYPE_BITS`) and static shape of a tensor."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        """Number of elements; 1 for a scalar."""
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        """Size in bytes, sub-byte types packed."""
        return (prod(self.shape) * DTYPE_BITS[self.dtype] + 7) // 8

    def __str__(self) -> str:
        return f"{self.dtype}[{'x'.join(map(str, self.shape))}]"


@dataclass(slots=True)
class Node:
    """One operator. `inputs` and `outputs` are tensor names, "" for an absent optional one.

    `scope` is what the exporting framework wrote of the module that the operator is of, as the file has it (see
    `nnmeter.prediction.modules`); "" where the file says nothing, or says it in the name.
    """

    op_type: str
    domain: str  # "" for ai.onnx
    name: str  # unique in its graph, made up by the reader where the file has none
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any] = field(default_factory=dict)  # int, float, str, tuple of these, ndarray, or Graph
    scope: str = ""


@dataclass(slots=True)
class Graph:
    """Operators in topological order with the static type of every tensor.

    Attributes:
        types: type of every tensor: graph inputs, initializers, and all node outputs.
        initializers: names of the constant tensors that the file stores (weights); their types are in `types`.
        values: values of the small constants that are known (stored or computed while shapes were inferred).
        warnings: what the user should know of its shapes.
        free: axes whose sizes follow from dimensions that the file leaves free, by tensor, where the session that is
            predicted keeps these free (`InputSizes.session`).
    """

    name: str
    nodes: list[Node]
    inputs: list[str]
    outputs: list[str]
    types: dict[str, TensorType]
    initializers: set[str]
    values: dict[str, np.ndarray]
    opsets: dict[str, int]
    warnings: list[Note] = field(default_factory=list)
    free: dict[str, frozenset[int]] = field(default_factory=dict)
