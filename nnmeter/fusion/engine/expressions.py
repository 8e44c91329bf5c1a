"""The expressions of fusion rules: conditions and computed values as JSON data, compiled to functions.

An expression is evaluated against one match: the tensors and nodes that a pattern has bound to names.

1. A JSON list is a call: its first item names the function, the others are its arguments, `["eq", ["rank", "x"], 4]`.
2. Anything else is a literal. A literal list is written `["list", 1, 2]`, a literal string is itself.
3. Functions of a tensor or node take its name in the pattern as their first argument: `["shape", "x"]`.
4. What is not known (the value of a tensor that the run computes, a dimension out of range, the type of an absent
   input) is null, a function of null is null, and a condition on null does not hold.
5. There are no loops, no assignments and no other names: evaluating ends and has no effect. Lists have at most
   `MAX_ITEMS` items, expressions are at most `MAX_NESTED` deep, and numbers are added and multiplied as numbers only.

Functions of a tensor: `shape`, `rank`, `dim` (x, index), `elements`, `sized` (whether the runtime knows all sizes
before the run), `dtype`, `dtype_code`, `constant` (known before the run), `stored` (an initializer of the file),
`known` (constant with a known value), `value` (all elements, flat), `scalar` (the value of a tensor of one element),
`filled` (x, number: whether all elements are known to be it), `uses` (how many inputs read it), `output` (whether the
graph returns it), `input` (whether the graph is given it), `produced` (whether a node writes it), `present` (whether
an optional input is there), `same` (two names, one tensor).
Functions of a node: `kind` (domain-qualified operator), `attr` (node, attribute, default), `arity` (inputs present),
`slots` (inputs listed), `results` (outputs that somebody needs).
Of the graph and rules: `opset` (of ai.onnx), `param` (a parameter of the rule set).
Of values: `and or not eq ne lt le gt ge in near` (near: relative tolerance 1e-5 by default),
`add sub mul div mod neg sqrt max min prod sum len at one_at slice drop list concat repeat plus (by elements) sorted
range reversed where all_equal permute inverse round_up broadcast places` (numbers modulo a count, sorted) `keeps_order`
(shape, permutation: whether it moves dimensions of 1 only).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from nnmeter.fusion.engine.faults import ExpressionFault
from nnmeter.fusion.engine.functions import (
    ANY,
    LIST,
    NUMBER,
    NUMBERS,
    ON_GRAPH,
    ON_NODES,
    ON_TENSORS,
    ON_VALUES,
    TEXT,
    TRUTH,
    WHOLE,
    WORDS,
    Function,
    Match,
    is_of_kind,
)

MAX_NESTED = 64

Expression = Any
Evaluate = Callable[[Match], Any]

_ON_NAMES: dict[str, Function] = {**ON_TENSORS, **ON_NODES, **ON_GRAPH}
_FUNCTIONS: dict[str, Function] = {**_ON_NAMES, **ON_VALUES}
_SHORT_CIRCUIT = frozenset({"and", "or", "not", "where"})

# What Python raises where an operand is of another kind than a function takes.
_MISFITS = (ArithmeticError, AttributeError, IndexError, TypeError, ValueError)


def compile_expression(expression: Expression) -> Evaluate:
    """The function that evaluates an expression against a match.

    Raises:
        ExpressionFault: see `check_expression`; so does the function that is returned, where a graph has values that do
            not fit.
    """
    check_expression(expression)
    return compile_checked(expression)


def check_expression(expression: Expression, depth: int = 0) -> None:
    """Whether an expression can be evaluated on any graph.

    Raises:
        ExpressionFault: an unknown function, a wrong number of arguments or one of a wrong kind.
    """
    if not isinstance(expression, (list, tuple)):
        return
    if depth > MAX_NESTED:
        raise ExpressionFault(f"an expression is more than {MAX_NESTED} deep")
    if not expression or not isinstance(expression[0], str):
        raise ExpressionFault(f"an expression starts with the name of a function, not {expression!r:.80}")
    name = expression[0]
    if name not in _SHORT_CIRCUIT:
        function = _FUNCTIONS.get(name)
        if function is None:
            raise ExpressionFault(f"unknown function {name!r:.80}")
        count = len(expression) - 1
        if not function.least <= count <= function.most:
            raise ExpressionFault(f"{name!r} takes {function.least} to {function.most} arguments, not {count}")
        for position in range(count):
            _check_kind(name, function.kind_of(position), expression[position + 1])
        if name in _ON_NAMES and not isinstance(expression[1], str):
            raise ExpressionFault(f"{name!r} takes the name of a tensor or node, not {str(expression[1])[:40]!r}")
    elif name == "where" and len(expression) != 4:
        raise ExpressionFault("'where' takes a condition and two values")
    for argument in expression[1:]:
        check_expression(argument, depth + 1)


def compile_checked(expression: Expression) -> Evaluate:
    """As `compile_expression`, for an expression that was checked when its rule was read."""
    if not isinstance(expression, (list, tuple)):
        return lambda match: expression
    name, *arguments = expression
    if name in _SHORT_CIRCUIT:
        return _short_circuit(name, [compile_checked(argument) for argument in arguments])
    if name in _ON_NAMES:
        return _call_on_name(name, _ON_NAMES[name], arguments)
    return _call_on_values(name, ON_VALUES[name], arguments)


def names_in(expression: Expression) -> set[str]:
    """The tensors and nodes that an expression refers to."""
    return {name for _, name in references(expression)}


def references(expression: Expression) -> Iterator[tuple[str, str]]:
    """Each tensor and node that an expression refers to, with the function that does."""
    if not _is_call(expression) or not expression:
        return
    name, *arguments = expression
    count = 2 if name == "same" else 1 if name in ON_TENSORS or name in ON_NODES else 0
    for argument in arguments[:count]:
        if isinstance(argument, str):
            yield name, argument
    for argument in arguments[count:]:
        yield from references(argument)


def _is_call(expression: Expression) -> bool:
    return isinstance(expression, (list, tuple))


def _static_kind(expression: Expression) -> str:
    """The kind that an expression has on every graph, as far as its form tells."""
    if expression is None or isinstance(expression, dict):
        return ANY
    if isinstance(expression, str):
        return TEXT
    if not _is_call(expression):
        return WHOLE if isinstance(expression, int) else NUMBER
    name = expression[0] if expression and isinstance(expression[0], str) else ""
    if name in _SHORT_CIRCUIT:
        return ANY if name == "where" else TRUTH
    function = _FUNCTIONS.get(name)
    return function.gives if function is not None else ANY


# Kind that a function takes -> kinds of results that may be of it.
_MAY_BE: dict[str, frozenset[str]] = {
    NUMBER: frozenset({ANY, NUMBER, WHOLE, TRUTH}),
    WHOLE: frozenset({ANY, NUMBER, WHOLE, TRUTH}),
    TEXT: frozenset({ANY, TEXT}),
    LIST: frozenset({ANY, LIST, NUMBERS}),
    NUMBERS: frozenset({ANY, LIST, NUMBERS}),
}


def _check_kind(name: str, kind: str, argument: Expression) -> None:
    if isinstance(argument, dict):
        raise ExpressionFault(f"{name!r} has an object for an argument; calls are lists")
    if kind == ANY:
        return
    if _static_kind(argument) not in _MAY_BE[kind] or (not _is_call(argument) and not is_of_kind(kind, argument)):
        raise ExpressionFault(f"{name!r} takes {WORDS[kind]}, not {str(argument)[:40]!r}")


def _misfit(name: str, function: Function, operands: Sequence[Any], fault: Exception, first: int = 0) -> Exception:
    """What to raise where a function failed: a fault of the rule if an operand is of a wrong kind, else its own."""
    for position, operand in enumerate(operands, first):
        kind = function.kind_of(position)
        if not is_of_kind(kind, operand):
            return ExpressionFault(f"{name!r} takes {WORDS[kind]}, not {str(operand)[:40]!r}")
    return fault


def _call_on_name(name: str, function: Function, arguments: list[Any]) -> Evaluate:
    call = function.call
    subject = arguments[0]
    if len(arguments) == 1:
        return lambda match: call(match, subject)
    if not any(_is_call(a) for a in arguments):
        return lambda match: call(match, *arguments)
    rest = [compile_checked(a) for a in arguments[1:]]

    def evaluate(match: Match) -> Any:
        values = [argument(match) for argument in rest]
        try:
            return call(match, subject, *values)
        except _MISFITS as fault:
            raise _misfit(name, function, values, fault, 1) from None

    return evaluate


def _call_on_values(name: str, function: Function, expressions: list[Expression]) -> Evaluate:
    arguments = [compile_checked(a) for a in expressions]
    call = function.call
    if len(arguments) == 1:
        return _call_one(name, function, arguments[0])
    if len(arguments) == 2:
        literal = expressions[1]
        if not _is_call(literal) and literal is not None:
            return _call_with_literal(name, function, arguments[0], literal)
        return _call_two(name, function, arguments[0], arguments[1])
    if len(arguments) > 2 and not any(_is_call(e) or e is None for e in expressions[1:]):
        return _call_with_literals(name, function, arguments[0], expressions[1:])

    def evaluate(match: Match) -> Any:
        values = []
        for argument in arguments:
            value = argument(match)
            if value is None:
                return None
            values.append(value)
        try:
            return call(*values)
        except _MISFITS as fault:
            raise _misfit(name, function, values, fault) from None

    return evaluate


def _call_one(name: str, function: Function, argument: Evaluate) -> Evaluate:
    call = function.call

    def evaluate(match: Match) -> Any:
        value = argument(match)
        if value is None:
            return None
        try:
            return call(value)
        except _MISFITS as fault:
            raise _misfit(name, function, [value], fault) from None

    return evaluate


def _call_with_literal(name: str, function: Function, argument: Evaluate, literal: Any) -> Evaluate:
    call = function.call

    def evaluate(match: Match) -> Any:
        value = argument(match)
        if value is None:
            return None
        try:
            return call(value, literal)
        except _MISFITS as fault:
            raise _misfit(name, function, [value, literal], fault) from None

    return evaluate


def _call_with_literals(name: str, function: Function, argument: Evaluate, literals: list[Any]) -> Evaluate:
    call = function.call

    def evaluate(match: Match) -> Any:
        value = argument(match)
        if value is None:
            return None
        try:
            return call(value, *literals)
        except _MISFITS as fault:
            raise _misfit(name, function, [value, *literals], fault) from None

    return evaluate


def _call_two(name: str, function: Function, first: Evaluate, second: Evaluate) -> Evaluate:
    call = function.call

    def evaluate(match: Match) -> Any:
        a = first(match)
        if a is None:
            return None
        b = second(match)
        if b is None:
            return None
        try:
            return call(a, b)
        except _MISFITS as fault:
            raise _misfit(name, function, [a, b], fault) from None

    return evaluate


def _short_circuit(name: str, arguments: list[Evaluate]) -> Evaluate:
    if name == "and":
        return _all_of(arguments)
    if name == "where":
        return _choose(arguments)
    found = _any_of(arguments)
    return found if name == "or" else lambda match: not found(match)


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


def _choose(branches: list[Evaluate]) -> Evaluate:
    condition, then, otherwise = branches
    return lambda match: then(match) if condition(match) else otherwise(match)
