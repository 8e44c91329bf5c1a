"""Stored tensors: type and shape of each, and the value of those that are small.

Rules:
1. Only the fields before and after the payload are looked at; a payload is passed over by its length (wire, rule 3).
2. A tensor of at most `MAX_KNOWN_ELEMENTS` elements that is stored in the model keeps its value. bfloat16 becomes
   float32; strings and types narrower than a byte keep none.
3. External data is never opened: only the type counts.
4. A sparse tensor is described as the dense tensor that it stands for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nnmeter.formats.wire import LENGTH, VARINT, Buffer, WireError, fields, integers, text
from nnmeter.graph.dtypes import DTYPE_OF_CODE, NUMPY_OF_DTYPE
from nnmeter.graph.ir import TensorType
from nnmeter.graph.unbound import MAX_ELEMENTS, MAX_KNOWN_ELEMENTS, MAX_RANK

# Fields of TensorProto and SparseTensorProto (onnx.proto).
_DIMS, _DATA_TYPE, _NAME, _RAW_DATA, _DATA_LOCATION = 1, 2, 8, 9, 14
_TYPED_DATA = frozenset({4, 5, 7, 10, 11})  # float, int32, int64, double, uint64
_KINDS: dict[int, int] = {_DATA_TYPE: VARINT, _NAME: LENGTH, _RAW_DATA: LENGTH, _DATA_LOCATION: VARINT}
_FIXED_DATA: dict[int, np.dtype[Any]] = {4: np.dtype("<f4"), 10: np.dtype("<f8")}
_SPARSE_VALUES, _SPARSE_DIMS = 1, 3
_EXTERNAL = 1
_COPIED_BYTES = 4096  # a message up to this size holds no large weight; a copy of it is faster to read than the map
_LONGEST_DIMS = 1024  # bytes, and numbers: many times what `MAX_RANK` dimensions need
_LARGEST_PAYLOAD = 16 * MAX_KNOWN_ELEMENTS

_LARGEST_EMPTY_RANK = 5  # NumPy refuses an empty array whose other sizes multiply to more than it can address
_16_BIT_FLOATS = frozenset({"float16", "bfloat16"})


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor of the file: name, type and, where it is small, value."""

    name: str
    type: TensorType
    value: np.ndarray[Any, Any] | None = None


def scan_tensor(buffer: Buffer, at: int, end: int) -> StoredTensor:
    """Read a TensorProto message.

    Raises:
        WireError: it is damaged, of an unknown type, or its payload does not fit its shape.
    """
    if end - at <= _COPIED_BYTES:
        buffer, at, end = buffer[at:end], 0, end - at
    name = ""
    code = 0
    external = False
    dims: list[int] = []
    raw: tuple[int, int] | None = None
    typed: list[tuple[int, int, int, int]] = []
    for number, kind, start, stop in fields(buffer, at, end):
        if kind != _KINDS.get(number, kind):
            raise WireError("a tensor's field has a wrong wire type")
        if number == _DIMS:
            if kind == VARINT:
                dims.append(start)
            elif stop - start <= _LONGEST_DIMS:
                dims.extend(integers(buffer, kind, start, stop))
            else:
                raise WireError(f"tensor '{name}' has more than {MAX_RANK} dimensions")
            if len(dims) > _LONGEST_DIMS:
                raise WireError(f"tensor '{name}' has more than {MAX_RANK} dimensions")
        elif number == _DATA_TYPE:
            code = start
        elif number == _NAME:
            name = text(buffer, start, stop)
        elif number == _RAW_DATA:
            raw = (start, stop)
        elif number in _TYPED_DATA:
            if len(typed) <= MAX_KNOWN_ELEMENTS:  # more are more elements than are kept, or than its type has
                typed.append((number, kind, start, stop))
        elif number == _DATA_LOCATION:
            external = start == _EXTERNAL
    kind_of = tensor_type(name, code, dims)
    if external or kind_of.elements > MAX_KNOWN_ELEMENTS:
        return StoredTensor(name, kind_of)
    if raw is not None:
        return StoredTensor(name, kind_of, _from_raw(name, buffer, *raw, kind_of))
    if typed:
        return StoredTensor(name, kind_of, _from_typed(name, buffer, typed, kind_of))
    return StoredTensor(name, kind_of, _empty(kind_of))


