"""Sweeps of element-wise operators: every one of the standard, by types, ranks and patterns of broadcasting."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

from nnmeter.lab.campaign.recipes.builder import (
    BOOL,
    DOUBLE,
    FLOAT,
    FLOAT16,
    INT8,
    INT32,
    INT64,
    UINT8,
    Tensor,
)
from nnmeter.lab.campaign.recipes.sweeps.source import Source
from nnmeter.operators.table import OPERATORS

OPSET = 20
_NOT_SWEPT = frozenset({"Cast", "BitCast", "Dropout", "Identity"})  # swept below, or nothing to run
# Where an operator is defined on a part of the numbers only.
_DOMAINS = {
    "Acosh": "above_1", "Acos": "within", "Asin": "within", "Atanh": "within", "Log": "within", "Sqrt": "within",
    "Reciprocal": "within",
}  # fmt: skip
_ARITHMETIC = (("Add", 6), ("Mul", 6), ("Sub", 3), ("Div", 3), ("Pow", 2.5), ("PRelu", 1.5), ("Mod", 0.5))
_COMPARISONS = ("Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual")
_LOGIC = ("And", "Or", "Xor")
_BITS = ("BitwiseAnd", "BitwiseOr", "BitwiseXor")
_MOST_SINGLE = 1 << 17  # elements where the last axis has one
_TYPES = ((FLOAT, 70), (INT64, 12), (INT32, 8), (DOUBLE, 5), (FLOAT16, 5))


@cache
def unary_operators() -> tuple[str, ...]:
    """Operators of one float tensor and one like it that need no attribute, by the standard's schemas."""
    from onnx import defs

    found = []
    for name, operator in OPERATORS.items():
        if operator.family != "elementwise" or name in _NOT_SWEPT or not defs.has(name, OPSET, ""):
            continue
        schema = defs.get_schema(name, OPSET, "")
        kinds = next((set(c.allowed_type_strs) for c in schema.type_constraints), set())
        needs = any(attribute.required for attribute in schema.attributes.values())
        if schema.min_input == 1 == schema.max_input == schema.max_output and "tensor(float)" in kinds and not needs:
            same = schema.inputs[0].type_str == schema.outputs[0].type_str
            if same:
                found.append(name)
    return tuple(sorted(found))


def unary(s: Source) -> None:
    """One operator of one tensor, any of the standard's; some in half or double precision."""
    name = s.rng.choice(unary_operators())
    dtype = s.choose((FLOAT, 85), (FLOAT16, 10), (DOUBLE, 5)) if name in ("Relu", "Tanh", "Sigmoid", "Exp") else FLOAT
    shape = s.shape()
    domain = _DOMAINS.get(name)
    x = s.between_0_and_1(shape) if domain else s.tensor(shape, dtype)
    if domain == "above_1":
        x = s.b.node("Add", [x, s.b.scalar(1.5)], shape)
    attributes = {"approximate": s.rng.choice(("none", "tanh"))} if name == "Gelu" else {}
    s.b.node(name, [x], shape, dtype=dtype, flops=12.0 * x.elements, **attributes)


def _partner(s: Source, shape: Sequence[int]) -> tuple[int, ...]:
    """A shape that broadcasts against another one: equal, scalar, trailing, channels, leading, or any axes."""
    rank = len(shape)
    kind = s.choose(
        ("equal", 25), ("scalar", 12), ("one", 6), ("trailing", 20), ("channels", 12), ("leading", 8), ("any", 17)
    )
    if kind == "equal":
        return tuple(shape)
    if kind == "scalar":
        return ()
    if kind == "one":
        return (1,) * s.rng.choice((1, 1, rank, s.rng.randint(1, rank)))
    if kind == "trailing":
        return tuple(shape[s.rng.randrange(rank) :])
    if kind == "channels" and rank > 2:
        return (shape[1], *[1] * (rank - 2)) if s.rng.random() < 0.5 else (1, shape[1], *[1] * (rank - 2))
    if kind == "leading":
        kept = s.rng.randint(1, rank)
        return (*shape[:kept], *[1] * (rank - kept))
    return tuple(size if s.rng.random() < 0.5 else 1 for size in shape)


def _pair(s: Source, dtype: int, both: bool = True) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    """Two operands and the shape of what they make; both sides may be broadcast where `both`.

    In some the last axis, or the last two, have one element: what is broadcast there is computed element by element.
    """
    shape = s.shape()
    if len(shape) > 1 and s.rng.random() < 0.12:
        single = s.rng.choice((1, 1, 1, 2)) if len(shape) > 2 else 1
        shape = (*s.shape(len(shape) - single, _MOST_SINGLE), *[1] * single)
    other = _partner(s, shape)
    x = s.tensor(shape, dtype)
    if dtype in (FLOAT, FLOAT16):
        y = s.operand(other, dtype, 0.6 if len(other) < 2 or math.prod(other) < 4096 else 0.3)
    else:
        y = s.b.constant(2, dtype) if not other else s.b.input(other, dtype)
    return (y, x, tuple(shape)) if both and s.rng.random() < 0.2 else (x, y, tuple(shape))


def arithmetic(s: Source) -> None:
    """Binary operators of all types and patterns of broadcasting."""
    name = s.choose(*_ARITHMETIC)
    dtype = s.choose(*_TYPES)
    if name in ("PRelu", "Pow"):
        dtype = FLOAT
    if name == "Mod":
        dtype = s.rng.choice((INT64, INT32))
    if name in ("Div", "Mod") and dtype in (INT64, INT32):  # a random divisor may be 0
        shape = s.shape()
        s.b.node(name, [s.tensor(shape, dtype), s.b.constant(3, dtype)], shape, dtype=dtype)
        return
    if name == "Pow":
        shape = s.shape()
        exponent = s.rng.choice((2.0, 2.0, 3.0, 0.5, 1.7))
        s.b.node(name, [s.between_0_and_1(shape), s.b.scalar(exponent)], shape, flops=20.0 * math.prod(shape))
        return
    x, y, shape = _pair(s, dtype, both=name != "PRelu")
    if name == "Div" and y.name.startswith(("input", "conv", "matmul")):
        y = s.b.node("Add", [s.b.node("Abs", [y], y.shape), s.b.constant(0.5, dtype)], y.shape)
    s.b.node(name, [x, y], shape, dtype=dtype)


