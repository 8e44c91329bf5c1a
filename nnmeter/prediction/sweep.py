"""One model at several sizes: which combinations there are, and the graph of each.

Of several dimensions with several sizes all combinations count, the last dimension changing fastest; or, zipped, the
first sizes of all go together, then the second, and so on. A size of a
dimension that a model does not have makes no difference to it, so that only the first of several is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any

from nnmeter.collector import paused_collector
from nnmeter.errors import ModelError, NnmeterError
from nnmeter.graph.input_sizes import InputSizes

if TYPE_CHECKING:
    from nnmeter.graph.ir import Graph
    from nnmeter.graph.unbound import UnboundModel


def bind_each(
    model: UnboundModel, sizes: InputSizes, failed: list[ModelError] | None = None
) -> Iterator[tuple[Graph, dict[str, int]]]:
    """The graph for each combination of sizes, and those sizes that the model has a dimension for.

    Args:
        model: the model.
        sizes: a size or several for each dimension.
        failed: where faults of single combinations go, so that the others are bound; they are raised if it is None, and
            if no combination can be bound.

    Raises:
        ModelError: dimensions remain free, or what is given contradicts the model.
        NnmeterError: a dimension is given a list of no sizes.
    """
    from nnmeter.binding.bind import bind_shapes

    names = {name for free in model.free_dimensions.values() for name in free}
    faults: list[ModelError] = []
    bound = 0
    for single in combinations(model, sizes):
        try:
            with paused_collector():
                graph = bind_shapes(model, single)
        except ModelError as fault:
            if failed is None:
                raise
            faults.append(fault)
            continue
        bound += 1
        yield graph, {name: int(size) for name, size in single.dims.items() if name in names}  # type: ignore[arg-type]
    if failed is None or not faults:
        return
    if not bound:
        raise faults[0]
    failed += faults


def combinations(model: UnboundModel, sizes: InputSizes) -> Iterator[InputSizes]:
    """The sizes to bind a model with, one after another; each has one size for a dimension."""
    names = {name for free in model.free_dimensions.values() for name in free}
    several = {name: _as_tuple(given) for name, given in sizes.dims.items()}
    empty = next((name for name, given in several.items() if not given), None)
    if empty is not None:
        raise NnmeterError(f"{model.source}: dimension '{empty}' is given no size; give one or more")
    if sizes.zipped:
        yield from _together(model, sizes, {n: given if n in names else given[:1] for n, given in several.items()})
        return
    choices = [_distinct(given) if name in names else given[:1] for name, given in several.items()]
    for chosen in product(*choices):
        yield replace(sizes, dims=dict(zip(several, chosen, strict=True)))


def _together(model: UnboundModel, sizes: InputSizes, several: Mapping[str, Sequence[Any]]) -> Iterator[InputSizes]:
    """The first sizes of all dimensions, then the second, and so on; one size goes with all."""
    counts = {name: len(given) for name, given in several.items() if len(given) > 1}
    if len(set(counts.values())) > 1:
        shown = ", ".join(f"'{name}' {count}" for name, count in counts.items())
        raise NnmeterError(f"{model.source}: sizes that go together are as many of each dimension, not {shown}")
    for position in range(max(counts.values(), default=1)):
        chosen = {name: given[position if len(given) > 1 else 0] for name, given in several.items()}
        yield replace(sizes, dims=chosen)


def one_each(dims: Mapping[str, Any]) -> dict[str, tuple[Any]]:
    """Each size as a list of one, so that a list in its place is refused and not swept over."""
    return {name: (size,) for name, size in dims.items()}


def _distinct(sizes: Sequence[Any]) -> list[Any]:
    """Each size once; compared, not hashed, for what is no size is left to binding as well."""
    found: list[Any] = []
    for size in sizes:
        if size not in found:
            found.append(size)
    return found


def _as_tuple(given: Any) -> tuple[Any, ...]:
    """The sizes of a dimension; what is neither a number nor a list of some is left to binding, which refuses it."""
    return tuple(given) if isinstance(given, Sequence) else (given,)
