"""Signed activations that a runtime makes unsigned, on machines whose products of signed by signed integers are slow.

Fields of an `unsigned_activations` pass: `quantize`, `dequantize` (operators), `from`, `to` (element types), `unless`
(the parameter that switches the pass off; none where not given).

1. Where a quantize node with a zero point feeds one dequantize node of the same scale and zero point, what lies between
   them becomes of the type `to`, and the zero point 128 higher.
"""

from __future__ import annotations

import numpy as np

from nnmeter.fusion.engine.passes import Field, Fields, PassKind, element_type, procedure, text, texts
from nnmeter.fusion.engine.rewriting import WorkingGraph
from nnmeter.graph.ir import TensorType


def unsigned_activations(graph: WorkingGraph, fields: Fields) -> bool:
    """Turn signed into unsigned activations; whether any were."""
    if fields["unless"] and graph.parameters.get(fields["unless"]):
        return False
    changed = False
    for node in graph.of_kinds(fields["quantize"]):
        output = node.outputs[0]
        kind = graph.types[output]
        readers = graph.readers.get(output, [])
        if kind.dtype != fields["from"] or output in graph.outputs or len(readers) != 1 or len(node.inputs) < 3:
            continue
        reader = readers[0]
        if reader.kind not in fields["dequantize"] or len(reader.inputs) < 3:
            continue
        if node.inputs[1:3] != reader.inputs[1:3] or node.inputs[2] not in graph.constants:
            continue
        zero = _unsigned(graph, node.inputs[2], fields["to"])
        graph.set_input(node, 2, zero)
        graph.set_input(reader, 2, zero)
        graph.types[output] = TensorType(fields["to"], kind.shape)
        changed = True
    return changed


def _unsigned(graph: WorkingGraph, zero_point: str, dtype: str) -> str:
    """The zero point of the same numbers as unsigned ones, which lie 128 higher."""
    value = graph.values.get(zero_point)
    if value is None:
        return graph.add_weight(zero_point, TensorType(dtype, graph.types[zero_point].shape))
    return graph.add_constant(zero_point, (value.astype(np.int32) + 128).astype(dtype), dtype)


PASSES = (
    PassKind(
        "unsigned_activations",
        procedure(unsigned_activations),
        {
            "quantize": Field(texts),
            "dequantize": Field(texts),
            "from": Field(element_type),
            "to": Field(element_type),
            "unless": Field(text, ""),
        },
    ),
)
