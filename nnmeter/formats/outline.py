"""What a model's bytes are made of but for its names, without reading them: what candidates of a search have in common.

Rules:
1. Only small models are looked at that have one graph and no functions, one input, and in the graph nothing but
   operators, initializers, inputs, outputs, declared types, a name, and what readers pass over.
2. An operator is known by its *code*: what is written of it behind its names (its type, attributes, module), how many
   results it has, which of them are declared and as what, and what it reads: results by how many operators before they
   were computed, initializers by what is written of them but their names.
3. The payload of a large initializer is no part of what it is known by, but for its length, nor is where external data
   lies: readers never look at either (`nnmeter.formats.tensors`, rules 1 to 3).
4. What would have readers or fusion rules make up other names is left to them: operators without names, names that are
   long or hold the marks that made-up names have, and a name that is there twice.
5. An outline says nothing of what the bytes that make a code mean. Who knows a code has read such bytes before.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from nnmeter.formats.wire import LENGTH, WireError, fields, varint
from nnmeter.graph.unbound import MAX_KNOWN_ELEMENTS

LARGEST = 4 << 20  # bytes of a model that is looked at

_NODE, _TENSOR, _DECLARED, _NAME, _INPUT, _OUTPUT = 0x0A, 0x2A, 0x6A, 0x12, 0x5A, 0x62  # keys of GraphProto
_PASSED_OVER = frozenset({0x52, 0x72})  # documentation, annotations of quantizers
_METADATA = 0x82  # and then 0x01; passed over as well
_GRAPH, _FUNCTION = 7, 25  # fields of ModelProto
_READ, _WRITTEN, _CALLED = 0x0A, 0x12, 0x1A  # keys of NodeProto: inputs, outputs, name
_CONSTANT = b'"\x08Constant'  # how what follows the names of an operator begins that is a constant

# TensorProto up to its name: sizes, the element type, and the key of the name. And keys of what may stand behind it.
_BEFORE_NAME = re.compile(rb"(?:\x08[\x80-\xff]*[\x00-\x7f])*(?:\x10[\x80-\xff]*[\x00-\x7f])?\x42")
_TENSOR_NAME, _RAW_DATA, _EXTERNAL_DATA = 8, 0x4A, 0x6A
_NOT_READ = frozenset({b"\x4a", b"\x6a"})
_LARGE_PAYLOAD = 16 * MAX_KNOWN_ELEMENTS  # bytes: a tensor with more of them keeps no value

_LONGEST_NAME = 72  # bytes (rule 4): fusion rules shorten longer ones, with what they add (`WorkingGraph.fresh`)
_MARK = b"~"  # in names that fusion rules make up
_MOST = 32  # inputs of an operator, and results
_STEP = 2 * _MOST  # how far operators are apart where results are told apart by number
_AGAIN = 1 << 40  # an initializer that was read before
_MOST_BYTES = 64 << 20  # of what codes are known by


class Outline(NamedTuple):
    """A model without its names, and its names.

    Attributes:
        name: of the graph.
        frame: what is left without operators, initializers, declared types and names: what is around the graph, the
            type of its input, and which results it returns and as what.
        codes: of the operators.
        entry: name of the input.
        called: names of the operators.
        read, written: names of what each operator reads and computes.
    """

    name: str
    frame: tuple[Any, ...]
    codes: list[int]
    entry: str
    called: list[str]
    read: list[list[bytes]]
    written: list[list[bytes]]


class Codes:
    """The codes of operators that were seen."""

    def __init__(self) -> None:
        self._numbers: dict[Any, int] = {}
        self.bytes = 0

    @property
    def full(self) -> bool:
        """Whether so much is remembered that it is time to forget."""
        return self.bytes > _MOST_BYTES

    def outline(self, data: bytes, grow: bool) -> Outline | None:
        """The outline of a model; None where rule 1 or 4 is broken, or a code is new and none is to be added."""
        if len(data) > LARGEST:
            return None
        try:
            return self._outline(data, _Messages(data), grow)
        except (WireError, IndexError, UnicodeDecodeError):
            return None

    def _number(self, key: Any, grow: bool) -> int:
        """The number of what is known by a key; 0 for what is new and not to be added."""
        number = self._numbers.get(key, 0)
        if not number and grow:
            number = self._numbers.setdefault(key, len(self._numbers) + 1)
            self.bytes += 100 + sum([len(part) if isinstance(part, bytes) else 8 for part in key])
        return number

    def _outline(self, data: bytes, messages: _Messages, grow: bool) -> Outline | None:
        numbers = self._numbers
        constants = {name: numbers.get(form) or self._number(form, grow) for name, form in messages.constants}
        if len(constants) != len(messages.constants) or len(messages.inputs) != 1 or 0 in constants.values():
            return None
        declared = messages.declared
        ((entry, entry_type),) = messages.inputs
        where = {entry: -_STEP}
        again: dict[bytes, int] = {}
        codes: list[int] = []
        called: list[bytes] = []
        read: list[list[bytes]] = []
        written: list[list[bytes]] = []
        if entry in constants:
            return None
        place = 0  # that of the operator's first result
        for at, end in messages.nodes:
            inputs: list[bytes] = []
            outputs: list[bytes] = []
            key: list[Any] = []
            while at < end and data[at] == _READ:
                stop = at + 2 + data[at + 1]
                name = data[at + 2 : stop]
                at = stop
                if name in where:
                    key.append(place - where[name])
                elif name in constants:
                    key.append(-constants.pop(name))
                    again[name] = place - len(inputs)
                elif not name:
                    key.append(0)
                elif name in again:
                    key.append(_AGAIN + place - again[name])
                else:
                    return None  # it is computed later, or by nothing
                inputs.append(name)
            while at < end and data[at] == _WRITTEN:
                stop = at + 2 + data[at + 1]
                name = data[at + 2 : stop]
                at = stop
                if not name:
                    key.append(-len(outputs) - _AGAIN)
                elif name in where or name in constants or name in again:
                    return None
                else:
                    where[name] = place - len(outputs)
                    if declared and name in declared:
                        key.append((len(outputs), declared.pop(name)))
                outputs.append(name)
            if at + 1 >= end or data[at] != _CALLED or len(inputs) > _MOST or not 0 < len(outputs) <= _MOST:
                return None
            stop = at + 2 + data[at + 1]
            called.append(data[at + 2 : stop])
            if stop > end:
                return None
            known = (data[stop:end], len(outputs), *key)
            code = numbers.get(known) or self._number(known, grow)
            if not code:
                return None
            codes.append(code)
            read.append(inputs)
            written.append(outputs)
            place += _STEP
        if constants or declared:
            return None  # initializers that are not read, types of what is not there
        returned = []
        for name, kind in messages.outputs:
            if where.get(name, -1) < 0:
                return None
            returned.append((place - where[name], kind))
        tensors = [*where, *again]
        names = _texts([*called, *messages.called_constants], tensors)
        if names is None:
            return None
        frame = (messages.around, entry_type, tuple(returned))
        return Outline(messages.name.decode(), frame, codes, entry.decode(), names[: len(codes)], read, written)


_Form = tuple[bytes] | tuple[bytes, int, bytes]


class _Messages:
    """The messages of a model, in the order in which they are written.

    Attributes:
        around: what is around the graph.
        name: of the graph.
        nodes: where each operator begins and ends.
        constants: name of each initializer and each constant, and what else it is known by.
        called_constants: names of the operators that are constants.
        inputs, outputs, declared: their names and types.

    Raises:
        WireError: rule 1 or 4 is broken.
    """

    def __init__(self, data: bytes) -> None:
        self.around, start, end = _around(data)
        self.name = b""
        self.nodes: list[tuple[int, int]] = []
        self.constants: list[tuple[bytes, _Form]] = []
        self.called_constants: list[bytes] = []
        self.inputs: list[tuple[bytes, bytes]] = []
        self.outputs: list[tuple[bytes, bytes]] = []
        self.declared: dict[bytes, bytes] = {}
        nodes, constants, begins = self.nodes, self.constants, _BEFORE_NAME.match
        at = start
        while at < end:
            key, size, body = data[at], data[at + 1], at + 2
            if size > 127 or key == _METADATA:
                if key == _METADATA and size != 1:
                    raise WireError("there is more in the graph than its messages")
                if key != _METADATA and data[body] < 128:  # nearly always: two bytes
                    size += (data[body] - 1) << 7
                    body += 1
                else:
                    size, body = varint(data, body if key == _METADATA else body - 1)
            at = body + size
            if at > end:
                raise WireError("a field reaches over the end of its message")
            if key == _NODE:
                if data[body] == _WRITTEN and data.find(_CONSTANT, body, at) > 0:
                    self._add_constant(data, body, at)
                else:
                    nodes.append((body, at))
            elif key == _TENSOR:
                found = begins(data, body, at)
                before = _place_of_name(data, body, at) if found is None else found.end()
                behind = before + 1 + data[before]
                rest = data[behind:at]
                known_by: _Form = (
                    _form(data, body, before, behind, at) if rest[:1] in _NOT_READ else (data[body:before], -1, rest)
                )
                constants.append((data[before + 1 : behind], known_by))
            elif key == _DECLARED:
                name, kind = _value(data, body, at)
                if self.declared.setdefault(name, kind) is not kind:
                    raise WireError("a type is declared twice")
            elif key == _INPUT:
                self.inputs.append(_value(data, body, at))
            elif key == _OUTPUT:
                self.outputs.append(_value(data, body, at))
            elif key == _NAME:
                self.name = data[body:at]
            elif key != _METADATA and key not in _PASSED_OVER:
                raise WireError("there is more in the graph than its messages")

    def _add_constant(self, data: bytes, at: int, end: int) -> None:
        """Add an operator that may be a constant: one without inputs."""
        start = at
        name, at = _name(data, at + 1)
        called = b""
        if at < end and data[at] == _CALLED:
            called, at = _name(data, at + 1)
        if not data.startswith(_CONSTANT, at):
            self.nodes.append((start, end))
            return
        self.constants.append((name, (data[at:end],)))
        if called:
            self.called_constants.append(called)


def _texts(names: list[bytes], tensors: list[bytes]) -> list[str] | None:
    """The names of operators as texts; None where names of operators or of tensors break rule 4."""
    everything = b"\0".join([*names, *tensors])
    if everything.count(b"\0") != len(names) + len(tensors) - 1 or _MARK in everything or b"\0\0" in everything:
        return None
    if max(map(len, names)) > _LONGEST_NAME or max(map(len, tensors)) > _LONGEST_NAME:
        return None
    found = everything.decode().split("\0", len(names))[: len(names)]
    return found if len(set(found)) == len(names) else None


def _around(data: bytes) -> tuple[bytes, int, int]:
    """What is around the graph, and where that begins and ends."""
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
    return b"".join(rest), start, end


def _name(data: bytes, at: int) -> tuple[bytes, int]:
    """The name whose length is at a place, and the place behind it (rule 4)."""
    size, first = data[at], at + 1
    if size > _LONGEST_NAME:
        raise WireError("a name is long")
    return data[first : first + size], first + size


def _value(data: bytes, at: int, end: int) -> tuple[bytes, bytes]:
    """The name of a ValueInfoProto, and what is behind it."""
    if data[at] != 0x0A:
        raise WireError("a name does not stand in front of its type")
    name, at = _name(data, at + 1)
    if at > end:
        raise WireError("a field reaches over the end of its message")
    return name, data[at:end]


def _form(data: bytes, at: int, before: int, behind: int, end: int) -> _Form:
    """What a TensorProto is known by (rule 3), given where the length of its name stands, and what follows the name."""
    payload = -1
    if behind < end and data[behind] == _RAW_DATA:
        size, first = varint(data, behind + 1)
        if size > _LARGE_PAYLOAD:
            payload, behind = size, first + size
    while behind < end and data[behind] == _EXTERNAL_DATA:
        size, first = varint(data, behind + 1)
        behind = first + size
    if behind > end:
        raise WireError("a field reaches over the end of its message")
    return data[at:before], payload, data[behind:end]


def _place_of_name(data: bytes, at: int, end: int) -> int:
    """Where the length of a tensor's name stands."""
    before = at
    for number, kind, _, stop in fields(data, at, end):
        if number == _TENSOR_NAME and kind == LENGTH:
            return before + 1
        before = stop
    raise WireError("a tensor has no name")
