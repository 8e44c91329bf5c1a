"""Of which runs of messages a model's bytes are made: candidates of a search that are named by their place have most.

Rules:
1. Only models are looked at that `nnmeter.formats.messages` can take apart.
2. A *run* is a number of operators, or of initializers, that stand one behind the other; it is known by its bytes,
   names included. Of runs that begin with the same message, the longest that fits counts.
3. The *frame* is what is left without operators, initializers, declared types and the graph's name, byte by byte.
"""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

from nnmeter.formats.messages import DECLARED, INPUT, NAME, NODE, OUTPUT, TENSOR, around, message
from nnmeter.formats.wire import WireError

_MOST_ALIKE = 64  # runs that begin with the same message

Operators = TypeVar("Operators")
Constants = TypeVar("Constants")
Value = TypeVar("Value")


class Runs(Generic[Value]):
    """What runs are known as."""

    def __init__(self) -> None:
        self._by_first: dict[bytes, list[tuple[bytes, Value]]] = {}
        self.bytes = 0

    def find(self, data: bytes, at: int, stop: int) -> tuple[int, Value] | None:
        """The length of the run that begins with the message between two places, and what it is known as (rule 2)."""
        for raw, found in self._by_first.get(data[at:stop], ()):
            if data.startswith(raw, at):
                return len(raw), found
        return None

    def add(self, raw: bytes, first: bytes, found: Value) -> Value:
        """Note a run and its first message; what it is known as, where it is known already."""
        alike = self._by_first.setdefault(first, [])
        for known, before in alike:
            if known == raw:
                return before
        if len(alike) >= _MOST_ALIKE:
            alike.clear()
        self.bytes += len(raw)
        alike.append((raw, found))
        alike.sort(key=lambda item: -len(item[0]))
        return found


class Cut(NamedTuple, Generic[Operators, Constants]):
    """A model as runs that are known.

    Attributes:
        name: of the graph.
        frame: of the model (rule 3).
        operators, constants: what its runs of operators and of initializers are known as, in order.
        declared: the declared types, each as it is written.
    """

    name: str
    frame: tuple[bytes, ...]
    operators: list[Operators]
    constants: list[Constants]
    declared: list[bytes]


class Places(NamedTuple):
    """Where the messages of a graph begin and end.

    Attributes:
        frame: of the model (rule 3).
        operators, initializers, declared: their messages, in order.
    """

    frame: tuple[bytes, ...]
    operators: list[tuple[int, int]]
    initializers: list[tuple[int, int]]
    declared: list[tuple[int, int]]


def cut(data: bytes, operators: Runs[Operators], constants: Runs[Constants]) -> Cut[Operators, Constants] | None:
    """The model as runs that are known; None where one is not, or rule 1 is broken.

    Args:
        data: the model's bytes.
        operators: the known runs of operators.
        constants: those of initializers.
    """
    try:
        raw, at, end = around(data)
        name, frame = "", [raw]
        declared: list[bytes] = []
        found: Cut[Operators, Constants] = Cut("", (), [], [], declared)
        while at < end:
            key, body, stop = message(data, at, end)
            if key == NODE:
                run = operators.find(data, at, stop)
                if run is None:
                    return None
                found.operators.append(run[1])
                stop = at + run[0]
            elif key == TENSOR:
                initializers = constants.find(data, at, stop)
                if initializers is None:
                    return None
                found.constants.append(initializers[1])
                stop = at + initializers[0]
            elif key == DECLARED:
                declared.append(data[at:stop])
            elif key == NAME:
                name = data[body:stop].decode()
            elif key in (INPUT, OUTPUT):
                frame.append(data[at:stop])
            at = stop
    except (WireError, IndexError, UnicodeDecodeError):
        return None
    return found._replace(name=name, frame=tuple(frame)) if at == end else None


def begins_with(data: bytes, operators: Runs[Operators]) -> bool:
    """Whether the first operators of a model, which `cut` can take apart, are a run that is known."""
    _, at, end = around(data)
    while at < end:
        key, _, stop = message(data, at, end)
        if key == NODE:
            return operators.find(data, at, stop) is not None
        at = stop
    return False


def places(data: bytes) -> Places:
    """Where the messages of a graph stand.

    Raises:
        WireError: rule 1 is broken.
    """
    raw, at, end = around(data)
    frame = [raw]
    found: dict[int, list[tuple[int, int]]] = {NODE: [], TENSOR: [], DECLARED: []}
    while at < end:
        key, _, stop = message(data, at, end)
        if key in found:
            found[key].append((at, stop))
        elif key in (INPUT, OUTPUT):
            frame.append(data[at:stop])
        at = stop
    return Places(tuple(frame), found[NODE], found[TENSOR], found[DECLARED])
