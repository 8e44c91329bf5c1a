"""ONNX files byte by byte, as no library writes them: what the kinds of `hostile_kinds.py` are made of."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

FLOAT, INT64, BOOL = 1, 7, 9


def varint(value: int) -> bytes:
    """A protobuf varint."""
    data = bytearray()
    while value > 127:
        data.append(value & 127 | 128)
        value >>= 7
    return bytes([*data, value])


def part(number: int, payload: bytes | str | int) -> bytes:
    """A field of a message: bytes and texts with their length, integers as varints."""
    if isinstance(payload, int):
        return varint(number << 3) + varint(payload & (1 << 64) - 1)
    data = payload.encode() if isinstance(payload, str) else payload
    return varint(number << 3 | 2) + varint(len(data)) + data


def node(
    op: str, reads: Iterable[str], writes: Iterable[str], name: str = "", domain: str = "", **given: object
) -> bytes:
    """A NodeProto in field 1 of a GraphProto; attributes are whole numbers, lists of them, or graphs as bytes."""
    body = b"".join(part(1, n) for n in reads) + b"".join(part(2, n) for n in writes)
    body += (part(3, name) if name else b"") + part(4, op) + (part(7, domain) if domain else b"")
    return part(1, body + b"".join(part(5, attribute(key, value)) for key, value in given.items()))


def attribute(key: str, value: object) -> bytes:
    if isinstance(value, bytes):
        return part(1, key) + part(6, value) + part(20, 5)
    if isinstance(value, int):
        return part(1, key) + part(3, value) + part(20, 2)
    return part(1, key) + part(8, b"".join(map(varint, value))) + part(20, 7)  # type: ignore[call-overload]


def declared(name: str, dtype: int = FLOAT, shape: Iterable[int] | None = ()) -> bytes:
    """A ValueInfoProto."""
    dims = b"" if shape is None else part(2, b"".join(part(1, part(1, size)) for size in shape))
    return part(1, name) + part(2, part(1, part(1, dtype) + dims))


def free(name: str, dimension: str) -> bytes:
    """A ValueInfoProto of one free dimension."""
    return part(1, name) + part(2, part(1, part(1, FLOAT) + part(2, part(1, part(2, dimension)))))


def tensor(name: str, dims: Iterable[int], values: Iterable[int]) -> bytes:
    """A TensorProto of int64 in field 5 of a GraphProto."""
    raw = b"".join(value.to_bytes(8, "little", signed=True) for value in values)
    return part(5, b"".join(part(1, size) for size in dims) + part(2, INT64) + part(8, name) + part(9, raw))


def model(
    *graph: bytes, inputs: Iterable[bytes] = (), outputs: Iterable[str] = ("y",), functions: bytes = b""
) -> bytes:
    """A ModelProto of operator set 21."""
    whole = b"".join(graph) + b"".join(part(11, i) for i in inputs) + b"".join(part(12, part(1, o)) for o in outputs)
    return part(1, 10) + part(8, part(2, 21)) + part(8, part(1, "own") + part(2, 1)) + part(7, whole) + functions


X = declared("x", FLOAT, (1, 8, 8, 8))
# What the body of a Loop reads and returns.
ENDS = part(11, declared("i", INT64)) + part(11, declared("k", BOOL)) + part(12, part(1, "k")) + part(12, part(1, "y"))


def chain(count: int, op: str, domain: str = "", first: str = "x", extra: Iterable[str] = (), **given: object) -> bytes:
    """Operators one behind another, the last of which writes `y`."""
    names = [first, *(f"{i:x}" for i in range(count - 1)), "y"]
    return b"".join(node(op, [a, *extra], [b], "", domain, **given) for a, b in pairwise(names))
