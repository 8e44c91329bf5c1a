"""A TensorFlow Lite file as Python values: tensors, and operators with the tables of their options.

Rules:

1. Field numbers are those of the schema (tensorflow/lite/schema/schema.fbs, version 3).
2. Of a file with several subgraphs the first is the model; an operator that calls another one is not read into it.
3. A constant is a tensor whose buffer has bytes, in the file or behind it. Its value is read where it is small
   (`MAX_KNOWN_ELEMENTS`); no other byte of a buffer is touched.
4. What is kept is counted before it is kept (`nnmeter.limits`, 1 and 2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nnmeter.formats.budget import OBJECT_BYTES, Budget
from nnmeter.formats.flatbuffers import Table, root
from nnmeter.formats.wire import Buffer, WireError
from nnmeter.graph.dtypes import NUMPY_OF_DTYPE
from nnmeter.graph.ir import DTYPE_BITS, TensorType
from nnmeter.graph.unbound import MAX_ELEMENTS, MAX_KNOWN_ELEMENTS, MAX_RANK
from nnmeter.limits import MAX_EDGES, MAX_NAME, MAX_NODES

IDENTIFIER = b"TFL3"  # from the fourth byte on
_VERSION = 3

DTYPES: dict[int, str] = {
    0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 5: "string", 6: "bool", 7: "int16",
    8: "complex64", 9: "int8", 10: "float64", 11: "complex128", 12: "uint64", 15: "uint32", 16: "uint16", 17: "int4",
    18: "bfloat16",
}  # fmt: skip
_CUSTOM = 32
_MOST_CODES = 4096
_MOST_TENSORS = 500_000  # each counts at least 512 bytes of what a graph may have


@dataclass(frozen=True, slots=True)
class TfliteTensor:
    """One tensor.

    Attributes:
        name: its name; several may have one.
        type: element type and shape, channels last.
        constant: whether the file has its data.
        value: the data of a small constant.
        scales: how many scales it is quantized with; 0 for one that is not quantized.
        axis: the dimension that several scales are of.
        sparse: whether the file stores it without its zeros.
    """

    name: str
    type: TensorType
    constant: bool
    value: np.ndarray[Any, Any] | None = None
    scales: int = 0
    axis: int = 0
    sparse: bool = False

    @property
    def quantized(self) -> bool:
        """Whether its numbers stand for others by a scale."""
        return self.scales > 0 and self.type.dtype in ("int8", "uint8", "int16", "int4")


@dataclass(frozen=True, slots=True)
class TfliteOperator:
    """One operator.

    Attributes:
        code: number of the operator in the schema; 32 for one that is not of TensorFlow Lite.
        custom: the name of such a one.
        inputs: numbers of the tensors that it reads, -1 for an absent one.
        outputs: those that it writes.
        options: its settings; None where it has none.
    """

    code: int
    custom: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Table | None


@dataclass(frozen=True, slots=True)
class TfliteFile:
    """The model of a file.

    Attributes:
        tensors: all tensors, in the order that operators number them in.
        operators: in the order in which they run.
        inputs: numbers of the tensors that a caller gives.
        outputs: numbers of those that it gets.
        subgraphs: how many graphs the file has.
    """

    tensors: list[TfliteTensor]
    operators: list[TfliteOperator]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    subgraphs: int


def scan_tflite(buffer: Buffer) -> TfliteFile:
    """Read the first graph of a file.

    Raises:
        WireError: it is damaged, or beyond the limits.
    """
    if buffer[4:8] != IDENTIFIER:
        raise WireError("is no TensorFlow Lite model")
    model = root(buffer)
    version = model.number(0, "I")
    if version != _VERSION:
        raise WireError(f"is of version {version} of the schema, not {_VERSION}")
    graphs = model.tables(2, MAX_NODES)
    if not graphs:
        raise WireError("has no graph")
    budget = Budget()
    codes = [_code(table) for table in model.tables(1, _MOST_CODES)]
    buffers = model.tables(4, _MOST_TENSORS)
    graph = graphs[0]
    tensors = [_tensor(buffer, table, buffers, budget) for table in graph.tables(0, _MOST_TENSORS)]
    operators = [_operator(table, codes, len(tensors), budget) for table in graph.tables(3, MAX_NODES)]
    inputs, outputs = (graph.numbers(field, "i", MAX_EDGES) for field in (1, 2))
    _check_places((*inputs, *outputs), len(tensors), -1)
    if not outputs:
        raise WireError("has a graph without outputs")
    return TfliteFile(tensors, operators, inputs, outputs, len(graphs))


def _code(table: Table) -> tuple[int, str]:
    code = max(table.number(0, "b"), table.number(3, "i"))
    return code, table.text(1, MAX_NAME) if code == _CUSTOM else ""


def _operator(table: Table, codes: list[tuple[int, str]], tensors: int, budget: Budget) -> TfliteOperator:
    budget.add_node()
    budget.add_edges(table.length(1) + table.length(2))
    number = table.number(0, "I")
    if number >= len(codes):
        raise WireError(f"has an operator of the kind {number} of {len(codes)}")
    inputs, outputs = (table.numbers(field, "i", MAX_EDGES) for field in (1, 2))
    _check_places(inputs, tensors, -1)
    _check_places(outputs, tensors, -1)
    return TfliteOperator(*codes[number], inputs, outputs, table.table(4))


def _check_places(places: tuple[int, ...], count: int, lowest: int) -> None:
    for place in places:
        if not lowest <= place < count:
            raise WireError(f"names the tensor {place} of {count}")


def _tensor(buffer: Buffer, table: Table, buffers: list[Table], budget: Budget) -> TfliteTensor:
    budget.add_bytes(OBJECT_BYTES + table.length(3))
    name = table.text(3, MAX_NAME)
    code = table.number(1, "b")
    dtype = DTYPES.get(code)
    if dtype is None:
        raise WireError(f"tensor '{name}' has the element type {code}, which is not read")
    shape = table.numbers(0, "i", MAX_RANK)
    kind = TensorType(dtype, shape)
    if shape and (min(shape) < 0 or kind.elements > MAX_ELEMENTS):
        raise WireError(f"tensor '{name}' has the impossible shape {'x'.join(map(str, shape))}")
    place = table.number(2, "I")
    if place >= max(len(buffers), 1):
        raise WireError(f"tensor '{name}' has the buffer {place} of {len(buffers)}")
    quantization = table.table(4)
    scales = 0 if quantization is None else quantization.length(2)
    axis = 0 if quantization is None else quantization.number(6, "i")
    if scales > 1 and not (0 <= axis < len(shape) and shape[axis] == scales):
        raise WireError(f"tensor '{name}' has {scales} scales, not one for each place of a dimension")
    start, size = _data(buffers[place]) if buffers and place else (0, 0)
    if size and start + size > len(buffer):
        raise WireError(f"tensor '{name}' has data behind the end of the file")
    sparse = table.table(6) is not None
    value = None
    if size and not sparse and kind.elements <= MAX_KNOWN_ELEMENTS:
        value = _value(buffer, start, size, kind)
        budget.add_bytes(0 if value is None else value.nbytes)
    return TfliteTensor(name, kind, size > 0, value, scales, axis, sparse)


def _data(table: Table) -> tuple[int, int]:
    """Where the bytes of a buffer begin, and how many there are: in the buffer, or behind all tables (rule 3)."""
    start, size = table.span(0)
    if size:
        return start, size
    return table.number(1, "Q"), table.number(2, "Q") if table.number(1, "Q") > 1 else 0


def _value(buffer: Buffer, start: int, size: int, kind: TensorType) -> np.ndarray[Any, Any] | None:
    numpy = NUMPY_OF_DTYPE.get(kind.dtype)
    if numpy is None or DTYPE_BITS[kind.dtype] < 8 or kind.dtype == "string":
        return None
    if size != kind.bytes:
        return None  # a runtime refuses it, or the type is packed in a way that is not read here
    return np.frombuffer(buffer[start : start + size], numpy).reshape(kind.shape)
