"""The functions of expressions: what they take, what they give, and what they read of a match.

1. A function names the kind of each operand; the compiler refuses a rule whose operands are of another kind as far as
   that shows without a graph.
2. What shows on a graph only (an attribute that is a word where a number is needed) is looked at when a function fails:
   an operand of another kind is a fault of the rule, anything else is one of ours.
3. Numbers are calculated with up to `_LARGEST`, lists have at most `MAX_ITEMS` items.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from nnmeter.fusion.engine.faults import ExpressionFault
from nnmeter.fusion.engine.rewriting import WorkingGraph, WorkNode
from nnmeter.graph.dtypes import CODE_OF_DTYPE

MAX_ITEMS = 4096
_LARGEST = 2**256  # far beyond all sizes; products of products would grow without end

# Kinds of operands and results. A text is a list of nothing; a truth counts as a number, as in Python.
ANY, NUMBER, WHOLE, TEXT, TRUTH, LIST, NUMBERS = "any", "number", "whole", "text", "truth", "list", "numbers"

WORDS: dict[str, str] = {
    NUMBER: "a number",
    WHOLE: "a whole number",
    TEXT: "a word",
    LIST: "a list",
    NUMBERS: "a list of numbers",
}


@dataclass(slots=True)
class Match:
    """Nodes and tensors of a graph by the names that a pattern gives them; "" stands for an absent optional input."""

    graph: WorkingGraph
    nodes: dict[str, WorkNode] = field(default_factory=dict)
    tensors: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Function:
    """One function: its code, the kinds of its operands and of its result, and whether more operands may follow.

    `optional` operands at the end may be left out; with `more`, the last kind is that of any number more, up to 64.
    """

    call: Callable[..., Any]
    takes: tuple[str, ...]
    gives: str
    optional: int = 0
    more: bool = False
    least: int = field(init=False)
    most: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "least", len(self.takes) - self.optional)
        object.__setattr__(self, "most", 64 if self.more else len(self.takes))

    def kind_of(self, position: int) -> str:
        """The kind of the operand at a position."""
        return self.takes[min(position, len(self.takes) - 1)]


def is_of_kind(kind: str, value: Any) -> bool:
    """Whether a value is of a kind of operand; null is of all of them, for a function of null is null."""
    if value is None or kind == ANY:
        return True
    if kind == TEXT:
        return isinstance(value, str)
    if kind == WHOLE:
        return isinstance(value, int) and abs(value) <= _LARGEST
    if kind in (NUMBER, TRUTH):
        return isinstance(value, int | float) and (isinstance(value, float) or abs(value) <= _LARGEST)
    if not isinstance(value, (list, tuple)):
        return False
    return kind == LIST or all(item is not None and is_of_kind(NUMBER, item) for item in value)


def _shape(match: Match, name: str) -> tuple[int, ...] | None:
    tensor = match.tensors.get(name)
    kind = match.graph.types.get(tensor) if tensor else None
    return None if kind is None else kind.shape


def _rank(match: Match, name: str) -> int | None:
    shape = _shape(match, name)
    return None if shape is None else len(shape)


def _dim(match: Match, name: str, index: int) -> int | None:
    shape = _shape(match, name)
    return shape[index] if shape is not None and -len(shape) <= index < len(shape) else None


def _elements(match: Match, name: str) -> int | None:
    shape = _shape(match, name)
    return None if shape is None else math.prod(shape)


def _sized(match: Match, name: str) -> bool:
    tensor = match.tensors.get(name)
    return tensor is not None and bool(tensor) and not match.graph.free.get(tensor)


def _dtype(match: Match, name: str) -> str | None:
    tensor = match.tensors.get(name)
    return match.graph.types[tensor].dtype if tensor else None


def _dtype_code(match: Match, name: str) -> int | None:
    return CODE_OF_DTYPE.get(_dtype(match, name) or "")


def _value(match: Match, name: str) -> list[Any] | None:
    tensor = match.tensors.get(name)
    if not tensor or tensor not in match.graph.constants:
        return None
    value = match.graph.values.get(tensor)
    return None if value is None else value.ravel().tolist()


def _scalar(match: Match, name: str) -> Any:
    value = _value(match, name)
    return value[0] if value is not None and len(value) == 1 else None


def _filled(match: Match, name: str, number: float) -> bool:
    tensor = match.tensors.get(name)
    value = match.graph.values.get(tensor) if tensor in match.graph.constants else None
    return value is not None and value.size > 0 and bool((value == number).all())


def _constant(match: Match, name: str) -> bool:
    return match.tensors.get(name) in match.graph.constants


def _attribute(match: Match, name: str, attribute: str, default: Any = None) -> Any:
    return match.nodes[name].attributes.get(attribute, default)


# The first operand of these is a name that the pattern binds to a tensor, of `same` also the second.
ON_TENSORS: dict[str, Function] = {
    "shape": Function(_shape, (TEXT,), NUMBERS),
    "rank": Function(_rank, (TEXT,), WHOLE),
    "dim": Function(_dim, (TEXT, WHOLE), WHOLE),
    "elements": Function(_elements, (TEXT,), WHOLE),
    "sized": Function(_sized, (TEXT,), TRUTH),
    "dtype": Function(_dtype, (TEXT,), TEXT),
    "dtype_code": Function(_dtype_code, (TEXT,), WHOLE),
    "constant": Function(_constant, (TEXT,), TRUTH),
    "stored": Function(lambda m, x: m.tensors.get(x) in m.graph.stored, (TEXT,), TRUTH),
    "known": Function(lambda m, x: _value(m, x) is not None, (TEXT,), TRUTH),
    "value": Function(_value, (TEXT,), LIST),
    "scalar": Function(_scalar, (TEXT,), ANY),
    "filled": Function(_filled, (TEXT, NUMBER), TRUTH),
    "uses": Function(lambda m, x: m.graph.uses(m.tensors[x]), (TEXT,), WHOLE),
    "output": Function(lambda m, x: m.tensors.get(x) in m.graph.outputs, (TEXT,), TRUTH),
    "input": Function(lambda m, x: m.tensors.get(x) in m.graph.inputs, (TEXT,), TRUTH),
    "produced": Function(lambda m, x: m.tensors.get(x) in m.graph.producer, (TEXT,), TRUTH),
    "present": Function(lambda m, x: bool(m.tensors.get(x)), (TEXT,), TRUTH),
    "same": Function(lambda m, x, y: m.tensors.get(x) == m.tensors.get(y), (TEXT, TEXT), TRUTH),
}
# The first operand of these is the name of a pattern node.
ON_NODES: dict[str, Function] = {
    "kind": Function(lambda m, n: m.nodes[n].kind, (TEXT,), TEXT),
    "arity": Function(lambda m, n: sum(1 for i in m.nodes[n].inputs if i), (TEXT,), WHOLE),
    "slots": Function(lambda m, n: len(m.nodes[n].inputs), (TEXT,), WHOLE),
    "results": Function(lambda m, n: sum(1 for o in m.nodes[n].outputs if o and m.graph.uses(o)), (TEXT,), WHOLE),
    "attr": Function(_attribute, (TEXT, TEXT, ANY), ANY, optional=1),
}
# These read the graph, or the rule set's parameters.
ON_GRAPH: dict[str, Function] = {
    "opset": Function(lambda m, name: m.graph.opsets.get(name, 1), (TEXT,), WHOLE),
    "param": Function(lambda m, name: m.graph.parameters.get(name), (TEXT,), ANY),
}


def _number(value: Any) -> Any:
    """The value itself, if it is a number: Python would also add and multiply lists."""
    if not isinstance(value, int | float) or (isinstance(value, int) and abs(value) > _LARGEST):
        raise ExpressionFault(f"{str(value)[:40]} is no number to calculate with")
    return value


def _limited(count: int) -> int:
    if count > MAX_ITEMS:
        raise ExpressionFault(f"a list has more than {MAX_ITEMS} items")
    return count


def _concat(*parts: Sequence[Any]) -> tuple[Any, ...]:
    _limited(sum(len(part) for part in parts))
    return tuple(item for part in parts for item in part)


def _near(a: float, b: float, tolerance: float = 1e-5) -> bool:
    return math.isclose(a, b, rel_tol=tolerance, abs_tol=tolerance * 1e-2)


def _divide(a: float, b: float) -> float | None:
    if not b:
        return None
    return a // b if isinstance(a, int) and isinstance(b, int) and a % b == 0 else a / b


def _at(items: Sequence[Any], index: int) -> Any:
    return items[index] if -len(items) <= index < len(items) else None


def _broadcast(a: Sequence[int], b: Sequence[int]) -> tuple[int, ...] | None:
    size = max(len(a), len(b))
    left, right = (1,) * (size - len(a)) + tuple(a), (1,) * (size - len(b)) + tuple(b)
    if any(x != y and 1 not in (x, y) for x, y in zip(left, right, strict=True)):
        return None
    return tuple(max(x, y) if 0 not in (x, y) else 0 for x, y in zip(left, right, strict=True))


def _permute(items: Sequence[Any], perm: Sequence[int]) -> tuple[Any, ...] | None:
    count = len(items)
    return tuple([items[p] for p in perm]) if all(isinstance(p, int) and -count <= p < count for p in perm) else None


def _keeps_order(shape: Sequence[int], perm: Sequence[int]) -> bool:
    if _permute(shape, perm) is None:
        return False
    moved = [axis for axis in perm if shape[axis] != 1]
    return moved == sorted(moved)


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return tuple(a) == tuple(b)
    return bool(a == b)


_COMPARES = (NUMBER, NUMBER)

ON_VALUES: dict[str, Function] = {
    "eq": Function(_equal, (ANY, ANY), TRUTH),
    "ne": Function(lambda a, b: not _equal(a, b), (ANY, ANY), TRUTH),
    "lt": Function(lambda a, b: a < b, _COMPARES, TRUTH),
    "le": Function(lambda a, b: a <= b, _COMPARES, TRUTH),
    "gt": Function(lambda a, b: a > b, _COMPARES, TRUTH),
    "ge": Function(lambda a, b: a >= b, _COMPARES, TRUTH),
    "in": Function(lambda a, *items: a in items, (ANY, ANY), TRUTH, more=True),
    "near": Function(_near, (NUMBER, NUMBER, NUMBER), TRUTH, optional=1),
    "add": Function(lambda a, b: _number(a) + _number(b), (NUMBER, NUMBER), NUMBER),
    "sub": Function(lambda a, b: _number(a) - _number(b), (NUMBER, NUMBER), NUMBER),
    "mul": Function(lambda a, b: _number(a) * _number(b), (NUMBER, NUMBER), NUMBER),
    "div": Function(_divide, (NUMBER, NUMBER), NUMBER),
    "mod": Function(lambda a, b: _number(a) % _number(b) if b else None, (NUMBER, NUMBER), NUMBER),
    "neg": Function(lambda a: -a, (NUMBER,), NUMBER),
    "sqrt": Function(lambda a: math.sqrt(a) if a >= 0 else None, (NUMBER,), NUMBER),
    "max": Function(lambda *v: max(v), (NUMBER, NUMBER), NUMBER, more=True),
    "min": Function(lambda *v: min(v), (NUMBER, NUMBER), NUMBER, more=True),
    "prod": Function(lambda v: math.prod(v), (NUMBERS,), NUMBER),
    "sum": Function(lambda v: sum(v), (NUMBERS,), NUMBER),
    "len": Function(lambda v: len(v), (LIST,), WHOLE),
    "at": Function(_at, (LIST, WHOLE), ANY),
    "slice": Function(lambda v, a, b: tuple(v[a:b]), (LIST, WHOLE, WHOLE), LIST),
    "drop": Function(lambda v, count: tuple(v[count:]), (LIST, WHOLE), LIST),
    "list": Function(lambda *v: v, (ANY,), LIST, optional=1, more=True),
    "concat": Function(_concat, (LIST,), LIST, more=True),
    "sorted": Function(lambda v: tuple(sorted(v)), (NUMBERS,), NUMBERS),
    "range": Function(lambda n: tuple(range(_limited(n))), (WHOLE,), NUMBERS),
    "all_equal": Function(lambda v, x: all(item == x for item in v), (LIST, ANY), TRUTH),
    "one_at": Function(lambda v, i: tuple(1 if k == i % len(v) else s for k, s in enumerate(v)), (LIST, WHOLE), LIST),
    "repeat": Function(lambda item, count: (_number(item),) * _limited(count), (NUMBER, WHOLE), NUMBERS),
    "plus": Function(
        lambda a, b: tuple(x + y for x, y in zip(a, b, strict=True)) if len(a) == len(b) else None,
        (NUMBERS, NUMBERS),
        NUMBERS,
    ),
    "permute": Function(_permute, (LIST, NUMBERS), LIST),
    "reversed": Function(lambda v: tuple(v[::-1]), (LIST,), LIST),
    "places": Function(
        lambda v, count: tuple(sorted(_number(x) % count for x in v)) if count else None, (NUMBERS, WHOLE), NUMBERS
    ),
    "keeps_order": Function(_keeps_order, (NUMBERS, NUMBERS), TRUTH),
    "inverse": Function(lambda perm: tuple(sorted(range(len(perm)), key=lambda i: perm[i])), (NUMBERS,), NUMBERS),
    "round_up": Function(lambda a, b: -(-a // b) * b if b else None, (NUMBER, NUMBER), NUMBER),
    "broadcast": Function(_broadcast, (NUMBERS, NUMBERS), NUMBERS),
}
