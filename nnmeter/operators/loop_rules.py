"""The rules that count the nanoseconds of loops; the table of them is `nnmeter.operators.loops`.

A rule is a sentence and a function, as those of FLOPs are. It says nothing, 0, of what it was not measured for.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log, log2

from nnmeter.graph.ir import TensorType
from nnmeter.operators.flops import (
    Attributes,
    FlopRule,
    Types,
    in_elements,
    out_elements,
    product,
    selectable,
    shape,
)  # fmt: skip

_USUALLY_SELECTED = 200  # boxes of a class that real images have at most
_LANES = 16  # of a vector register, more or less
_USUAL_SAMPLES = 2  # of a cell of a region, where data decide
_WIDE = ("int64", "uint64")
_EIGHT_BYTES = ("float64", *_WIDE)


def dtype_of(types: Types) -> str:
    """Element type of the first input; "" where there is none."""
    return types[0].dtype if types and types[0] is not None else ""


def each(usual: float = 0.0, **ns: float) -> FlopRule:
    """Nanoseconds of an output element by the element type of the first input, and of types that are not named."""

    def count(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
        return ns.get(dtype_of(inputs), usual) * out_elements(outputs)

    named = [f"{value:g} of {name}" for name, value in ns.items()]
    return FlopRule(f"an output element: {', '.join([*named, f'else {usual:g}'])}", count)


def scaled(factor: float, rule: FlopRule) -> FlopRule:
    """So many nanoseconds for each operation of another rule."""
    return FlopRule(
        f"{factor:g} ns an operation",
        lambda attributes, inputs, outputs: factor * rule.evaluate(attributes, inputs, outputs),
    )


def of_types(rule: FlopRule, *dtypes: str) -> FlopRule:
    """A rule for some element types of the first input."""

    def count(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
        return rule.evaluate(attributes, inputs, outputs) if dtype_of(inputs) in dtypes else 0.0

    return FlopRule(f"{rule.words}, of {', '.join(dtypes)}", count)


def but_types(rule: FlopRule, *dtypes: str) -> FlopRule:
    """A rule for all element types of the first input but some."""

    def count(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
        return 0.0 if dtype_of(inputs) in dtypes else rule.evaluate(attributes, inputs, outputs)

    return FlopRule(f"{rule.words}, but of {', '.join(dtypes)}", count)


def along(rows: float, outer: float, wide: float = 0.0, whole: float = 0.0, axis: int = -1) -> FlopRule:
    """Nanoseconds of an input element.

    Args:
        rows: along most axes.
        outer: along one whose elements collide in the cache (`_collides`).
        wide: of integers of 64 bits, as the others for 0.
        whole: of floating-point numbers that one result is made of, as along rows for 0.
        axis: that the operator runs along if its attributes do not say.
    """

    def count(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
        dtype = dtype_of(inputs)
        if wide and dtype in _WIDE:
            return wide * in_elements(inputs)
        if whole and dtype.startswith("float") and out_elements(outputs) == 1:
            return whole * in_elements(inputs)
        return (outer if _collides(_inside(attributes, inputs, axis), dtype) else rows) * in_elements(inputs)

    return FlopRule(f"{rows:g} ns an element, {outer:g} at steps that collide in the cache", count)


def _collides(step: int, dtype: str) -> bool:
    """Whether elements so many apart fall into few sets of a cache, as those at a multiple of 1 KiB do."""
    return step > 1 and step * (8 if dtype in _EIGHT_BYTES else 4) % 1024 == 0


def by_kind(floats: FlopRule, others: FlopRule) -> FlopRule:
    """A rule for floating-point numbers, and another one for all else."""

    def count(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
        rule = floats if dtype_of(inputs).startswith(("float", "bfloat")) else others
        return rule.evaluate(attributes, inputs, outputs)

    return FlopRule(f"{floats.words} (floating point); {others.words} (integers)", count)


def _inside(attributes: Attributes, inputs: Types, default: int = -1) -> int:
    """Elements inside of the last of the axes that an operator runs along."""
    x = shape(inputs, 0)
    axes = attributes.get("axes") or (attributes.get("axis", default),)
    known = [axis % len(x) for axis in axes if isinstance(axis, int) and -len(x) <= axis < len(x)]
    return product(x[max(known) + 1 :]) if known else 1


def _windows(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    return out_elements(outputs) * product(attributes.get("kernel_shape") or (1,))


def _selection(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    return in_elements(inputs, 1) * (14 + 2 * min(selectable(attributes, inputs), _USUALLY_SELECTED) / 8)


def elimination(once: float, square: float, cube: float) -> FlopRule:
    """Nanoseconds of a matrix of n rows: `once + square x n^2 + cube x n^3`."""

    def count(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
        rows = (shape(inputs, 0) or (1,))[-1]
        return in_elements(inputs) / max(rows * rows, 1) * (once + square * rows**2 + cube * rows**3)

    return FlopRule(f"{once:g} + {square:g} n^2 + {cube:g} n^3 ns a matrix of n rows", count)


def _grid(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    mode = str(attributes.get("mode", "linear"))
    of_pictures, of_volumes = _GRID.get(mode.removeprefix("bi"), _GRID["linear"])
    return (of_volumes if len(shape(inputs, 0)) > 4 else of_pictures) * out_elements(outputs)


def _region(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    samples = int(attributes.get("sampling_ratio", 0)) ** 2 or _USUAL_SAMPLES
    return 6 * max(samples, 1.25) * out_elements(outputs)


def _deformed(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    x, w, y = shape(inputs, 0), shape(inputs, 1), outputs[0].shape if outputs else ()
    return 2.5 * product(x[:2]) * product(w[2:]) * product(y[2:])


def _running(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    """Each sum waits for the one before, unless whole rows are added."""
    lanes = _inside(attributes, inputs)
    alone = 4.0 if dtype_of(inputs).startswith("float") else 1.7
    return in_elements(inputs) * (alone if lanes == 1 else 2 if lanes < _LANES else 0.4)


def _largest(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    """Each element is compared; of those in no order, k (1 + ln(n / k)) enter a heap of k on the way."""
    x, y = shape(inputs, 0), outputs[0].shape if outputs else ()
    axis = int(attributes.get("axis", -1))
    if not x or len(x) != len(y) or not -len(x) <= axis < len(x):
        return 4.0 * in_elements(inputs)
    n, k = max(x[axis], 1), max(min(y[axis], x[axis]), 1)
    return in_elements(inputs) / n * (1.2 * n + 5 * k * (1 + log(n / k)) * log2(k + 1))


def _indexed_rows(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    """A row that is written takes a call, and one that is added to the others a loop."""
    indices = shape(inputs, 1)
    rows = product(indices[:-1])
    added = 0.0 if attributes.get("reduction", "none") == "none" else 0.45
    return 10.0 * rows + added * in_elements(inputs, 2) + 0.1 * out_elements(outputs)


def _taken_rows(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    """What lies side by side is copied by one call."""
    inside = _inside(attributes, inputs, 0)
    return (8.0 / max(inside, 1) + 0.1) * out_elements(outputs)


def _taken_parts(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    return 20.0 * product(shape(inputs, 1)[:-1]) + 0.1 * out_elements(outputs)


def _one_hot(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    y, axis = outputs[0].shape if outputs else (), attributes.get("axis", -1)
    inside = product(y[axis % len(y) + 1 :]) if y and isinstance(axis, int) else 1
    return (0.6 if inside >= _LANES else 2.4) * out_elements(outputs)


def _cast(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    source, target = dtype_of(inputs), outputs[0].dtype if outputs else ""
    if target == "string":
        ns = 180.0 if source.startswith(("float", "bfloat")) else 22.0
    elif source == "string":
        ns = 60.0
    elif target == "float16":
        ns = 0.0 if source == "float32" else 3.4 if source == "bool" else 1.6
    else:
        ns = 1.2 if source == "float16" and target not in ("float32", "bool") else 0.0
    return ns * out_elements(outputs)


def _resized(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    """What was measured beside pictures of float32: other ranks, other element types, antialias."""
    x, mode = shape(inputs, 0), str(attributes.get("mode", "nearest"))
    if attributes.get("antialias"):
        ns = 2.2 * max(in_elements(inputs) / max(out_elements(outputs), 1), 1)
    elif len(x) not in (2, 4):
        ns = {"nearest": 1.6 if len(x) < 4 else 11.0, "linear": 5.5}.get(mode, 0.0)
    else:
        ns = 0.0 if dtype_of(inputs) == "float32" else {"nearest": 1.1, "linear": 4.0}.get(mode, 0.0)
    return ns * out_elements(outputs)


def _moved(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    """Elements of eight bytes that do not stay side by side are moved one by one."""
    x, y, dtype = shape(inputs, 0), outputs[0].shape if outputs else (), dtype_of(inputs)
    perm = attributes.get("perm") or tuple(range(len(x)))[::-1]
    last = len(x) - 1
    if dtype not in _EIGHT_BYTES or len(y) != len(x) or sorted(perm) != list(range(len(x))) or perm[-1] == last:
        return 0.0
    step = product(y[list(perm).index(last) + 1 :])
    return (2.8 if _collides(step, dtype) else 0.45) * out_elements(outputs)


def _strided(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    steps = attributes.get("strides") or ()
    return 0.9 * out_elements(outputs) if any(step != 1 for step in steps) else 0.0


def _nested(attributes: Attributes, inputs: Types, outputs: Sequence[TensorType]) -> float:
    return float(attributes.get("nested_flops", 0))


_GRID = {"nearest": (12.0, 17.0), "linear": (6.0, 50.0), "cubic": (60.0, 60.0)}  # of pictures and of volumes

WINDOWS = FlopRule("an element of each window", _windows)
SELECTION = FlopRule("14 ns a score, 2 for an eighth of the boxes that can be selected", _selection)
GRID = FlopRule("6 ns an output element of pictures, 50 of volumes; 12 and 17 nearest, 60 cubic", _grid)
REGIONS = FlopRule("6 ns a sample", _region)
DEFORMED = FlopRule("2.5 ns for each input element of each window", _deformed)
RUNNING = FlopRule("4 ns a sum, 1.7 of integers, 0.4 where whole rows are added", _running)
LARGEST = FlopRule("1.2 ns an element, 5 for each step in the heap of the largest", _largest)
INDEXED_ROWS = FlopRule("10 ns a row, 0.45 an element that is added, 0.1 an output element", _indexed_rows)
TAKEN_ROWS = FlopRule("8 ns for what lies side by side, 0.1 an output element", _taken_rows)
TAKEN_PARTS = FlopRule("20 ns a part, 0.1 an output element", _taken_parts)
ONE_HOT = FlopRule("2.4 ns an output element, 0.6 where the new axis is an outer one", _one_hot)
CAST = FlopRule("180 ns to words, 22 of integers, 60 from words, 1.2 to 3.4 to and from half precision", _cast)
RESIZED = FlopRule("1 to 11 ns an output element by rank, mode and element type", _resized)
MOVED = FlopRule("0.45 ns an element of eight bytes, 2.8 at steps that collide in the cache", _moved)
STRIDED = FlopRule("0.9 ns an output element of a slice with steps", _strided)
NOTED_FLOPS = FlopRule("an operation of the classical model", _nested)
