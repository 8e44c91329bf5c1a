"""Outlines of models from their bytes, by codes that were seen before (`nnmeter.formats.outline` has the rules)."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from itertools import accumulate, repeat
from typing import Any

import numpy as np

from nnmeter.formats.messages import (
    DECLARED,
    INPUT,
    LARGEST,
    LONGEST_NAME,
    METADATA,
    NAME,
    NODE,
    OUTPUT,
    TENSOR,
    around,
    initializer,
    message,
    sized,
    value,
)
from nnmeter.formats.outline import Edges, Outline
from nnmeter.formats.wire import WireError

_READ, _WRITTEN, _CALLED = 0x0A, 0x12, 0x1A  # keys of NodeProto: inputs, outputs, name
_CONSTANT = b'"\x08Constant'  # how what follows the names of an operator begins that is a constant

_KEY_OF_NAME = b"\x42"  # in TensorProto
_SHORT = 256  # bytes of an initializer that may be remembered as it is written
_MARK = b"~"  # in names that fusion rules make up
_FORM = 1 << 32  # by which numbers tell what initializers are made of
_MOST_BYTES = 64 << 20  # of what codes are known by


class Codes:
    """The codes of operators that were seen.

    Attributes:
        bytes: how much is remembered, about.
        numbers: of what operators, initializers and types are known by.
        forms: what initializers are made of, by what stands in front of their names and behind.
    """

    def __init__(self) -> None:
        self.numbers: dict[Any, int] = {}
        self.bytes = 0
        self.forms: dict[tuple[bytes, bytes], int] = {}

    @property
    def full(self) -> bool:
        """Whether so much is remembered that it is time to forget."""
        return self.bytes > _MOST_BYTES

    def outline(self, data: bytes, grow: bool) -> Outline | None:
        """The outline of a model; None where rule 1 or 4 is broken, or a code is new and none is to be added."""
        if len(data) > LARGEST:
            return None
        try:
            return _Reading(data, self, grow).outline()
        except (WireError, IndexError, UnicodeDecodeError, KeyError):
            return None

    def known(self, key: Any) -> int:
        """The number of what is known by a key; KeyError for what is new."""
        return self.numbers[key]

    def number(self, key: Any) -> int:
        """The number of what is known by a key, a new one for what is new."""
        number = self.numbers.get(key)
        if number is None:
            number = self.numbers.setdefault(key, len(self.numbers) + 1)
            self.bytes += 100 + (len(key) if isinstance(key, bytes) else sum([_size(part) for part in key]))
        return number

    def note(self, sizes: bytes, behind: bytes, number: int) -> None:
        """Remember what an initializer is made of."""
        self.bytes += 200 + len(sizes) + len(behind)
        self.forms[sizes, behind] = number


def _size(part: Any) -> int:
    return len(part) if isinstance(part, bytes) else 8


class _Reading:
    """A model that is taken apart.

    Args:
        data: its bytes.
        codes_seen: that were seen before.
        grow: whether others are added to them.

    Raises:
        WireError: rule 1 or 4 is broken.
        KeyError: a code is new, and none is to be added.
    """

    def __init__(self, data: bytes, codes_seen: Codes, grow: bool) -> None:
        self.data = data
        self.codes_seen = codes_seen
        self.grow = grow
        self.number: Callable[[Any], int] = codes_seen.number if grow else codes_seen.known
        self.raw, self.start, self.end = around(data)
        self.name = b""
        self.codes: list[int] = []
        self.called: list[bytes] = []
        self.counts: list[int] = [1]  # of the tensors of each operator, behind the input
        self.tensors: list[bytes] = [b""]
        self.unusual: dict[int, Edges] = {}
        self.constants: dict[bytes, int] = {}  # what each is made of, by `_FORM`, and which it is
        self.called_constants: list[bytes] = []
        self.inputs: list[tuple[bytes, bytes]] = []
        self.outputs: list[tuple[bytes, bytes]] = []
        self.declared: dict[bytes, int] = {}

    def outline(self) -> Outline:
        """The outline."""
        self._take_apart()
        if len(self.inputs) != 1:
            raise WireError("there are several inputs")
        ((entry, entry_type),) = self.inputs
        tensors, count = self.tensors, len(self.tensors)
        tensors[0] = entry
        starts = list(accumulate(self.counts))
        place = dict(self.constants)  # where each tensor is named first, but for initializers
        numbers = np.fromiter(map(place.setdefault, tensors, range(count)), np.int64, count)
        computed = self._computed(starts)
        if (numbers[computed] != computed).any() or numbers[0] or len(place) != len(computed) + len(self.constants) + 1:
            raise WireError("a tensor is computed nowhere, twice, or after it is read")
        self._check_names(place)
        types = None
        if self.declared:
            if not self.declared.keys() <= {tensors[at] for at in computed}:
                raise WireError("there is a type of what is not computed")
            types = np.fromiter(map(self.declared.get, tensors, repeat(0)), np.int64, count)
        self._number_constants(numbers)
        frame = (self.raw, entry_type, self._returned(place, count))
        return Outline(
            self.name.decode(), frame, self.codes, numbers, types, starts, tensors, self.unusual, self.called,
            entry, list(self.constants),
        )  # fmt: skip

    def _computed(self, starts: list[int]) -> np.ndarray:
        """Which of the tensors are computed there where they stand."""
        last = np.array(starts[1:]) - 1
        several = {at: sum(map(bool, outputs)) for at, (_, outputs) in self.unusual.items()}
        if all(number == 1 for number in several.values()):
            return last
        return np.array(
            [place for at, end in enumerate(last.tolist()) for place in range(end - several.get(at, 1) + 1, end + 1)]
        )

    def _number_constants(self, numbers: np.ndarray) -> None:
        """Number initializers by what they are made of and by where each is named first.

        Raises:
            WireError: one is not read.
        """
        (at,) = np.nonzero(numbers >= _FORM)
        own = numbers[at] % _FORM
        first = np.full(len(self.constants), -1)
        first[own[::-1]] = at[::-1]  # what is written last stays
        if (first < 0).any():
            raise WireError("an initializer is not read")
        numbers[at] += first[own] - own

    def _take_apart(self) -> None:
        data, end, number = self.data, self.end, self.number
        codes, called, counts, tensors, constants = self.codes, self.called, self.counts, self.tensors, self.constants
        usual, known, at = _usual().match, self.codes_seen.numbers, self.start
        while at < end:
            key, size, body = data[at], data[at + 1], at + 2
            if size > 127 or key == METADATA:
                key, body, at = message(data, at, end)
            else:
                at = body + size
                if at > end:
                    raise WireError("a field reaches over the end of its message")
            if key == NODE:
                found = usual(data, body, at)
                if found is None:
                    self._add_unusual(body, at)
                    continue
                first, second, third, fourth, fifth, result, name, rest = found.groups()
                if second is None:
                    edges: tuple[bytes, ...] = (first, result)
                elif third is None:
                    edges = (first, second, result)
                elif fourth is None:
                    edges = (first, second, third, result)
                else:
                    edges = (first, second, third, fourth, *([] if fifth is None else [fifth]), result)
                tensors += edges
                called.append(name)
                counts.append(len(edges))
                code = (rest, len(edges))
                codes.append(known.get(code) or number(code))
            elif key == TENSOR:
                name, form = self._initializer(body, at)
                if name in constants:
                    raise WireError("an initializer is there twice")
                constants[name] = form * _FORM + len(constants)
            elif key == DECLARED:
                name, kind = value(data, body, at)
                if name in self.declared:
                    raise WireError("a type is declared twice")
                self.declared[name] = number((DECLARED, kind))
            elif key == INPUT:
                self.inputs.append(value(data, body, at))
            elif key == OUTPUT:
                self.outputs.append(value(data, body, at))
            elif key == NAME:
                self.name = data[body:at]
            else:
                message(data, body - 2, end)  # one that is passed over, or a WireError

    def _initializer(self, at: int, end: int) -> tuple[bytes, int]:
        """The name of an initializer, and the number of what it is made of."""
        data, seen = self.data, self.codes_seen
        if end - at > _SHORT:
            _, name, form = initializer(data, at, end)
            return name, self.number(form)
        # Nearly always the name stands behind sizes, which hold no such byte.
        before = data.find(_KEY_OF_NAME, at, end)
        sizes, behind = data[at:before], before + 2 + data[before + 1]
        number = seen.forms.get((sizes, data[behind:end]), 0)
        if number and behind <= end:
            return data[before + 1 : behind], number
        found, name, form = initializer(data, at, end)
        number = self.number(form)
        if self.grow and sizes == found and name == data[before + 1 : behind]:
            seen.note(sizes, data[behind:end], number)
        return name, number

    def _add_unusual(self, at: int, end: int) -> None:
        """Add an operator that is a constant, or reads or computes more or less than usual ones."""
        data, start = self.data, at
        inputs, at = _names(data, at, end, _READ)
        outputs, at = _names(data, at, end, _WRITTEN)
        called, at = _names(data, at, end, _CALLED)
        rest = data[at:end]
        if len(called) > 1 or not outputs or b"\0" in called:
            raise WireError(f"an operator at {start} has no results, or several names")
        if not inputs and rest.startswith(_CONSTANT):
            if len(outputs) > 1 or outputs[0] == b"\0" or outputs[0] in self.constants:
                raise WireError("a constant has no name, or one that is there twice")
            self.constants[outputs[0]] = self.number((NODE, rest)) * _FORM + len(self.constants)
            self.called_constants += called
            return
        if not called:
            raise WireError("an operator has no name")
        edges = [[b"" if name == b"\0" else name for name in names] for names in (inputs, outputs)]
        self.unusual[len(self.codes)] = edges[0], edges[1]
        there = [name for names in edges for name in names if name]
        self.tensors += there
        self.called += called
        self.counts.append(len(there))
        self.codes.append(self.number((rest, *(tuple(map(bool, names)) for names in edges))))

    def _check_names(self, tensors: dict[bytes, int]) -> None:
        """Rule 4; lengths, which stand in front of names, are no marks."""
        operators = [*self.called, *self.called_constants]
        everything = b"".join([*operators, *tensors])
        if _MARK in everything or b"\0" in everything or len(set(operators)) < len(operators):
            raise WireError("names are such as rules make up, or there twice")
        everything.decode()

    def _returned(self, place: dict[bytes, int], count: int) -> tuple[tuple[int, bytes], ...]:
        """Which tensors are returned, counted from the last, and as what."""
        returned = []
        for name, kind in self.outputs:
            if not 0 < place.get(name, 0) < _FORM:
                raise WireError("what is returned is not computed")
            returned.append((count - place[name], kind))
        return tuple(returned)


@cache
def _usual() -> re.Pattern[bytes]:
    """Nearly all operators: one to five inputs, one result, a name, and what follows it."""
    pattern = b"\x0a(%b)(?:\x0a(%b)(?:\x0a(%b)(?:\x0a(%b)(?:\x0a(%b)|)|)|)|)\x12(%b)\x1a(%b)(.*)"
    return re.compile(pattern % ((sized(LONGEST_NAME),) * 7), re.DOTALL)


def _names(data: bytes, at: int, end: int, key: int) -> tuple[list[bytes], int]:
    """Names that stand one behind the other, each with a key, and the place behind them."""
    found = []
    while at < end and data[at] == key:
        stop = at + 2 + data[at + 1]
        if data[at + 1] > LONGEST_NAME or stop > end:
            raise WireError("a name is long")
        found.append(data[at + 1 : stop])
        at = stop
    return found, at