def scan_sparse_tensor(buffer: Buffer, at: int, end: int) -> StoredTensor:
    """Read a SparseTensorProto message (rule 4)."""
    dims: list[int] = []
    values: StoredTensor | None = None
    for number, kind, start, stop in fields(buffer, at, end):
        if number == _SPARSE_VALUES:
            values = scan_tensor(buffer, start, stop)
        elif number == _SPARSE_DIMS:
            if (kind == LENGTH and stop - start > _LONGEST_DIMS) or len(dims) > _LONGEST_DIMS:
                raise WireError(f"a sparse tensor has more than {MAX_RANK} dimensions")
            dims.extend(integers(buffer, kind, start, stop))
    if values is None:
        raise WireError("a sparse tensor has no values")
    return StoredTensor(values.name, _checked(values.name, values.type.dtype, dims))


def tensor_type(name: str, code: int, dims: list[int]) -> TensorType:
    """The type of a stored tensor from ONNX's number of its element type."""
    dtype = DTYPE_OF_CODE.get(code)
    if dtype is None:
        raise WireError(f"tensor '{name}' has the unknown element type {code}")
    return _checked(name, dtype, dims)


def _checked(name: str, dtype: str, dims: list[int]) -> TensorType:
    if len(dims) > MAX_RANK:
        raise WireError(f"tensor '{name}' has {len(dims)} dimensions, more than {MAX_RANK}")
    made = TensorType(dtype, tuple(dims))
    if dims and (min(dims) < 0 or max(dims) > MAX_ELEMENTS or made.elements > MAX_ELEMENTS):
        raise WireError(f"tensor '{name}' has the impossible shape {'x'.join(map(str, dims))}")
    return made


def _empty(kind: TensorType) -> np.ndarray[Any, Any] | None:
    dtype = NUMPY_OF_DTYPE.get(kind.dtype)
    if dtype is None or kind.elements or max(kind.shape) > MAX_KNOWN_ELEMENTS or len(kind.shape) > _LARGEST_EMPTY_RANK:
        return None
    return np.zeros(kind.shape, dtype)


def _from_raw(name: str, buffer: Buffer, start: int, stop: int, kind: TensorType) -> np.ndarray[Any, Any] | None:
    if stop - start != kind.bytes:
        if kind.dtype in ("string",):
            return None
        raise WireError(f"tensor '{name}' stores {stop - start} bytes, its type {kind} has {kind.bytes}")
    if kind.dtype == "bfloat16" and kind.elements:
        bits = np.frombuffer(buffer[start:stop], "<u2").astype(np.uint32) << 16
        return bits.view(np.float32).reshape(kind.shape)
    dtype = NUMPY_OF_DTYPE.get(kind.dtype)
    if dtype is None:
        return None
    if not kind.elements:
        return _empty(kind)
    return np.frombuffer(buffer[start:stop], dtype).reshape(kind.shape)


def _from_typed(
    name: str, buffer: Buffer, parts: list[tuple[int, int, int, int]], kind: TensorType
) -> np.ndarray[Any, Any] | None:
    dtype = NUMPY_OF_DTYPE.get(kind.dtype)
    if dtype is None and kind.dtype != "bfloat16":
        return None
    numbers: list[Any] = []
    for number, wire_kind, start, stop in parts:
        if wire_kind == LENGTH and stop - start > _LARGEST_PAYLOAD:
            raise WireError(f"tensor '{name}' stores more elements than its type {kind} has")
        if number in _FIXED_DATA:
            item = _FIXED_DATA[number]
            if wire_kind == VARINT or (stop - start) % item.itemsize:
                raise WireError(f"tensor '{name}' stores a part of a number")
            numbers.extend(np.frombuffer(buffer[start:stop], item).tolist())
        else:
            numbers.extend(integers(buffer, wire_kind, start, stop))
    integral = all(number not in _FIXED_DATA for number, *_ in parts)
    if kind.dtype == "uint64" and integral:
        numbers = [n & 0xFFFF_FFFF_FFFF_FFFF for n in numbers]
    if kind.dtype.startswith("complex"):
        numbers = [complex(a, b) for a, b in zip(numbers[::2], numbers[1::2], strict=False)]
    if len(numbers) != kind.elements:
        raise WireError(f"tensor '{name}' stores {len(numbers)} elements, its type {kind} has {kind.elements}")
    if not kind.elements:
        return _empty(kind)
    if kind.dtype in _16_BIT_FLOATS and integral:
        bits = np.array([n & 0xFFFF for n in numbers], np.uint16)
        values = bits.view(np.float16) if kind.dtype == "float16" else (bits.astype(np.uint32) << 16).view(np.float32)
        return values.reshape(kind.shape)
    try:
        return np.array(numbers, dtype).reshape(kind.shape)
    except (OverflowError, ValueError) as fault:
        raise WireError(f"tensor '{name}' stores a number that is no {kind.dtype}") from fault
