"""Element types that a runtime does not compute in: all tensors of them become tensors of another type.

Fields of a `retype` pass: `types` (element type -> the type that takes its place), `cast` (the operator that converts),
`given` (element types that the caller still gives and gets: what is read of such an input, and what a node writes for
the caller, is cast once in every run).
"""

from __future__ import annotations

from collections.abc import Mapping

from nnmeter.fusion.engine.passes import Field, Fields, PassKind, element_type, list_of, map_of, procedure, text
from nnmeter.fusion.engine.rewriting import WorkingGraph
from nnmeter.graph.ir import TensorType


def retype(graph: WorkingGraph, fields: Fields) -> bool:
    """Replace element types; whether any tensor had one of them."""
    becomes: Mapping[str, str] = fields["types"]
    given = frozenset(fields["given"])
    changed = [tensor for tensor, kind in graph.types.items() if kind.dtype in becomes]
    for tensor in changed:
        kind = graph.types[tensor]
        inner = TensorType(becomes[kind.dtype], kind.shape)
        if tensor in graph.inputs and kind.dtype in given and graph.readers.get(tensor):
            result = graph.fresh(tensor)
            graph.types[result] = inner
            graph.redirect(tensor, result)
            graph.add_node(fields["cast"], graph.fresh("cast"), [tensor], [result], {}, -1.0)
        elif tensor in graph.outputs and kind.dtype in given and tensor in graph.producer:
            writer = graph.producer[tensor]
            result = graph.fresh(tensor)
            graph.types[result] = inner
            graph.set_output(writer, writer.outputs.index(tensor), result)
            graph.redirect(tensor, result)
            graph.add_node(fields["cast"], graph.fresh("cast"), [result], [tensor], {}, writer.position + 1e-6)
        elif tensor not in graph.inputs or kind.dtype not in given:
            graph.types[tensor] = inner
    return bool(changed)


PASSES = (
    PassKind(
        "retype",
        procedure(retype),
        {
            "types": Field(map_of(element_type, key=element_type)),
            "cast": Field(text),
            "given": Field(list_of(element_type), ()),
        },
    ),
)
