"""Operators that work element by element. See graphs_rules.py."""

from __future__ import annotations

from typing import Any

import torch
from graphs_record import Recorder
from graphs_rules import Arguments, Rule, input_of


def _simple(operator: str, *copied: str, **attributes: Any) -> Rule:
    """An operator of one input; `copied` are attributes that have the name of the argument."""
    return lambda r, a, y: r.emit(operator, [input_of(a)], y, **{name: float(a[name]) for name in copied}, **attributes)


def pairwise(operator: str, first: str = "self", second: str = "other") -> Rule:
    """An operator of two inputs, either of which may be a number; `alpha` scales the second."""

    def rule(r: Recorder, a: Arguments, y: Any) -> None:
        other = a[second]
        alpha = a.get("alpha", 1)
        if alpha != 1:
            scaled = r.node("Mul", [r.reference(other), r.reference(alpha, y)])
            r.note(y, r.node(operator, [r.reference(a[first], y), scaled]))
        elif isinstance(other, torch.Tensor) and isinstance(a[first], torch.Tensor):
            r.emit(operator, [a[first], other], y)
        else:
            like = a[first] if isinstance(a[first], torch.Tensor) else other
            r.note(y, r.node(operator, [r.reference(a[first], like), r.reference(other, like)]))

    return rule


def _reversed(operator: str) -> Rule:
    return lambda r, a, y: r.note(y, r.node(operator, [r.reference(a["other"], a["self"]), r.reference(a["self"])]))


def _silu(r: Recorder, a: Arguments, y: Any) -> None:
    x = r.reference(input_of(a))
    r.note(y, r.node("Mul", [x, r.node("Sigmoid", [x])]))


def _gelu(r: Recorder, a: Arguments, y: Any) -> None:
    r.emit("Gelu", [a["self"]], y, approximate="tanh" if a["approximate"] == "tanh" else None)


def _clip(low: str, high: str) -> Rule:
    def rule(r: Recorder, a: Arguments, y: Any) -> None:
        x = input_of(a)
        bounds = [r.reference(a[low], x), r.reference(a[high], x)]
        r.note(y, r.node("Clip", [r.reference(x), *(bounds if bounds[1] else bounds[:1])]))

    return rule


def _rsqrt(r: Recorder, a: Arguments, y: Any) -> None:
    r.note(y, r.node("Reciprocal", [r.node("Sqrt", [r.reference(a["self"])])]))


def _square(r: Recorder, a: Arguments, y: Any) -> None:
    r.emit("Mul", [a["self"], a["self"]], y)


def _glu(r: Recorder, a: Arguments, y: Any) -> None:
    place = r.node("Split", [r.reference(a["self"])], 2, axis=a["dim"] % a["self"].dim(), num_outputs=2)
    r.note(y, r.node("Mul", [[place, 0], r.node("Sigmoid", [[place, 1]])]))


def _masked_fill(r: Recorder, a: Arguments, y: Any) -> None:
    r.note(y, r.node("Where", [r.reference(a["mask"]), r.reference(a["value"], a["self"]), r.reference(a["self"])]))


def _where(r: Recorder, a: Arguments, y: Any) -> None:
    r.note(y, r.node("Where", [r.reference(a["condition"]), r.reference(a["self"], y), r.reference(a["other"], y)]))


def _addcmul(r: Recorder, a: Arguments, y: Any) -> None:
    place = r.node("Mul", [r.reference(a["tensor1"]), r.reference(a["tensor2"])])
    if a["value"] != 1:
        place = r.node("Mul", [place, r.reference(a["value"], y)])
    r.note(y, r.node("Add", [r.reference(a["self"]), place]))


ELEMENTS: dict[str, Rule] = {
    "relu": _simple("Relu"),
    "relu6": lambda r, a, y: r.note(y, r.node("Clip", [r.reference(a["self"]), "s:0", "s:6"])),
    "hardtanh": _clip("min_val", "max_val"),
    "clamp": _clip("min", "max"),
    "sigmoid": _simple("Sigmoid"),
    "clamp_min": lambda r, a, y: r.note(y, r.node("Clip", [r.reference(a["self"]), r.reference(a["min"], a["self"])])),
    "hardswish": _simple("HardSwish"),
    "hardsigmoid": _simple("HardSigmoid", alpha=1 / 6, beta=0.5),
    "silu": _silu,
    "gelu": _gelu,
    "mish": _simple("Mish"),
    "tanh": _simple("Tanh"),
    "softplus": _simple("Softplus"),
    "leaky_relu": lambda r, a, y: r.emit("LeakyRelu", [a["self"]], y, alpha=float(a["negative_slope"])),
    "elu": _simple("Elu", "alpha"),
    "selu": _simple("Selu"),
    "erf": _simple("Erf"),
    "exp": _simple("Exp"),
    "log": _simple("Log"),
    "sqrt": _simple("Sqrt"),
    "rsqrt": _rsqrt,
    "reciprocal": _simple("Reciprocal"),
    "sin": _simple("Sin"),
    "cos": _simple("Cos"),
    "abs": _simple("Abs"),
    "neg": _simple("Neg"),
    "square": _square,
    "glu": _glu,
    "floor": _simple("Floor"),
    "logical_not": _simple("Not"),
    **dict.fromkeys(
        ("prelu", "_prelu_kernel"),
        lambda r, a, y: r.note(
            y,
            r.node(
                "PRelu",
                [r.reference(input_of(a)), f"w:{a['weight'].numel()}x" + "x".join(["1"] * (input_of(a).dim() - 2))],
            ),
        ),
    ),
    "add": pairwise("Add"),
    "sub": pairwise("Sub"),
    "mul": pairwise("Mul"),
    "div": pairwise("Div"),
    "pow": pairwise("Pow", "self", "exponent"),
    "maximum": pairwise("Max"),
    "minimum": pairwise("Min"),
    "rsub": _reversed("Sub"),
    "addcmul": _addcmul,
    "masked_fill": _masked_fill,
    "where": _where,
    "eq": pairwise("Equal"),
    "gt": pairwise("Greater"),
    "lt": pairwise("Less"),
    "ge": pairwise("GreaterOrEqual"),
    "le": pairwise("LessOrEqual"),
}
