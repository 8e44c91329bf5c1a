"""What rules for OpenVINO state in the same words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nnmeter.fusion.rulesets.builder import Expr, Op, Rule, Tensor, all_of, any_of

CONVOLUTIONS = ("Conv", "ConvTranspose")
SWAPPED = (False, True)
RETYPE = "Retype"  # a reorder that changes the element type
ZERO_POINT = "ZeroPoint"  # what integers are less their zero point, as numbers
TOLERANCE = 0.001

# What the plugin compiles into loops and runs behind products: operators that work on one element at a time.
ELEMENT_WISE = (
    *("Add", "Sub", "Mul", "Div", "Pow", "Mod", "Max", "Min", "PRelu", "Equal", "Greater", "GreaterOrEqual", "Less"),
    *("LessOrEqual", "And", "Or", "Xor", "Where", "Abs", "Clip", "Floor", "Ceil", "Round", "Elu", "Erf", "Exp", "Not"),
    *("Neg", "Relu", "LeakyRelu", "Sigmoid", "Sqrt", "Tanh", "Gelu", "Swish", "HardSwish", "Reciprocal"),
    *("QuantizeLinear", "DequantizeLinear", ZERO_POINT, "Cast"),
)


def named(name: str, *swaps: bool) -> str:
    """The name of a rule, and of its mirrored forms: one "(swapped)" for each operator whose inputs are swapped."""
    return " ".join([name, *("(swapped)" for swap in swaps if swap)])


def ordered(swapped: bool, left: Tensor, right: Tensor) -> Sequence[Tensor]:
    """The two inputs of an operator, in the other order for the mirrored form of a rule."""
    return (right, left) if swapped else (left, right)


def binary(kind: str, inverse: str, swapped: bool, left: Tensor, right: Tensor, name: str = "") -> Op:
    """An operator of two inputs or, unless it is swapped, its inverse: Mul or Div by a constant, Add or Sub of one."""
    return Op(kind if swapped else (kind, inverse), *ordered(swapped, left, right), name=name or kind.lower())


def number(c: Tensor, value: float) -> Expr:
    """A constant of one element, as near to a number as exporters write it."""
    return c.scalar.near(value, TOLERANCE)


def by_channel(c: Tensor, a: Tensor) -> Expr:
    """`c` holds one number for each channel of `a`: shape [C,1,1] or [1,C,1,1]."""
    channels = a.dim(1)
    return all_of(
        c.elements == channels,
        any_of(all_of(c.rank == a.rank - 1, c.dim(0) == channels), all_of(c.rank == a.rank, c.dim(1) == channels)),
    )


def scalar_or_by_channel(c: Tensor, a: Tensor) -> Expr:
    """`c` holds one number, or one for each channel of `a`."""
    return any_of(c.elements == 1, by_channel(c, a))


def of_the_file_or_scalar(c: Tensor) -> Expr:
    """A constant that the file holds, or one of one element: not one that was computed from others."""
    return any_of(c.is_stored, c.elements == 1)


def mirrored(rules: Iterable[Iterable[Rule]]) -> list[Rule]:
    """Rules, then their mirrored forms."""
    return [rule for form in rules for rule in form]
