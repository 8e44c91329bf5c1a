"""Free dimensions that follow from others.

Rules:
1. Exporters name a dimension by an expression of others (`past_sequence_length + 1`, `2*s0`, `s13 + s53`). It is one if
   it is made of whole numbers, `+ - * //`, parentheses and names that are dimensions of the model themselves.
2. Such a dimension follows from the others. Where it is given and one other is not, that one follows from it.
3. What is given twice must agree; a size below 0 is none.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Collection, Mapping

from nnmeter.errors import ModelError

_LONGEST = 200  # characters of an expression; what is longer is a name
_TOKEN = re.compile(r"\s*(?:(\d+)|([A-Za-z_][\w.]*)|(//|[-+*()]))")

Sizes = Mapping[str, int]
Expression = Callable[[Sizes], int]


class _Parser:
    """Recursive descent over sums, products and parentheses; ValueError where a text is no expression."""

    def __init__(self, text: str, names: Collection[str]) -> None:
        self._names = names
        self._whole = text  # no part of itself
        self.used: dict[str, None] = {}
        self._tokens: list[re.Match[str]] = []
        text, end = text.strip(), 0
        while end < len(text):
            found = _TOKEN.match(text, end)
            if found is None:
                raise ValueError(text)
            self._tokens.append(found)
            end = found.end()
        self._next = 0

    def whole(self) -> Expression:
        found = self._sum()
        if self._next != len(self._tokens):
            raise ValueError("more")
        return found

    def _take(self, *operators: str) -> str:
        if self._next < len(self._tokens) and self._tokens[self._next].group(3) in operators:
            self._next += 1
            return str(self._tokens[self._next - 1].group(3))
        return ""

    def _sum(self) -> Expression:
        left = self._product()
        while operator := self._take("+", "-"):
            left = _joined(operator, left, self._product())
        return left

    def _product(self) -> Expression:
        left = self._atom()
        while operator := self._take("*", "//"):
            left = _joined(operator, left, self._atom())
        return left

    def _atom(self) -> Expression:
        if self._take("("):
            inner = self._sum()
            if not self._take(")"):
                raise ValueError("open")
            return inner
        if self._next >= len(self._tokens):
            raise ValueError("short")
        number, name, _ = self._tokens[self._next].groups()
        self._next += 1
        if number is not None:
            value = int(number)
            return lambda sizes: value
        if name is None or name not in self._names or name == self._whole:
            raise ValueError("unknown")
        self.used[name] = None
        return lambda sizes: sizes[name]


def _joined(operator: str, left: Expression, right: Expression) -> Expression:
    if operator == "+":
        return lambda sizes: left(sizes) + right(sizes)
    if operator == "-":
        return lambda sizes: left(sizes) - right(sizes)
    if operator == "*":
        return lambda sizes: left(sizes) * right(sizes)
    return lambda sizes: left(sizes) // right(sizes)


def expressions(names: Collection[str]) -> dict[str, tuple[tuple[str, ...], Expression]]:
    """Those of a model's dimensions that follow from others: the names each is made of, and how."""
    found = {}
    known = frozenset(names)
    for name in names:
        if len(name) > _LONGEST or name.isidentifier():
            continue
        try:
            parser = _Parser(name, known)
            expression = parser.whole()
        except (ValueError, RecursionError):
            continue
        if parser.used:
            found[name] = (tuple(parser.used), expression)
    return found


def with_derived(source: str, names: Collection[str], given: Sizes) -> dict[str, int]:
    """The sizes that are given and those that follow from them (rules 2 and 3).

    Args:
        source: what errors call the model.
        names: its free dimensions.
        given: sizes by name; others than those of the model are passed on.

    Raises:
        ModelError: sizes contradict one another.
    """
    sizes = dict(given)
    known = expressions(names)
    concerned: dict[str, list[str]] = {}  # by a dimension, the expressions that it is part of, and itself
    for name, (parts, _) in known.items():
        for part in (name, *parts):
            concerned.setdefault(part, []).append(name)
    pending = deque(known)
    while pending:
        name = pending.popleft()
        parts, expression = known[name]
        missing = [part for part in parts if part not in sizes]
        before = len(sizes)
        if not missing:
            _check(source, name, parts, _value(expression, sizes), sizes)
            learned = name
        elif len(missing) == 1 and name in sizes:
            learned = missing[0]
            found = _solved(expression, learned, sizes[name], sizes)
            if found is not None:
                sizes[learned] = found
        if len(sizes) > before:
            pending.extend(concerned[learned])
    return sizes


def _value(expression: Expression, sizes: Sizes) -> int | None:
    try:
        return expression(sizes)
    except ZeroDivisionError:
        return None


def _check(source: str, name: str, parts: tuple[str, ...], value: int | None, sizes: dict[str, int]) -> None:
    from_parts = ", ".join(f"{part} = {sizes[part]}" for part in parts)
    if value is None or value < 0:
        raise ModelError(f"{source}: dimension '{name}' cannot be made of {from_parts}; give other sizes")
    if sizes.setdefault(name, value) != value:
        raise ModelError(
            f"{source}: dimension '{name}' is given as {sizes[name]}, but is {value} with {from_parts}; "
            "give only one of them"
        )


def _solved(expression: Expression, unknown: str, value: int, sizes: Sizes) -> int | None:
    """The size of the one unknown name of an expression that is linear in it."""
    at = [_value(expression, {**sizes, unknown: size}) for size in (0, 1, 2)]
    if at[0] is None or at[1] is None or at[2] is None or at[2] - at[1] != at[1] - at[0] or at[1] == at[0]:
        return None
    found, rest = divmod(value - at[0], at[1] - at[0])
    return found if not rest and found >= 0 else None
