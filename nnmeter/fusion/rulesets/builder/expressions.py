"""Conditions and values of rules as Python expressions.

An `Expr` is a call of one of the engine's functions (`nnmeter/fusion/engine/expressions.py`). Python's operators make
bigger ones of it, so that `c.elements == w.dim(0)` is the call `["eq", ["elements", "c"], ["dim", "w", 0]]`.
"""

from __future__ import annotations

from typing import Any, TypeAlias

Value: TypeAlias = "Expr | bool | int | float | str | list[Any] | tuple[Any, ...]"


class Expr:
    """A call of an engine's function with expressions and literals; `of` is the tensor or operator that it is about."""

    __slots__ = ("arguments", "function", "of")
    __hash__ = None  # type: ignore[assignment]  # `==` makes an expression, so there is nothing to hash by

    def __init__(self, function: str, *arguments: Any, of: Any = None) -> None:
        self.function = function
        self.arguments = arguments
        self.of = of

    def __bool__(self) -> bool:
        raise TypeError(
            "a condition of a rule has no truth before it is matched; combine conditions by all_of, any_of, ~"
        )

    def __repr__(self) -> str:
        about = () if self.of is None else (self.of,)
        return f"{self.function}({', '.join(map(repr, (*about, *self.arguments)))})"

    def __eq__(self, other: Value) -> Expr:  # type: ignore[override]
        return Expr("eq", self, other)

    def __ne__(self, other: Value) -> Expr:  # type: ignore[override]
        return Expr("ne", self, other)

    def __lt__(self, other: Value) -> Expr:
        return Expr("lt", self, other)

    def __le__(self, other: Value) -> Expr:
        return Expr("le", self, other)

    def __gt__(self, other: Value) -> Expr:
        return Expr("gt", self, other)

    def __ge__(self, other: Value) -> Expr:
        return Expr("ge", self, other)

    def __add__(self, other: Value) -> Expr:
        return Expr("add", self, other)

    def __sub__(self, other: Value) -> Expr:
        return Expr("sub", self, other)

    def __rsub__(self, other: Value) -> Expr:
        return Expr("sub", other, self)

    def __mul__(self, other: Value) -> Expr:
        return Expr("mul", self, other)

    def __rmul__(self, other: Value) -> Expr:
        return Expr("mul", other, self)

    def __truediv__(self, other: Value) -> Expr:
        return Expr("div", self, other)

    def __invert__(self) -> Expr:
        return Expr("not", self)

    def __getitem__(self, index: Value | slice) -> Expr:
        """An item of a list (`v[0]`), or a part of it (`v[:-1]`, `v[2:]`, `v[2:4]`)."""
        if not isinstance(index, slice):
            return Expr("at", self, index)
        if index.step is not None:
            raise ValueError("a part of a list has no step")
        start = 0 if index.start is None else index.start
        return Expr("drop", self, start) if index.stop is None else Expr("slice", self, start, index.stop)

    def near(self, number: float, tolerance: float | None = None) -> Expr:
        """Whether a number is this one, to a relative tolerance (1e-5 where none is given)."""
        return Expr("near", self, number) if tolerance is None else Expr("near", self, number, tolerance)

    def one_of(self, *items: Value) -> Expr:
        """Whether the value is one of these."""
        return Expr("in", self, *items)

    def all_equal(self, item: Value) -> Expr:
        """Whether all items of a list are this one."""
        return Expr("all_equal", self, item)

    @property
    def length(self) -> Expr:
        """The number of items of a list."""
        return Expr("len", self)

    @property
    def product(self) -> Expr:
        """The product of the items of a list."""
        return Expr("prod", self)

    @property
    def smallest(self) -> Expr:
        """The smallest item of a list."""
        return Expr("sorted", self)[0]

    @property
    def reversed(self) -> Expr:
        """The list from its end."""
        return Expr("reversed", self)

    @property
    def inverse(self) -> Expr:
        """The permutation that undoes this one."""
        return Expr("inverse", self)

    def permuted(self, permutation: Value) -> Expr:
        """The items in another order."""
        return Expr("permute", self, permutation)

    def plus_each(self, other: Value) -> Expr:
        """The sums of items in the same place of two lists."""
        return Expr("plus", self, other)

    def as_places(self, count: Value) -> Expr:
        """Axes counted from the front of `count` dimensions, in order."""
        return Expr("places", self, count)

    def with_one_at(self, index: Value) -> Expr:
        """A shape in which one dimension is 1."""
        return Expr("one_at", self, index)


def all_of(*conditions: Value) -> Expr:
    """Whether all conditions hold."""
    return Expr("and", *conditions)


def any_of(*conditions: Value) -> Expr:
    """Whether one of the conditions holds."""
    return Expr("or", *conditions)


def choose(condition: Value, then: Value, otherwise: Value) -> Expr:
    """One of two values."""
    return Expr("where", condition, then, otherwise)


def concat(*parts: Value) -> Expr:
    """The items of several lists as one list."""
    return Expr("concat", *parts)


def repeat(item: Value, count: Value) -> Expr:
    """A list of a number, `count` times."""
    return Expr("repeat", item, count)


def indices(count: Value) -> Expr:
    """The numbers from 0, `count` of them: the permutation that moves nothing."""
    return Expr("range", count)


def largest(*values: Value) -> Expr:
    """The largest of some numbers."""
    return Expr("max", *values)


def broadcast(left: Value, right: Value) -> Expr:
    """The shape of an element-wise operation of two shapes."""
    return Expr("broadcast", left, right)


def rounded_up(number: Value, multiple: Value) -> Expr:
    """The next multiple of a number."""
    return Expr("round_up", number, multiple)


def keeps_order(shape: Value, permutation: Value) -> Expr:
    """Whether a permutation moves only dimensions of 1."""
    return Expr("keeps_order", shape, permutation)


def param(name: str) -> Expr:
    """A parameter of the rule set."""
    return Expr("param", name)


def opset() -> Expr:
    """The version of ai.onnx that the model is written in."""
    return Expr("opset", "")
