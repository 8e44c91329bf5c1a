"""The protobuf wire format, read in place.

Rules (https://protobuf.dev/programming-guides/encoding):
1. A message is a run of fields; a field is a key (`number << 3 | wire type`) and a payload.
2. Wire type 0 is a varint, 1 eight bytes, 2 a length and that many bytes, 5 four bytes; 3 and 4 (groups) are obsolete.
3. A payload that is not wanted is passed over by its length; its bytes are not touched.
4. Whatever would reach over the end of its message is a `WireError`.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator

Buffer = bytes | mmap.mmap

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5

_LONGEST_VARINT = 10
_CONTINUED = bytes(range(128, 256))  # every byte of a varint but its last
_SIGN = 1 << 63
_WRAP = 1 << 64


class WireError(Exception):
    """Bytes that are no protobuf message, or only the first part of one."""


class LimitError(WireError):
    """A file that may be right, and is larger than what is read (`nnmeter.limits`)."""


def varint(buffer: Buffer, at: int) -> tuple[int, int]:
    """The unsigned varint at a position, and the position behind it."""
    value = shift = 0
    for position in range(at, at + _LONGEST_VARINT):
        byte = buffer[position]
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position + 1
        shift += 7
    raise WireError("a varint has more than ten bytes")


def signed(value: int) -> int:
    """An int64 from its unsigned varint."""
    value &= _WRAP - 1
    return value - _WRAP if value >= _SIGN else value


def fields(buffer: Buffer, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """The fields of a message.

    Yields:
        Number, wire type, start and stop. The payload is `buffer[start:stop]`, but for a varint start is its value;
        stop is the position behind the field.
    """
    while at < end:
        key = buffer[at]
        at += 1
        if key > 127:
            key, at = varint(buffer, at - 1)
        kind = key & 7
        if kind == LENGTH:
            size = buffer[at]
            at += 1
            if size > 127:
                size, at = varint(buffer, at - 1)
            stop = at + size
            if stop > end:
                raise WireError("a field reaches over the end of its message")
            yield key >> 3, kind, at, stop
            at = stop
        elif kind == VARINT:
            value = buffer[at]
            at += 1
            if value > 127:
                value, at = varint(buffer, at - 1)
            yield key >> 3, kind, value, at
        else:
            stop = at + _fixed_size(kind)
            if stop > end:
                raise WireError("a field reaches over the end of its message")
            yield key >> 3, kind, at, stop
            at = stop
        if key < 8:
            raise WireError("a field has the number 0")
    if at != end:
        raise WireError("a field reaches over the end of its message")


def skip(buffer: Buffer, at: int, end: int) -> int:
    """The position behind the field at a position."""
    for _, _, _, stop in fields(buffer, at, end):
        return stop
    raise WireError("a message ends early")


def text(buffer: Buffer, start: int, stop: int) -> str:
    """A string payload."""
    try:
        return buffer[start:stop].decode()
    except UnicodeDecodeError as fault:
        raise WireError("a name is not UTF-8 text") from fault


def integers(buffer: Buffer, kind: int, start: int, stop: int) -> list[int]:
    """A repeated int64 field's payload, packed or a single one (rule 2)."""
    if kind == VARINT:
        return [signed(start)]
    if kind != LENGTH:
        raise WireError("an integer field has a wrong wire type")
    values = []
    while start < stop:
        value, start = varint(buffer, start)
        values.append(signed(value))
    if start != stop:
        raise WireError("an integer reaches over the end of its field")
    return values


def count_integers(buffer: Buffer, kind: int, start: int, stop: int) -> int:
    """How many integers `integers` would return, found without making them."""
    return 1 if kind == VARINT else len(buffer[start:stop].translate(None, _CONTINUED))


def floats(buffer: Buffer, kind: int, start: int, stop: int) -> tuple[float, ...]:
    """A repeated float field's payload, packed or a single one."""
    if kind not in (LENGTH, FIXED32) or (stop - start) % 4:
        raise WireError("a float field has a wrong size")
    return struct.unpack(f"<{(stop - start) // 4}f", buffer[start:stop])


def _fixed_size(kind: int) -> int:
    if kind == FIXED64:
        return 8
    if kind == FIXED32:
        return 4
    raise WireError(f"a field has the wire type {kind}")
