"""What a pass is: a change of the working graph, with the fields that a rule set gives it.

1. A module of `nnmeter.fusion.passes` declares each kind of pass that it has as a `PassKind`: its name, its fields, and
   the function that prepares it. `nnmeter.fusion.passes.registry` lists these modules, and nothing else knows them.
2. Fields are read once, when a rule set is loaded: each has a reader, which refuses what is of another kind and returns
   the value to work with, and a default where it may be left out. A pass relies on them from then on.
3. A prepared pass says which kinds of nodes it looks at: without any of them in the graph there is nothing to do. If it
   looks at nothing beyond them and their neighbours, it is `local`: it has nothing to do again before one has changed.
4. A pass works on any graph. What it does not understand it leaves alone; if it fails, the fault is its own. Where the
   rule set asks for something impossible, it raises `RuleFault`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nnmeter.fusion.engine.faults import RuleFault
from nnmeter.fusion.engine.rewriting import WorkingGraph
from nnmeter.graph.ir import DTYPE_BITS

Fields = Mapping[str, Any]
Apply = Callable[[WorkingGraph], bool]
Read = Callable[[Any], Any]


@dataclass(frozen=True, eq=False)
class Prepared:
    """A pass, ready to be applied; `apply` says whether it changed the graph (rule 3 tells of the others)."""

    apply: Apply
    looks_at: frozenset[str] | None = None
    local: bool = False


class _Required:
    """Marks a field without a default."""


REQUIRED = _Required()


@dataclass(frozen=True)
class Field:
    """One field of a pass: how its value is read, and what stands for it where it is left out."""

    read: Read
    default: Any = REQUIRED


@dataclass(frozen=True)
class PassKind:
    """One kind of pass (rule 1); `check` looks at strangers' fields together, where readers of one see too little."""

    name: str
    prepare: Callable[[Fields], Prepared]
    fields: Mapping[str, Field] = field(default_factory=dict)
    check: Callable[[Fields], None] = lambda fields: (
        None
    )  # what readers of single fields cannot see; of strangers' rules

    def read_fields(self, data: Mapping[str, Any]) -> Fields:
        """The values of all fields, defaults included.

        Raises:
            RuleFault: a field that is missing, unknown, or of another kind.
        """
        return _read_object(data, self.fields)


def procedure(change: Callable[[WorkingGraph, Fields], bool]) -> Callable[[Fields], Prepared]:
    """The preparation of a pass that is one function of the graph and the fields."""
    return lambda fields: Prepared(lambda graph: change(graph, fields))


# Readers of fields. A fault says what stands there and what should; whoever reads the whole adds where.


def text(value: Any) -> str:
    """A word: an operator, an attribute, a parameter."""
    if not isinstance(value, str) or not value:
        raise RuleFault(f"is {value!r:.60}, not a word")
    return value


def flag(value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise RuleFault(f"is {value!r:.60}, not true or false")
    return value


def count(value: Any) -> int:
    """A whole number from 0."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise RuleFault(f"is {value!r:.60}, not a whole number from 0")
    return value


def axis(value: Any) -> int:
    """The number of a dimension, from behind where it is negative."""
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > 64:
        raise RuleFault(f"is {value!r:.60}, not the number of a dimension")
    return value


def number(value: Any) -> float:
    """A number."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) < 1e18:
        raise RuleFault(f"is {value!r:.60}, not a number")
    return value


def element_type(value: Any) -> str:
    """An element type, as `nnmeter.graph.ir` calls it."""
    if not isinstance(value, str) or value not in DTYPE_BITS:
        raise RuleFault(f"is {value!r:.60}, not an element type")
    return value


def literal(value: Any) -> Any:
    """A number, a word, null, or a list of these, which becomes a tuple."""
    if isinstance(value, list) and not any(isinstance(item, list) for item in value):
        return tuple([literal(item) for item in value])
    if value is not None and not isinstance(value, int | float | str):
        raise RuleFault(f"is {value!r:.60}, not a number or a word")
    return value


def one_of(*values: Any) -> Read:
    """One of some values."""

    def read(value: Any) -> Any:
        if not any(type(value) is type(known) and value == known for known in values):
            raise RuleFault(f"is {value!r:.60}, not one of {', '.join(map(repr, values))}")
        return value

    return read


def either(word: str, other: Read) -> Read:
    """One certain word, or something else."""
    return lambda value: word if value == word else other(value)


def optional(read: Read) -> Read:
    """Something, or null."""
    return lambda value: None if value is None else read(value)


def list_of(read: Read, least: int = 0) -> Read:
    """A list; it becomes a tuple."""

    def read_list(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, (list, tuple)):
            raise RuleFault(f"is {value!r:.60}, not a list")
        if len(value) < least:
            raise RuleFault(f"has {len(value)} items, not {least} or more")
        return tuple([_within(f"item {at}", read, item) for at, item in enumerate(value)])

    return read_list


def pair_of(first: Read, second: Read) -> Read:
    """A list of two; it becomes a tuple."""

    def read_pair(value: Any) -> tuple[Any, Any]:
        if not isinstance(value, (list, tuple)) or len(value) != 2:
            raise RuleFault(f"is {value!r:.60}, not a pair")
        return _within("item 0", first, value[0]), _within("item 1", second, value[1])

    return read_pair


def map_of(read: Read, key: Read = text) -> Read:
    """An object whose keys are free."""

    def read_map(value: Any) -> dict[Any, Any]:
        if not isinstance(value, Mapping):
            raise RuleFault(f"is {value!r:.60}, not an object")
        return {key(name): _within(f"{name!r:.60}", read, item) for name, item in value.items()}

    return read_map


def object_of(fields: Mapping[str, Field]) -> Read:
    """An object with fields of its own."""

    def read_object(value: Any) -> Fields:
        if not isinstance(value, Mapping):
            raise RuleFault(f"is {value!r:.60}, not an object")
        return _read_object(value, fields)

    return read_object


texts = list_of(text)


def _read_object(data: Mapping[str, Any], fields: Mapping[str, Field]) -> Fields:
    unknown = next((name for name in data if name not in fields), None)
    if unknown is not None:
        known = ", ".join(fields) if fields else "none"
        raise RuleFault(f"unknown field {unknown!r:.60}; known are {known}")
    found = {}
    for name, declared in fields.items():
        if name in data:
            found[name] = _within(f"field {name!r}", declared.read, data[name])
        elif declared.default is REQUIRED:
            raise RuleFault(f"needs a field {name!r}")
        else:
            found[name] = declared.default
    return found


def _within(place: str, read: Read, value: Any) -> Any:
    try:
        return read(value)
    except RuleFault as fault:
        raise RuleFault(f"{place}: {fault}") from None
