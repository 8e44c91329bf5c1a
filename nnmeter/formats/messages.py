"""The messages of a small model, found in its bytes without reading them.

Rules:
1. Only small models are looked at that have one graph and no functions, and in the graph nothing but operators,
   initializers, inputs, outputs, declared types, a name, and what readers pass over.
2. Names are those that stand there with their length in front, in one byte: 1 to `LONGEST_NAME` bytes.
3. The payload of a large initializer is no part of what it is known by, but for its length, nor is where external data
   lies: readers never look at either (`nnmeter.formats.tensors`, rules 1 to 3).
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, NamedTuple

from nnmeter.formats.wire import LENGTH, WireError, fields, varint
from nnmeter.graph.unbound import MAX_KNOWN_ELEMENTS

LARGEST = 4 << 20  # bytes of a model that is looked at
LONGEST_NAME = 72  # bytes: fusion rules shorten longer ones, with what they add (`WorkingGraph.fresh`)

NODE, TENSOR, DECLARED, NAME, INPUT, OUTPUT = 0x0A, 0x2A, 0x6A, 0x12, 0x5A, 0x62  # keys of GraphProto
_KEYS = frozenset({NODE, TENSOR, DECLARED, NAME, INPUT, OUTPUT, 0x52, 0x72})  # documentation and annotations, too
METADATA = 0x82  # and then 0x01; passed over as documentation is
_GRAPH, _FUNCTION = 7, 25  # fields of ModelProto


def sized(longest: int) -> bytes:
    """A pattern of a length in one byte, from 1 to a longest, and as many bytes; for `re.DOTALL`."""
    return b"(?:" + b"|".join(re.escape(bytes([size])) + b".{%d}" % size for size in range(1, longest + 1)) + b")"


_TENSOR_NAME, _RAW_DATA, _EXTERNAL_DATA = 8, b"\x4a", 0x6A
_LARGE_PAYLOAD = 16 * MAX_KNOWN_ELEMENTS  # bytes: a tensor with more of them keeps no value


class Around(NamedTuple):
    """What is around a graph in a model: its bytes, and where the graph begins and ends."""

    raw: bytes
    start: int
    end: int


def around(data: bytes) -> Around:
    """What is around the graph.

    Raises:
        WireError: rule 1 is broken.
    """
    start = end = before = 0
    rest = []
    for number, kind, first, stop in fields(data, 0, len(data)):
        if number == _GRAPH and kind == LENGTH:
            if end:
                raise WireError("there are two graphs")
            start, end = first, stop
        elif number == _FUNCTION:
            raise WireError("there are functions")
        else:
            rest.append(data[before:stop])
        before = stop
    return Around(b"".join(rest), start, end)


def message(data: bytes, at: int, end: int) -> tuple[int, int, int]:
    """The message of a graph at a place: its key, where it begins behind its length, and where it ends.

    Raises:
        WireError: it is damaged, or rule 1 is broken.
    """
    key, body = data[at], at + 1
    if key == METADATA and data[body] == 1:
        body += 1
    elif key not in _KEYS:
        raise WireError("there is more in the graph than its messages")
    size, body = varint(data, body)
    if body + size > end:
        raise WireError("a field reaches over the end of its message")
    return key, body, body + size


def value(data: bytes, at: int, end: int) -> tuple[bytes, bytes]:
    """The name of a ValueInfoProto as it is written, and what is behind it.

    Raises:
        WireError: rule 2 is broken.
    """
    behind = at + 2 + data[at + 1]
    if data[at] != 0x0A or behind > end or not 0 < data[at + 1] <= LONGEST_NAME:
        raise WireError("a name does not stand in front of its type")
    return data[at + 1 : behind], data[behind:end]


def initializer(data: bytes, at: int, end: int) -> tuple[bytes, bytes, Any]:
    """What stands in front of the name of a TensorProto, the name as it is written, and all else (rule 3).

    Raises:
        WireError: it is damaged, or rule 2 is broken.
    """
    found = _initializer().match(data, at, end)
    if found is None:
        before = _place_of_name(data, at, end)
        behind = before + 1 + data[before]
        sizes, name = data[at : before - 1], data[before:behind]
        if not 1 < len(name) <= LONGEST_NAME + 1 or behind > end:
            raise WireError("the name of a tensor is long")
    else:
        sizes, name = found.groups()
        behind = found.end()
    if data[behind : behind + 1] == _RAW_DATA and behind < end:
        return sizes, name, _stored(data, sizes, behind, end)
    # The name left out, the message is another one of the same meaning: the order of its fields does not count.
    return sizes, name, sizes + data[behind:end]


@cache
def _initializer() -> re.Pattern[bytes]:
    """TensorProto: sizes, the element type, a few values, name, and where external data lies."""
    sizes = rb"(?:\x08[\x80-\xff]*[\x00-\x7f])*(?:\x10[\x80-\xff]*[\x00-\x7f])?"
    pattern = rb"(%b(?:[\x22\x2a\x3a]%b)?)\x42(%b)(?:\x6a%b)*"
    return re.compile(pattern % (sizes, sized(127), sized(LONGEST_NAME), sized(127)), re.DOTALL)


def _stored(data: bytes, sizes: bytes, at: int, end: int) -> Any:
    """What a TensorProto is known by whose payload begins at a place."""
    size, first = varint(data, at + 1)
    if size <= _LARGE_PAYLOAD:
        return sizes + data[at:end]
    at = first + size
    while at < end and data[at] == _EXTERNAL_DATA:
        size, first = varint(data, at + 1)
        at = first + size
    if at > end:
        raise WireError("a field reaches over the end of its message")
    return TENSOR, sizes, size, data[at:end]


def _place_of_name(data: bytes, at: int, end: int) -> int:
    """Where the length of a tensor's name stands."""
    before = at
    for number, kind, _, stop in fields(data, at, end):
        if number == _TENSOR_NAME and kind == LENGTH:
            return before + 1
        before = stop
    raise WireError("a tensor has no name")
