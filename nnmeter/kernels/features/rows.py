"""Kernels that combine the elements of rows: normalization, softmax and reductions."""

from __future__ import annotations

from nnmeter.kernels.family import Family
from nnmeter.kernels.features.common import at, log_size, product, result_of, shape_of
from nnmeter.kernels.kernel import KernelSignature

ROW_NAMES = ("log_rows", "log_columns", "log_inner", "columns_mod_16")


def rows(s: KernelSignature) -> list[float]:
    """In the order of `ROW_NAMES`."""
    x = shape_of(s, 0)
    axis = s.attribute("axis", -1)
    axis = axis + len(x) if axis < 0 else axis
    columns = at(x, axis, 1) if s.op_type in ("Softmax", "LogSoftmax", "Hardmax") else product(x[axis:])
    inner = product(x[axis + 1 :]) if s.op_type in ("Softmax", "LogSoftmax", "Hardmax") else 1
    return [log_size(product(x[:axis])), log_size(columns), log_size(inner), float(columns % 16)]


REDUCTION_NAMES = ("log_outer", "log_reduced", "log_inner", "contiguous", "log_in_elements")


def reduction(s: KernelSignature) -> list[float]:
    """In the order of `REDUCTION_NAMES`."""
    x, y = shape_of(s, 0), result_of(s)
    axes = s.attribute("axes")
    if axes is None:
        axis = s.attribute("axis")
        axes = (axis,) if axis is not None else _reduced_axes(x, y)
    marks = {a + len(x) if a < 0 else a for a in axes} or set(range(len(x)))
    first, last = min(marks, default=0), max(marks, default=0)
    return [
        log_size(product(x[:first])),
        log_size(product([x[a] for a in marks if 0 <= a < len(x)])),
        log_size(product(x[last + 1 :])),
        float(len(marks) == last - first + 1),
        log_size(product(x)),
    ]


def _reduced_axes(x: tuple[int, ...], y: tuple[int, ...]) -> tuple[int, ...]:
    if len(x) == len(y):
        return tuple(i for i, (a, b) in enumerate(zip(x, y, strict=True)) if a != b)
    kept = 0
    axes = []
    for i, size in enumerate(x):  # greedy alignment: a dimension that the result lacks was reduced
        if kept < len(y) and size == y[kept] and len(x) - i > 0:
            kept += 1
        else:
            axes.append(i)
    return tuple(axes)


FAMILIES = (
    Family("normalization", ROW_NAMES, rows, frozenset({"axis"})),
    Family("softmax", ROW_NAMES, rows, frozenset({"axis"})),
    Family("reduction", REDUCTION_NAMES, reduction, frozenset({"axis", "axes"})),
)
