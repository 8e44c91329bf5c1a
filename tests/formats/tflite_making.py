"""TensorFlow Lite files made byte by byte: the tables of the schema by the numbers of their fields."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

CODES = {"float32": 0, "float16": 1, "int32": 2, "uint8": 3, "int64": 4, "bool": 6, "int16": 7, "int8": 9}
SAME, VALID = 0, 1
RELU, RELU6 = 1, 3


@dataclass
class Scalar:
    """A number in a table; `code` is that of `struct`."""

    code: str
    value: float


@dataclass
class Numbers:
    """A vector of numbers."""

    code: str
    values: Sequence[float]


Fields = Mapping[int, Any]  # a Scalar, a Numbers, bytes, str, another table, or a list of tables


def flatbuffer(fields: Fields, identifier: bytes = b"TFL3") -> bytes:
    """The bytes of a root table; what it leads to stands behind it."""
    out = bytearray(8)
    out[4:8] = identifier
    struct.pack_into("<I", out, 0, _table(out, fields))
    return bytes(out)


def _table(out: bytearray, fields: Fields) -> int:
    _align(out)
    count = max(fields, default=-1) + 1
    vtable, table = len(out), len(out) + (4 + 2 * count + 7) // 8 * 8
    out += bytes(table - vtable + 8 * (count + 1))
    struct.pack_into("<HH", out, vtable, 4 + 2 * count, 8 * (count + 1))
    struct.pack_into("<i", out, table, table - vtable)
    for number, value in fields.items():
        place = table + 8 * (number + 1)
        struct.pack_into("<H", out, vtable + 4 + 2 * number, place - table)
        if isinstance(value, Scalar):
            struct.pack_into(f"<{value.code}", out, place, value.value)
        else:
            struct.pack_into("<I", out, place, _away(out, value) - place)
    return table


def _away(out: bytearray, value: Any) -> int:
    if isinstance(value, Mapping):
        return _table(out, value)
    _align(out)
    at = len(out)
    if isinstance(value, str | bytes):
        data = value.encode() if isinstance(value, str) else value
        out += struct.pack("<I", len(data)) + data + b"\0"
    elif isinstance(value, Numbers):
        out += struct.pack(f"<I{len(value.values)}{value.code}", len(value.values), *value.values)
    else:
        out += struct.pack("<I", len(value)) + bytes(4 * len(value))
        for index, table in enumerate(value):
            place = at + 4 + 4 * index
            struct.pack_into("<I", out, place, _table(out, table) - place)
    return at


def _align(out: bytearray) -> None:
    out += bytes(-len(out) % 8)


@dataclass
class TfliteMaker:
    """A model under construction."""

    tensors: list[Fields] = field(default_factory=list)
    operators: list[Fields] = field(default_factory=list)
    codes: list[Fields] = field(default_factory=list)
    buffers: list[Fields] = field(default_factory=lambda: [{}])

    def tensor(
        self, name: str, shape: Sequence[int], dtype: str = "float32", data: np.ndarray | bytes | None = None,
        scales: int = 0, axis: int = 0,
    ) -> int:  # fmt: skip
        """Add a tensor, constant where it has data, quantized where it has scales; its number."""
        buffer = 0
        if data is not None:
            buffer = len(self.buffers)
            self.buffers.append({0: data if isinstance(data, bytes) else data.tobytes()})
        made: dict[int, Any] = {
            0: Numbers("i", shape), 1: Scalar("b", CODES[dtype]), 2: Scalar("I", buffer), 3: name,
        }  # fmt: skip
        if scales:
            made[4] = {2: Numbers("f", [0.1] * scales), 3: Numbers("q", [0] * scales), 6: Scalar("i", axis)}
        self.tensors.append(made)
        return len(self.tensors) - 1

    def weight(self, name: str, shape: Sequence[int], dtype: str = "float32", scales: int = 0, axis: int = 0) -> int:
        """Add a constant of zeros."""
        return self.tensor(name, shape, dtype, np.zeros(shape, dtype), scales, axis)

    def integers(self, name: str, values: Sequence[int]) -> int:
        """Add a constant of whole numbers."""
        return self.tensor(name, [len(values)], "int32", np.array(values, np.int32))

    def add(self, code: int, inputs: Sequence[int], outputs: Sequence[int], options: Fields | None = None,
            custom: str = "") -> None:  # fmt: skip
        """Add an operator."""
        kind: dict[int, Any] = {0: Scalar("b", min(code, 127)), 3: Scalar("i", code)}
        if custom:
            kind[1] = custom
        self.codes.append(kind)
        made: dict[int, Any] = {
            0: Scalar("I", len(self.codes) - 1), 1: Numbers("i", inputs), 2: Numbers("i", outputs),
        }  # fmt: skip
        if options is not None:
            made[4] = options
        self.operators.append(made)

    def file(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        """The bytes of the file."""
        graph = {0: self.tensors, 1: Numbers("i", inputs), 2: Numbers("i", outputs), 3: self.operators, 4: "main"}
        return flatbuffer({0: Scalar("I", 3), 1: self.codes, 2: [graph], 3: "made for tests", 4: self.buffers})


def convolution(stride: int = 1, activation: int = 0, padding: int = SAME) -> Fields:
    return {0: Scalar("b", padding), 1: Scalar("i", stride), 2: Scalar("i", stride), 3: Scalar("b", activation)}


def depthwise(stride: int = 1, activation: int = 0, padding: int = SAME) -> Fields:
    made = dict(convolution(stride, 0, padding))
    return {**made, 3: Scalar("i", 1), 4: Scalar("b", activation)}


def pool(size: int, stride: int, padding: int = VALID) -> Fields:
    return {0: Scalar("b", padding), 1: Scalar("i", stride), 2: Scalar("i", stride), 3: Scalar("i", size),
            4: Scalar("i", size)}  # fmt: skip


def small_network(dtype: str = "float32") -> bytes:
    """Convolution, depthwise convolution, sum, mean, product and Softmax; all quantized where dtype is int8."""
    make, q = TfliteMaker(), int(dtype != "float32")
    bias = "int32" if q else "float32"

    def data(name: str, *shape: int) -> int:
        return make.tensor(name, shape, dtype, scales=q)

    x = data("image", 1, 32, 32, 3)
    conv = data("net/stem/Relu6;net/stem/conv", 1, 16, 16, 16)
    weights = [make.weight("w0", (16, 3, 3, 3), dtype, 16 * q), make.weight("b0", (16,), bias)]
    make.add(3, [x, *weights], [conv], convolution(2, RELU6))
    deep = data("net/block/depthwise", 1, 16, 16, 16)
    weights = [make.weight("w1", (1, 3, 3, 16), dtype, 16 * q, 3), make.weight("b1", (16,), bias)]
    make.add(4, [conv, *weights], [deep], depthwise(1, RELU))
    total = data("net/block/add", 1, 16, 16, 16)
    make.add(0, [conv, deep], [total], {0: Scalar("b", 0)})
    mean = data("net/mean", 1, 16)
    make.add(40, [total, make.integers("axes", [1, 2])], [mean], {0: Scalar("b", 0)})
    product = data("net/head/dense", 1, 10)
    weights = [make.weight("w2", (10, 16), dtype, q), make.weight("b2", (10,), bias)]
    make.add(9, [mean, *weights], [product], {0: Scalar("b", 0)})
    out = data("scores", 1, 10)
    make.add(25, [product], [out], {0: Scalar("f", 1.0)})
    return make.file([x], [out])
