"""Expressions as text: `rank(x) == 2` for `["eq", ["rank", "x"], 2]`, and what the parts of one are on a graph.

1. Comparisons and arithmetic are written with their signs, `and`, `or` and `not` as words, all else as calls.
2. The parts of a condition are its calls that read the match, each once: with their values they say why it fails. Of
   conditions joined by `and`, the first that fails is the one to name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nnmeter.fusion.engine.expressions import Expression, compile_checked
from nnmeter.fusion.engine.functions import ON_GRAPH, ON_NODES, ON_TENSORS, Match

_LONGEST_VALUE = 60
_SIGNS: dict[str, str] = {
    "eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "add": "+", "sub": "-", "mul": "*",
    "div": "/", "mod": "%", "and": "and", "or": "or",
}  # fmt: skip


def expression_text(expression: Expression) -> str:
    """An expression as a person would write it (rule 1)."""
    if not isinstance(expression, (list, tuple)):
        return _literal(expression)
    name, *arguments = expression
    if name in _SIGNS:
        return f" {_SIGNS[name]} ".join([_operand(argument) for argument in arguments])
    if name == "not":
        return f"not {_operand(['and', *arguments] if len(arguments) > 1 else arguments[0])}"
    if name == "in":
        return f"{_operand(arguments[0])} in ({', '.join(map(expression_text, arguments[1:]))})"
    if name == "list":
        return f"[{', '.join(map(expression_text, arguments))}]"
    if name in ON_TENSORS or name in ON_NODES:
        subject, *others = arguments
        names = [subject, *others] if name == "same" else [subject, *map(expression_text, others)]
        return f"{name}({', '.join(map(str, names))})"
    return f"{name}({', '.join(map(expression_text, arguments))})"


def condition_on(expression: Expression, match: Match) -> str:
    """A condition with the values of its parts on a match (rule 2): `rank(x) == 2: rank(x) is 3`."""
    failed = _first_failed(expression, match)
    found = [f"{expression_text(part)} is {value_text(compile_checked(part)(match))}" for part in _parts(failed)]
    return f"{expression_text(failed)}: {', '.join(found)}" if found else expression_text(failed)


def value_text(value: Any) -> str:
    """A value as it stands in a trace: lists in brackets, long ones cut, null as `unknown`."""
    if value is None:
        return "unknown"
    text = f"[{', '.join(map(_literal, value))}]" if isinstance(value, (list, tuple)) else _literal(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 4]} ..."


def _literal(value: Any) -> str:
    if isinstance(value, str):
        return f"'{value}'"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def _operand(expression: Expression) -> str:
    text = expression_text(expression)
    joins = isinstance(expression, (list, tuple)) and (expression[0] in _SIGNS or expression[0] in ("in", "not"))
    return f"({text})" if joins else text


def _first_failed(expression: Expression, match: Match) -> Expression:
    if isinstance(expression, (list, tuple)) and expression[0] == "and":
        for part in expression[1:]:
            if not compile_checked(part)(match):
                return _first_failed(part, match)
    return expression


def _parts(expression: Expression) -> list[Expression]:
    found: dict[str, Expression] = {}
    for part in _reading(expression):
        found.setdefault(repr(part), part)
    return list(found.values())


def _reading(expression: Expression) -> Iterator[Expression]:
    if not isinstance(expression, (list, tuple)):
        return
    if expression[0] in ON_TENSORS or expression[0] in ON_NODES or expression[0] in ON_GRAPH:
        yield expression
        return
    for argument in expression[1:]:
        yield from _reading(argument)
