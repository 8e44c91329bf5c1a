"""The FlatBuffers format, read in place and checked: what a table says, wherever it points.

Rules (https://flatbuffers.dev/internals):

1. A buffer begins with the place of its root table. A table begins with the distance back to its vtable; a vtable is
   its own size, the size of the table, and for each field the place in the table, 0 for a field that is absent.
2. Strings, vectors and tables in a field stand elsewhere: the field is the distance to them, forward. A vector begins
   with its length.
3. Numbers are little-endian. An absent field has its default.
4. Whatever would reach outside of the buffer is a `WireError`. Nothing is read but what is asked for: the elements of a
   vector of bytes are passed over by its length.
"""

from __future__ import annotations

import struct

from nnmeter.formats.wire import Buffer, WireError

_SIZES = {"b": 1, "B": 1, "h": 2, "H": 2, "i": 4, "I": 4, "q": 8, "Q": 8, "f": 4, "d": 8}
_NUMBERS = {code: struct.Struct(f"<{code}") for code in _SIZES}
_OFFSET = _NUMBERS["I"]
_SMALLEST_VTABLE = 4


class Table:
    """One table of a buffer.

    Args:
        buffer: all bytes.
        at: where the table begins.
    """

    __slots__ = ("_at", "_buffer", "_fields", "_vtable")

    def __init__(self, buffer: Buffer, at: int) -> None:
        self._buffer = buffer
        self._at = at
        self._vtable = at - _number(buffer, at, "i")
        size = _number(buffer, self._vtable, "H")
        if size < _SMALLEST_VTABLE or size % 2:
            raise WireError("a table has no proper list of fields")
        self._fields = (size - _SMALLEST_VTABLE) // 2

    def number(self, field: int, code: str, default: float = 0) -> int:
        """A number in a field; `code` is that of `struct`."""
        place = self._place(field)
        return default if place is None else _number(self._buffer, place, code)  # type: ignore[return-value]

    def real(self, field: int, default: float = 0.0) -> float:
        """A float32 in a field."""
        place = self._place(field)
        return default if place is None else float(_number(self._buffer, place, "f"))

    def table(self, field: int) -> Table | None:
        """The table that a field leads to."""
        place = self._place(field)
        return None if place is None else Table(self._buffer, _follow(self._buffer, place))

    def length(self, field: int) -> int:
        """The length of a vector; 0 where there is none."""
        return self._vector(field, 1)[1]

    def numbers(self, field: int, code: str, most: int) -> tuple[int, ...]:
        """The numbers of a vector, `most` of them at most."""
        start, count = self._vector(field, _SIZES[code])
        if count > most:
            raise WireError(f"a list has {count} elements, more than {most}")
        if not count:
            return ()
        return struct.unpack(f"<{count}{code}", self._buffer[start : start + count * _SIZES[code]])

    def tables(self, field: int, most: int) -> list[Table]:
        """The tables of a vector, `most` of them at most."""
        start, count = self._vector(field, 4)
        if count > most:
            raise WireError(f"a list has {count} elements, more than {most}")
        buffer = self._buffer
        return [Table(buffer, _follow(buffer, start + 4 * index)) for index in range(count)]

    def text(self, field: int, most: int) -> str:
        """The text in a field; what is no UTF-8 is replaced."""
        start, count = self._vector(field, 1)
        if count > most:
            raise WireError(f"a name has {count} bytes, more than {most}")
        return self._buffer[start : start + count].decode("utf-8", "replace")

    def texts(self, field: int, most: int, longest: int) -> list[str]:
        """The texts of a vector of them, `most` at most, none of them longer than `longest` bytes."""
        start, count = self._vector(field, 4)
        if count > most:
            raise WireError(f"a list has {count} elements, more than {most}")
        buffer, found = self._buffer, []
        for index in range(count):
            place = _follow(buffer, start + 4 * index)
            size = int(_number(buffer, place, "I"))
            if size > longest or place + 4 + size > len(buffer):
                raise WireError(f"a name has {size} bytes, more than {longest} or than there are")
            found.append(bytes(buffer[place + 4 : place + 4 + size]).decode("utf-8", "replace"))
        return found

    def span(self, field: int) -> tuple[int, int]:
        """Where the bytes of a vector of bytes begin, and how many there are; they are not read."""
        return self._vector(field, 1)

    def _place(self, field: int) -> int | None:
        if field >= self._fields:
            return None
        offset = _number(self._buffer, self._vtable + _SMALLEST_VTABLE + 2 * field, "H")
        return self._at + int(offset) if offset else None

    def _vector(self, field: int, size: int) -> tuple[int, int]:
        place = self._place(field)
        if place is None:
            return 0, 0
        start = _follow(self._buffer, place)
        count = int(_number(self._buffer, start, "I"))
        start += 4
        if start + count * size > len(self._buffer):
            raise WireError("a list reaches over the end of the file")
        return start, count


def root(buffer: Buffer) -> Table:
    """The root table of a buffer (rule 1)."""
    return Table(buffer, int(_number(buffer, 0, "I")))


def _follow(buffer: Buffer, place: int) -> int:
    return place + int(_number(buffer, place, "I"))


def _number(buffer: Buffer, place: int, code: str) -> int:
    if place < 0 or place + _SIZES[code] > len(buffer):
        raise WireError("something lies outside of the file")
    (value,) = _NUMBERS[code].unpack_from(buffer, place)
    return value
