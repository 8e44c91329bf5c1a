"""Several random networks in one model, for a runtime whose profiler takes seconds whatever the model.

1. The networks lie side by side in one graph, and nothing leads from one to another. Names get a prefix each.
2. The first one is that of the seed; the others are of the same recipe, of seeds that follow from it.
3. Networks join until there are so many, or until together they take so many operations that a profile has but a few
   runs of them. A network of other operator sets, or with functions, does not join others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from nnmeter.binding.bind import bind_shapes
from nnmeter.errors import NnmeterError
from nnmeter.formats import read_model
from nnmeter.operators.cost import graph_cost

if TYPE_CHECKING:
    import onnx

Build = Callable[[int, str, bool], "onnx.ModelProto"]

MOST_FLOPS = 4e9  # rule 3
_STRIDE = 1_000_000_007  # between the seeds of rule 2; those of a campaign are small


def joined_networks(build: Build, seed: int, recipe: str, small: bool, most: int) -> onnx.ModelProto:
    """A network of a seed, with others of its recipe beside it.

    Args:
        build: makes the network of a seed and recipe.
        seed: of the first.
        recipe: of all.
        small: whether they are small ones.
        most: networks at most.

    Raises:
        ValueError: the first one cannot be built.
    """
    first = build(seed, recipe, small)
    if most < 2 or first.functions:
        return first
    flops = _flops(first)
    parts = [first]
    for number in range(1, most):
        try:
            other = build(seed + number * _STRIDE, recipe, small)
            cost = _flops(other)
        except (NnmeterError, ValueError, ArithmeticError, LookupError):
            continue
        if flops + cost <= MOST_FLOPS and not other.functions and _operator_sets(other) == _operator_sets(first):
            parts.append(other)
            flops += cost
    return _side_by_side(parts) if len(parts) > 1 else first


def _side_by_side(parts: list[onnx.ModelProto]) -> onnx.ModelProto:
    """Rule 1."""
    from onnx.compose import add_prefix_graph

    whole = parts[0]
    for number, part in enumerate(parts):
        graph = add_prefix_graph(part.graph, f"n{number}/")
        if number == 0:
            graph.name = whole.graph.name
            whole.graph.CopyFrom(graph)
            continue
        for field in ("node", "input", "output", "initializer", "value_info", "sparse_initializer"):
            getattr(whole.graph, field).extend(getattr(graph, field))
    return whole


def _flops(model: onnx.ModelProto) -> float:
    return float(graph_cost(bind_shapes(read_model(model))).flops)


def _operator_sets(model: onnx.ModelProto) -> dict[str, int]:
    return {entry.domain: entry.version for entry in model.opset_import}
