"""Global pools, views and sums."""

from __future__ import annotations

from nnmeter.fusion.rulesets.builder import (
    Create,
    Op,
    Rewrite,
    Rule,
    Tensor,
    all_of,
    constant,
    maybe,
    param,
    tensors,
)
from nnmeter.fusion.rulesets.builder.rules import Made
from nnmeter.fusion.rulesets.mobile.sources import ONE_FORM, converter

ROWS_AND_COLUMNS = [2, 3]
VIEWS_BUT_RESHAPE = ("Flatten", "Squeeze", "Unsqueeze")


def _size_of(y: Tensor) -> Made:
    return constant(y.shape, dtype="int64", name="size")


def _mean(by_attribute: bool, keeps_dimensions: bool) -> Rule:
    x, axes = tensors("x axes")
    mean = Op("ReduceMean", x, maybe(axes), name="mean")
    if by_attribute:
        of_the_map = all_of(axes.is_absent, mean.attr("axes").as_places(4) == ROWS_AND_COLUMNS)
    else:
        of_the_map = axes.value.as_places(4) == ROWS_AND_COLUMNS
    if keeps_dimensions:
        replace = [Create("GlobalAveragePool", x, into=mean)]
    else:
        pooled = Create("GlobalAveragePool", x, dtype=x.dtype, shape=[x.dim(0), x.dim(1), 1, 1])
        replace = [pooled, Create("Reshape", pooled, _size_of(mean), into=mean, main=True)]
    keepdims = mean.attr("keepdims", 1)
    return Rule(
        "mean over the map"
        + (", by attribute" if by_attribute else "")
        + ("" if keeps_dimensions else ", without the dimensions")
        + ": GlobalAveragePool",
        [mean],
        where=[x.rank == 4, of_the_map, keepdims != 0 if keeps_dimensions else keepdims == 0],
        replace=replace,
        why="The mean of rows and columns is a global average, perhaps with a view behind it.",
        source=ONE_FORM,
    )


def _average_of_the_map() -> Rule:
    (x,) = tensors("x")
    pool = Op("AveragePool", x, name="pool")
    return Rule(
        "average of the whole map: GlobalAveragePool",
        [pool],
        where=[
            param("one_global_pool"),
            pool.attr("kernel_shape") == x.shape[2:],
            pool.shape[2:] == [1, 1],
            pool.attr("pads", [0, 0, 0, 0]).all_equal(0),
        ],
        replace=Create("GlobalAveragePool", x, into=pool),
        why="An average whose window is the whole map is a global average; the parameter `one_global_pool` says so.",
        source=ONE_FORM,
    )


def _view() -> Rule:
    (x,) = tensors("x")
    view = Op(VIEWS_BUT_RESHAPE, x, ..., name="view")
    return Rule(
        f"{list(VIEWS_BUT_RESHAPE)} as a view: Reshape",
        [view],
        where=[x.dtype == view.dtype],
        replace=Create("Reshape", x, _size_of(view), into=view),
        why="All views are a Reshape.",
        source=converter("legalize_patterns.td"),
    )


def _view_of_a_view() -> Rule:
    (x,) = tensors("x")
    first = Op("Reshape", x, ..., shared=True, name="first")
    second = Op("Reshape", first, ..., name="second")
    return Rule(
        "view of a view",
        [second, first],
        replace=Create("Reshape", x, _size_of(second), into=second),
        why="A view of a view is a view.",
        source=converter("optimize_patterns.td"),
    )


def _sum_of_two() -> Rule:
    a, b = tensors("a b")
    total = Op("Sum", a, b, name="total")
    return Rule(
        "sum of two: Add",
        [total],
        replace=Create("Add", a, b, into=total),
        why="Sum of two tensors is Add.",
        source=ONE_FORM,
    )


POOLS_VIEWS_AND_SUMS = Rewrite(
    "pools, views and sums",
    [
        *(_mean(by_attribute, keeps) for by_attribute in (False, True) for keeps in (True, False)),
        _average_of_the_map(),
        _view(),
        _view_of_a_view(),
        _sum_of_two(),
    ],
)
