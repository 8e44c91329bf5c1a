"""The expressions of fusion rules: conditions and computed values as JSON data, compiled to functions.

An expression is evaluated against one match: the tensors and nodes that a pattern has bound to names.

1. A JSON list is a call: its first item names the function, the others are its arguments, `["eq", ["rank", "x"], 4]`.
2. Anything else is a literal. A literal list is written `["list", 1, 2]`, a literal string is itself.
3. Functions of a tensor or node take its name in the pattern as their first argument: `["shape", "x"]`.
4. What is not known (the value of a tensor that the run computes, a dimension out of range, the type of an absent
   input) is null, a function of null is null, and a condition on null does not hold.
5. There are no loops, no assignments and no other names: evaluating ends and has no effect. Lists have at most
   `MAX_ITEMS` items, expressions are at most `MAX_NESTED` deep, and numbers are added and multiplied as numbers only.

Functions of a tensor: `shape`, `rank`, `dim` (x, index), `elements`, `dtype`, `dtype_code`, `constant` (known before
the run), `stored` (an initializer of the file), `known` (constant with a known value), `value` (all elements, flat),
`scalar` (the value of a tensor of one element), `filled` (x, number: whether all elements are known to be it), `uses`
(how many inputs read it), `output` (whether the graph returns it), `input` (whether the graph is given it), `produced`
(whether a node writes it), `present` (whether an optional input is there), `same` (two names, one tensor).
Functions of a node: `kind` (domain-qualified operator), `attr` (node, attribute, default), `arity` (inputs present),
`results` (outputs that somebody needs).
Of the graph and rules: `opset` (of ai.onnx), `param` (a parameter of the rule set).
Of values: `and or not eq ne lt le gt ge in near` (near: relative tolerance 1e-5 by default),
`add sub mul div mod neg sqrt max min prod sum len at one_at slice drop list concat repeat plus (by elements) sorted
range reversed where all_equal permute inverse round_up broadcast places` (numbers modulo a count, sorted) `keeps_order`
(shape, permutation: whether it moves dimensions of 1 only).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from nnmeter.fusion.engine.match import Match

# Numbers of element types in ONNX (TensorProto.DataType).
_CODES: dict[str, int] = {
    "float32": 1, "uint8": 2, "int8": 3, "uint16": 4, "int16": 5, "int32": 6, "int64": 7, "string": 8, "bool": 9,
    "float16": 10, "float64": 11, "uint32": 12, "uint64": 13, "bfloat16": 16,
}  # fmt: skip

MAX_ITEMS = 4096
MAX_NESTED = 64
_LARGEST = 2**256  # far beyond all sizes; products of products would grow without end

Expression = Any
Evaluate = Callable[[Match], Any]


class ExpressionFault(Exception):
    """A malformed expression; the loader adds the file and the rule."""


def compile_expression(expression: Expression, depth: int = 0) -> Evaluate:
    """The function that evaluates an expression against a match.

    Raises:
        ExpressionFault: an unknown function or a wrong number of arguments.
    """
    if not isinstance(expression, (list, tuple)):
        return lambda match: expression
    if depth > MAX_NESTED:
        raise ExpressionFault(f"an expression is more than {MAX_NESTED} deep")
    if not expression or not isinstance(expression[0], str):
        raise ExpressionFault(f"an expression starts with the name of a function, not {expression!r}")
    name, *arguments = expression
    if name in _ON_NAMES:
        function, least, most = _ON_NAMES[name]
        _check_count(expression, len(arguments), least, most)
        return _call_on_name(function, name, arguments, depth)
    if name in _SHORT_CIRCUIT:
        return _SHORT_CIRCUIT[name]([compile_expression(a, depth + 1) for a in arguments])
    if name not in _ON_VALUES:
        raise ExpressionFault(f"unknown function {name!r}")
    function, least, most = _ON_VALUES[name]
    _check_count(expression, len(arguments), least, most)
    return _call_on_values(function, arguments, depth)


def names_in(expression: Expression) -> set[str]:
    """The tensors and nodes that an expression refers to."""
    if not isinstance(expression, (list, tuple)) or not expression:
        return set()
    name, *arguments = expression
    if name in _ON_NAMES:
        count = 2 if name == "same" else 0 if name in _NAMELESS else 1
        names = {a for a in arguments[:count] if isinstance(a, str)}
        return names.union(*(names_in(a) for a in arguments[count:])) if arguments[count:] else names
    return set().union(*(names_in(a) for a in arguments)) if arguments else set()


def _check_count(expression: Expression, count: int, least: int, most: int) -> None:
    if not least <= count <= most:
        raise ExpressionFault(f"{expression[0]!r} takes {least} to {most} arguments, not {count}")


def _is_literal(expression: Expression) -> bool:
    return not isinstance(expression, (list, tuple))


def _call_on_name(function: Callable[..., Any], name: str, arguments: list[Any], depth: int) -> Evaluate:
    if name == "same" or len(arguments) == 1 or all(_is_literal(a) for a in arguments):
        if len(arguments) == 1:
            only = arguments[0]
            return lambda match: function(match, only)
        return lambda match: function(match, *arguments)
    subject, rest = arguments[0], [compile_expression(a, depth + 1) for a in arguments[1:]]
    return lambda match: function(match, subject, *(r(match) for r in rest))


def _call_on_values(function: Callable[..., Any], expressions: list[Expression], depth: int) -> Evaluate:
    arguments = [compile_expression(a, depth + 1) for a in expressions]
    if len(arguments) == 1:
        return _call_one(function, arguments[0])
    if len(arguments) == 2 and _is_literal(expressions[1]) and expressions[1] is not None:
        return _call_with_literal(function, arguments[0], expressions[1])
    if len(arguments) == 2:
        return _call_two(function, arguments[0], arguments[1])
    if len(arguments) > 2 and all(_is_literal(e) and e is not None for e in expressions[1:]):
        return _call_with_literals(function, arguments[0], expressions[1:])

    def call(match: Match) -> Any:
        values = []
        for argument in arguments:
            value = argument(match)
            if value is None:
                return None
            values.append(value)
        return function(*values)

    return call


def _call_one(function: Callable[..., Any], argument: Evaluate) -> Evaluate:
    def call(match: Match) -> Any:
        value = argument(match)
        return None if value is None else function(value)

    return call


def _call_with_literal(function: Callable[..., Any], argument: Evaluate, literal: Any) -> Evaluate:
    def call(match: Match) -> Any:
        value = argument(match)
        return None if value is None else function(value, literal)

    return call


def _call_with_literals(function: Callable[..., Any], argument: Evaluate, literals: list[Any]) -> Evaluate:
    def call(match: Match) -> Any:
        value = argument(match)
        return None if value is None else function(value, *literals)

    return call


def _call_two(function: Callable[..., Any], first: Evaluate, second: Evaluate) -> Evaluate:
    def call(match: Match) -> Any:
        a = first(match)
        if a is None:
            return None
        b = second(match)
        return None if b is None else function(a, b)

    return call


def _all_of(conditions: list[Evaluate]) -> Evaluate:
    def evaluate(match: Match) -> bool:
        for condition in conditions:  # noqa: SIM110 - a loop takes half the time of a generator here
            if not condition(match):
                return False
        return True

    return evaluate


def _any_of(conditions: list[Evaluate]) -> Evaluate:
    def evaluate(match: Match) -> bool:
        for condition in conditions:  # noqa: SIM110 - as above
            if condition(match):
                return True
        return False

    return evaluate


def _none_of(conditions: list[Evaluate]) -> Evaluate:
    found = _any_of(conditions)
    return lambda match: not found(match)


def _choose(branches: list[Evaluate]) -> Evaluate:
    if len(branches) != 3:
        raise ExpressionFault("'where' takes a condition and two values")
    condition, then, otherwise = branches
    return lambda match: then(match) if condition(match) else otherwise(match)


_SHORT_CIRCUIT: dict[str, Callable[[list[Evaluate]], Evaluate]] = {
    "and": _all_of,
    "or": _any_of,
    "not": _none_of,
    "where": _choose,
}


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


def _dtype(match: Match, name: str) -> str | None:
    tensor = match.tensors.get(name)
    return match.graph.types[tensor].dtype if tensor else None


def _dtype_code(match: Match, name: str) -> int | None:
    return _CODES.get(_dtype(match, name) or "")


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


_ON_NAMES: dict[str, tuple[Callable[..., Any], int, int]] = {
    "shape": (_shape, 1, 1),
    "rank": (_rank, 1, 1),
    "dim": (_dim, 2, 2),
    "elements": (_elements, 1, 1),
    "dtype": (_dtype, 1, 1),
    "dtype_code": (_dtype_code, 1, 1),
    "constant": (_constant, 1, 1),
    "stored": (lambda m, x: m.tensors.get(x) in m.graph.stored, 1, 1),
    "known": (lambda m, x: _value(m, x) is not None, 1, 1),
    "value": (_value, 1, 1),
    "scalar": (_scalar, 1, 1),
    "filled": (_filled, 2, 2),
    "uses": (lambda m, x: m.graph.uses(m.tensors[x]), 1, 1),
    "output": (lambda m, x: m.tensors.get(x) in m.graph.outputs, 1, 1),
    "input": (lambda m, x: m.tensors.get(x) in m.graph.inputs, 1, 1),
    "produced": (lambda m, x: m.tensors.get(x) in m.graph.producer, 1, 1),
    "present": (lambda m, x: bool(m.tensors.get(x)), 1, 1),
    "same": (lambda m, x, y: m.tensors.get(x) == m.tensors.get(y), 2, 2),
    "kind": (lambda m, n: m.nodes[n].kind, 1, 1),
    "arity": (lambda m, n: sum(1 for i in m.nodes[n].inputs if i), 1, 1),
    "results": (lambda m, n: sum(1 for o in m.nodes[n].outputs if o and m.graph.uses(o)), 1, 1),
    "attr": (_attribute, 2, 3),
    "opset": (lambda m, name: m.graph.opsets.get(name, 1), 1, 1),
    "param": (lambda m, name: m.graph.parameters.get(name), 1, 1),
}
_NAMELESS = frozenset({"opset", "param"})


def _number(value: Any) -> Any:
    """The value itself, if it is a number: Python would also add and multiply lists."""
    if not isinstance(value, int | float) or (isinstance(value, int) and abs(value) > _LARGEST):
        raise ValueError(f"{str(value)[:40]} is no number to calculate with")
    return value


def _limited(items: Sequence[Any]) -> Sequence[Any]:
    if len(items) > MAX_ITEMS:
        raise ValueError(f"a list has more than {MAX_ITEMS} items")
    return items


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


def _keeps_order(shape: Sequence[int], perm: Sequence[int]) -> bool:
    moved = [axis for axis in perm if shape[axis] != 1]
    return moved == sorted(moved)


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return tuple(a) == tuple(b)
    return bool(a == b)


_ON_VALUES: dict[str, tuple[Callable[..., Any], int, int]] = {
    "eq": (_equal, 2, 2),
    "ne": (lambda a, b: not _equal(a, b), 2, 2),
    "lt": (lambda a, b: a < b, 2, 2),
    "le": (lambda a, b: a <= b, 2, 2),
    "gt": (lambda a, b: a > b, 2, 2),
    "ge": (lambda a, b: a >= b, 2, 2),
    "in": (lambda a, *items: a in items, 2, 64),
    "near": (_near, 2, 3),
    "add": (lambda a, b: _number(a) + _number(b), 2, 2),
    "sub": (lambda a, b: _number(a) - _number(b), 2, 2),
    "mul": (lambda a, b: _number(a) * _number(b), 2, 2),
    "div": (_divide, 2, 2),
    "mod": (lambda a, b: _number(a) % _number(b) if b else None, 2, 2),
    "neg": (lambda a: -a, 1, 1),
    "sqrt": (lambda a: math.sqrt(a) if a >= 0 else None, 1, 1),
    "max": (lambda *v: max(v), 2, 8),
    "min": (lambda *v: min(v), 2, 8),
    "prod": (lambda v: math.prod(v), 1, 1),
    "sum": (lambda v: sum(v), 1, 1),
    "len": (lambda v: len(v), 1, 1),
    "at": (_at, 2, 2),
    "slice": (lambda v, a, b: tuple(v[a:b]), 3, 3),
    "drop": (lambda v, count: tuple(v[count:]), 2, 2),
    "list": (lambda *v: v, 0, 64),
    "concat": (lambda *v: _limited(tuple(x for part in v for x in part)), 1, 8),
    "sorted": (lambda v: tuple(sorted(v)), 1, 1),
    "range": (lambda n: tuple(_limited(range(n))), 1, 1),
    "all_equal": (lambda v, x: all(item == x for item in v), 2, 2),
    "one_at": (lambda v, i: tuple(1 if k == _number(i) % len(v) else s for k, s in enumerate(v)), 2, 2),
    "repeat": (lambda item, count: (_number(item),) * len(_limited(range(count))), 2, 2),
    "plus": (lambda a, b: tuple(x + y for x, y in zip(a, b, strict=True)) if len(a) == len(b) else None, 2, 2),
    "permute": (lambda v, perm: tuple(v[p] for p in perm), 2, 2),
    "reversed": (lambda v: tuple(v[::-1]), 1, 1),
    "places": (lambda v, count: tuple(sorted(_number(x) % count for x in v)), 2, 2),
    "keeps_order": (_keeps_order, 2, 2),
    "inverse": (lambda perm: tuple(sorted(range(len(perm)), key=lambda i: perm[i])), 1, 1),
    "round_up": (lambda a, b: -(-a // b) * b, 2, 2),
    "broadcast": (_broadcast, 2, 2),
}
