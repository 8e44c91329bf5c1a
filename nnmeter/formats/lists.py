"""Long lists in attributes, counted or read with NumPy; a forest of trees has millions of elements.

A repeated field is stored packed, one field with all elements, or element by element, each behind a key of its own, as
ONNX's own writers do with integers, floats and texts. A *run* is what follows of one such field, element by element.

Rules:
1. A varint ends at its first byte below 128, and a key of one byte is one, so that both are found without a loop.
2. What is looked at at once is bounded (`_WINDOW`), whatever the length of the list; and it is little at first, for an
   attribute may be made of very many runs of one element.
3. A run ends where anything else begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from nnmeter.formats.wire import LENGTH, Buffer, WireError, count_integers, fields, floats, integers, signed

RUN = -1  # in place of a wire type: a whole run, keys included
LONG = 4096  # bytes from which on this is faster than a loop over fields

INTS, FLOATS, STRINGS = 8, 7, 9  # AttributeProto's repeated fields
_INTS_KEY, _FLOATS_KEY, _STRINGS_KEY = INTS << 3, FLOATS << 3 | 5, STRINGS << 3 | LENGTH
_FIRST_WINDOW, _WINDOW = 240, 240 << 12
_FEW, _SHORT = 32, 160  # elements, and bytes, of runs that a loop is faster on
_LONGEST_VARINT = 10
_FLOAT_BYTES = 5  # with the key

_Array = np.ndarray[Any, Any]


def fields_and_runs(buffer: Buffer, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """The fields of a long attribute as `fields` has them, but runs as one, of the kind `RUN`."""
    while at < end:
        behind = _BEHIND.get(buffer[at])
        if behind is not None:
            number, stop = buffer[at] >> 3, behind(buffer, at, end)
            if stop > at:
                yield number, RUN, at, stop
                at = stop
                continue
        for field in fields(buffer, at, end):
            yield field
            at = field[3]
            break


def count_list(number: int, buffer: Buffer, kind: int, start: int, stop: int) -> int:
    """How many elements a field or run of a repeated field has."""
    if number == FLOATS:
        return (stop - start) // (_FLOAT_BYTES if kind == RUN else _FLOAT_BYTES - 1)
    if number == STRINGS:
        return _count_texts(buffer, start, stop) if kind == RUN else 1
    if kind != RUN:
        return count_integers(buffer, kind, start, stop)
    if stop - start < _SHORT:
        return sum(1 for _ in fields(buffer, start, stop))
    return sum(len(ends) for _, _, ends in _windows(buffer, start, stop))


def read_integers(buffer: Buffer, kind: int, start: int, stop: int) -> list[int]:
    """The int64 elements of a field or run."""
    values: list[int] = []
    if kind == RUN and stop - start < _SHORT:
        return [signed(value) for _, _, value, _ in fields(buffer, start, stop)]
    if kind == RUN:
        for data, starts, ends in _windows(buffer, start, stop):
            values += _decoded(data, starts, ends)
        return values
    if kind != LENGTH or stop - start < LONG:
        return integers(buffer, kind, start, stop)
    while start < stop:
        data = np.frombuffer(buffer[start : min(start + _WINDOW, stop)], np.uint8)
        ends = np.flatnonzero(data < 128)
        if not len(ends):
            raise WireError("an integer reaches over the end of its field")
        values += _decoded(data, np.concatenate([[0], ends[:-1] + 1]), ends)
        start += int(ends[-1]) + 1
    return values


def read_floats(buffer: Buffer, kind: int, start: int, stop: int) -> tuple[float, ...]:
    """The float elements of a field or run."""
    if kind != RUN:
        return floats(buffer, kind, start, stop)
    if stop - start < _SHORT:
        return tuple(v for _, own, a, b in fields(buffer, start, stop) for v in floats(buffer, own, a, b))
    rows = np.frombuffer(buffer[start:stop], np.uint8).reshape(-1, _FLOAT_BYTES)
    return tuple(np.ascontiguousarray(rows[:, 1:]).view("<f4").ravel().tolist())


def read_texts(buffer: Buffer, kind: int, start: int, stop: int) -> list[str]:
    """The texts of a field or run."""
    places = [(start, stop)] if kind != RUN else [(a, b) for _, _, a, b in fields(buffer, start, stop)]
    return [buffer[a:b].decode("utf-8", "replace") for a, b in places]


def _windows(buffer: Buffer, at: int, end: int) -> Iterator[tuple[_Array, _Array, _Array]]:
    """A run of integers piece by piece: its bytes, and where in them the integers begin and end."""
    size = _FIRST_WINDOW
    while at < end:
        data = np.frombuffer(buffer[at : min(at + size, end)], np.uint8)
        size = min(4 * size, _WINDOW)
        low = np.flatnonzero(data < 128)
        pairs = len(low) // 2
        keys, ends = low[: 2 * pairs : 2], low[1 : 2 * pairs : 2]  # rule 1
        if not pairs:
            return
        wanted = np.concatenate([[0], ends[:-1] + 1])  # each key stands behind the end of the element before it
        strange = np.flatnonzero((keys != wanted) | (data[keys] != _INTS_KEY))
        whole = int(strange[0]) if len(strange) else pairs
        if not whole:
            return
        yield data, keys[:whole] + 1, ends[:whole]
        at += int(ends[whole - 1]) + 1


def _decoded(data: _Array, starts: _Array, ends: _Array) -> list[int]:
    lengths = ends - starts + 1
    longest = int(lengths.max())
    if longest > _LONGEST_VARINT:
        raise WireError("a varint has more than ten bytes")
    values = (data[starts] & 127).astype(np.uint64)
    for place in range(1, longest):
        longer = np.flatnonzero(lengths > place)
        values[longer] |= (data[starts[longer] + place] & 127).astype(np.uint64) << np.uint64(7 * place)
    return values.view(np.int64).tolist()


def _behind_integers(buffer: Buffer, at: int, end: int) -> int:
    for _ in range(_FEW):
        last = at + 1
        while last < end and buffer[last] > 127:
            last += 1
        if last >= end or buffer[at] != _INTS_KEY:
            return at
        at = last + 1
    for _, _, ends in _windows(buffer, at, end):
        at += int(ends[-1]) + 1
    return at


def _behind_floats(buffer: Buffer, at: int, end: int) -> int:
    for _ in range(_FEW):
        if at + _FLOAT_BYTES > end or buffer[at] != _FLOATS_KEY:
            return at
        at += _FLOAT_BYTES
    size = _FIRST_WINDOW  # a multiple of an element's
    while at + _FLOAT_BYTES <= end:
        data = np.frombuffer(buffer[at : min(at + size, end)], np.uint8)
        size = min(4 * size, _WINDOW)
        keys = data[: len(data) // _FLOAT_BYTES * _FLOAT_BYTES : _FLOAT_BYTES]
        others = np.flatnonzero(keys != _FLOATS_KEY)
        at += (int(others[0]) if len(others) else len(keys)) * _FLOAT_BYTES
        if len(others):
            break
    return at


def _count_texts(buffer: Buffer, at: int, end: int) -> int:
    count = 0
    while at < end:
        at += 2 + buffer[at + 1]
        count += 1
    return count


def _behind_texts(buffer: Buffer, at: int, end: int) -> int:
    """Behind short texts; a long one ends the run."""
    while at + 1 < end and buffer[at] == _STRINGS_KEY:
        size = buffer[at + 1]
        if size > 127 or at + 2 + size > end:
            break
        at += 2 + size
    return at


_BEHIND: dict[int, Callable[[Buffer, int, int], int]] = {
    _INTS_KEY: _behind_integers, _FLOATS_KEY: _behind_floats, _STRINGS_KEY: _behind_texts,
}  # fmt: skip