def comparison(s: Source) -> None:
    """Comparisons, logic and bits, which write booleans or whole numbers."""
    kind = s.choose(("compare", 60), ("logic", 25), ("bits", 8), ("not", 7))
    if kind == "not":
        shape = s.shape()
        s.b.node("Not", [s.tensor(shape, BOOL)], shape, dtype=BOOL)
        return
    if kind == "compare":
        x, y, shape = _pair(s, s.choose((FLOAT, 60), (INT64, 25), (INT32, 15)))
        s.b.node(s.rng.choice(_COMPARISONS), [x, y], shape, dtype=BOOL)
        return
    dtype = BOOL if kind == "logic" else s.rng.choice((INT32, INT64))
    shape = s.shape()
    other = _partner(s, shape)
    y = s.b.input(other, dtype) if other else s.b.constant(1, dtype)
    s.b.node(s.rng.choice(_LOGIC if kind == "logic" else _BITS), [s.tensor(shape, dtype), y], shape, dtype=dtype)


def choice(s: Source) -> None:
    """Where: each of its three inputs broadcast, of several types."""
    dtype = s.choose((FLOAT, 75), (INT64, 17), (UINT8, 8))
    shape = s.shape()
    test = s.tensor(_partner(s, shape) or (1,), BOOL)
    x = s.tensor(shape, dtype)
    y = s.b.constant(0, dtype) if s.rng.random() < 0.5 else s.tensor(_partner(s, shape) or (1,), dtype)
    branches = [x, y] if s.rng.random() < 0.5 else [y, x]
    s.b.node("Where", [test, *branches], shape, dtype=dtype)


def variadic(s: Source) -> None:
    """Max, Min, Sum and Mean of one to five tensors, broadcast or not."""
    name = s.rng.choice(("Max", "Min", "Sum", "Sum", "Mean"))
    dtype = s.choose((FLOAT, 85), (INT64, 15)) if name in ("Max", "Min") else FLOAT
    shape = s.shape()
    others = (shape if s.rng.random() < 0.6 else _partner(s, shape) or (1,) for _ in range(s.rng.choice((1, 1, 2, 4))))
    parts = [s.tensor(shape, dtype), *(s.tensor(other, dtype) for other in others)]
    s.b.node(name, parts, shape, dtype=dtype, flops=float(len(parts) * math.prod(shape)))


def cast(s: Source) -> None:
    """Cast between any two types."""
    kinds = ((FLOAT, 40), (INT64, 20), (INT32, 12), (BOOL, 10), (FLOAT16, 8), (UINT8, 5), (INT8, 2), (DOUBLE, 3))
    source = s.choose(*kinds)
    target = s.choose(*[(kind, weight) for kind, weight in kinds if kind != source])
    shape = s.shape()
    s.cast(s.tensor(shape, source), target)


def clip(s: Source) -> None:
    """Clip by constants, by tensors, and of whole numbers."""
    dtype = s.choose((FLOAT, 85), (INT64, 8), (INT32, 7))
    shape = s.shape()
    low = s.b.constant(0, dtype)
    high = s.b.constant(6, dtype) if s.rng.random() < 0.8 else None
    s.b.node("Clip", [s.tensor(shape, dtype), low, high][: 3 if high is not None else 2], shape, dtype=dtype)


def quantization(s: Source) -> None:
    """QuantizeLinear and DequantizeLinear by tensor and by axis, signed and unsigned; DynamicQuantizeLinear."""
    kind = s.choose(("QuantizeLinear", 40), ("DequantizeLinear", 40), ("DynamicQuantizeLinear", 20))
    shape = s.shape()
    if kind == "DynamicQuantizeLinear":
        x = s.floats(shape)
        s.b.node_with_outputs(kind, [x], [shape, (), ()], dtypes=[UINT8, FLOAT, UINT8], flops=4.0 * x.elements)
        return
    dtype = s.rng.choice((UINT8, INT8))
    axis = s.rng.randrange(len(shape))
    by_axis = s.rng.random() < 0.4 and shape[axis] > 1
    size = shape[axis]
    scale = s.b.weight((size,), 0.01, mean=0.05, positive=True) if by_axis else s.b.scalar(0.05)
    zero = s.b.constant([0] * size if by_axis else 0, dtype)
    attributes = {"axis": axis} if by_axis else {}
    if kind == "QuantizeLinear":
        s.b.node(kind, [s.floats(shape), scale, zero], shape, dtype=dtype, flops=2.0 * math.prod(shape), **attributes)
    else:
        s.b.node(
            kind, [s.tensor(shape, dtype), scale, zero], shape, dtype=FLOAT, flops=2.0 * math.prod(shape), **attributes
        )


CASES: dict[str, tuple[Any, float]] = {
    "unary": (unary, 12.0),
    "arithmetic": (arithmetic, 16.0),
    "comparison": (comparison, 4.0),
    "Where": (choice, 4.0),
    "variadic": (variadic, 3.0),
    "Cast": (cast, 5.0),
    "Clip": (clip, 2.0),
    "QuantizeLinear": (quantization, 4.0),
}
"""Operator (or several that are swept as one) -> its sweep and its weight."""
