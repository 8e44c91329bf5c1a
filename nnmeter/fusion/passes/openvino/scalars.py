"""Scalars: a runtime that has no tensors without dimensions computes those that have one, of size 1.

A `scalars` pass has no fields. Constants stay as they are.
"""

from __future__ import annotations

from nnmeter.fusion.engine.passes import Fields, PassKind, procedure
from nnmeter.fusion.engine.rewriting import WorkingGraph
from nnmeter.graph.ir import TensorType


def give_scalars_a_dimension(graph: WorkingGraph, fields: Fields) -> bool:
    """Give every computed scalar the shape [1]; whether there were any."""
    found = [output for node in graph.nodes() for output in node.outputs if output and graph.types[output].shape == ()]
    for tensor in [*found, *(name for name in graph.inputs if graph.types[name].shape == ())]:
        graph.types[tensor] = TensorType(graph.types[tensor].dtype, (1,))
    return bool(found)


PASSES = (PassKind("scalars", procedure(give_scalars_a_dimension), {}),)
