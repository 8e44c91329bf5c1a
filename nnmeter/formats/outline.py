"""Of which runs of messages a model's bytes are made, without reading them: what candidates of a search have in common.

Rules:
1. Only small models are looked at that have one graph and no functions, and in the graph nothing but operators,
   initializers, inputs, outputs, declared types, a name, and what readers pass over.
2. The *frame* is what is left without operators, initializers, declared types and the graph's name, byte by byte.
3. A *run* is a number of operators, or of initializers, that stand one behind the other; it is known by its bytes. Of
   runs that begin with the same message, the longest that fits counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Generic, NamedTuple, TypeVar

from nnmeter.formats.wire import LENGTH, WireError, fields, varint

NODE, TENSOR, DECLARED = 0x0A, 0x2A, 0x6A  # keys of GraphProto: its operators, initializers, declared types
LARGEST = 256 << 10  # bytes of a model that is looked at

_NAME = 0x12
_INTERFACE = frozenset({0x5A, 0x62})  # inputs and outputs
_PASSED_OVER = frozenset({0x52, 0x72})  # documentation, annotations of quantizers
_METADATA = 0x82  # and then 0x01; passed over as well
_GRAPH, _FUNCTION = 7, 25  # fields of ModelProto
_MOST_ALIKE = 64  # runs that begin with the same message

Value = TypeVar("Value")


class Around(NamedTuple):
    """What is around a graph in a model: its bytes, and where the graph begins and ends."""

    raw: bytes
    start: int
    end: int


class Outline(NamedTuple):
    """A model as runs.

    Attributes:
        frame: of the model (rule 2).
        name: of the graph, as it is written.
        nodes, tensors: what its runs of operators and of initializers are known as, in order.
        declared: the declared types, each as it is written.
    """

    frame: tuple[bytes, bytes]
    name: bytes
    nodes: list[Any]
    tensors: list[Any]
    declared: list[bytes]


class Runs(Generic[Value]):
    """What runs are known as."""

    def __init__(self) -> None:
        self._by_first: dict[bytes, list[tuple[bytes, Value]]] = {}
        self.bytes = 0

    def __contains__(self, raw_and_first: tuple[bytes, bytes]) -> bool:
        raw, first = raw_and_first
        return any(raw == known for known, _ in self._by_first.get(first, ()))

    def find(self, data: bytes, at: int, stop: int) -> tuple[int, Value] | None:
        """The length of the run that begins with the message between two places, and what it is known as (rule 3)."""
        for raw, value in self._by_first.get(data[at:stop], ()):
            if data.startswith(raw, at):
                return len(raw), value
        return None

    def add(self, raw: bytes, first: bytes, value: Value) -> Value:
        """Note a run and its first message; what it is known as, where it is known already."""
        alike = self._by_first.setdefault(first, [])
        for known, found in alike:
            if known == raw:
                return found
        if len(alike) >= _MOST_ALIKE:
            alike.clear()
        self.bytes += len(raw)
        alike.append((raw, value))
        alike.sort(key=lambda item: -len(item[0]))
        return value


def around(data: bytes) -> Around | None:
    """What is around the graph; None where rule 1 is broken."""
    start = end = before = 0
    rest = []
    try:
        for number, kind, first, stop in fields(data, 0, len(data)):
            if number == _GRAPH and kind == LENGTH:
                if end:
                    return None
                start, end = first, stop
            elif number == _FUNCTION:
                return None
            else:
                rest.append(data[before:stop])
            before = stop
    except (WireError, IndexError):
        return None
    return Around(b"".join(rest), start, end)


def messages(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """The messages of a graph: key, where the key stands, where the message begins and where it ends.

    Raises:
        WireError: it is damaged, or rule 1 is broken.
    """
    at = start
    while at < end:
        key, body = data[at], at + 1
        if key == _METADATA and data[body] == 1:
            body += 1
        elif key & 0x87 != LENGTH:
            raise WireError("there is more in the graph than its messages")
        size, body = varint(data, body)
        if body + size > end:
            raise WireError("a field reaches over the end of its message")
        yield key, at, body, body + size
        at = body + size


def outline(data: bytes, whole: Around, nodes: Runs[Any], tensors: Runs[Any]) -> Outline | None:
    """The model as runs that are known; None where one is not, or rule 1 is broken.

    Args:
        data: the model's bytes.
        whole: what is around its graph.
        nodes: the known runs of operators.
        tensors: those of initializers.
    """
    at, end = whole.start, whole.end
    name = b""
    interface, declared = [], []
    found_nodes: list[Any] = []
    found_tensors: list[Any] = []
    try:
        while at < end:
            key, size, body = data[at], data[at + 1], at + 2
            if size > 127 or key == _METADATA:
                key, _, body, stop = next(messages(data, at, end))
            else:
                stop = body + size
            if key in (NODE, TENSOR):
                runs, found = (nodes, found_nodes) if key == NODE else (tensors, found_tensors)
                run = runs.find(data, at, stop)
                if run is None:
                    return None
                found.append(run[1])
                stop = at + run[0]
            elif key == DECLARED:
                declared.append(data[body:stop])
            elif key == _NAME:
                name = data[body:stop]
            elif key in _INTERFACE:
                interface.append(data[at:stop])
            elif key != _METADATA and key not in _PASSED_OVER:
                return None
            at = stop
    except (WireError, IndexError):
        return None
    if at != end:
        return None
    return Outline((whole.raw, b"".join(interface)), name, found_nodes, found_tensors, declared)


def interface(data: bytes, whole: Around) -> bytes:
    """Inputs and outputs of a graph, as they are written."""
    return b"".join(data[at:stop] for key, at, _, stop in messages(data, whole.start, whole.end) if key in _INTERFACE)
