"""Residuals of integers that a runtime turns into numbers, on machines whose convolutions add no other type.

Fields of a `retyped_residuals` pass: `operators` (that take residuals, from the fourth input on), `retype` (the
operator that changes an element type), `unless` (the parameter that switches the pass off).

1. Where an operator writes numbers, a residual of integers is made numbers before it, once for each operator.
"""

from __future__ import annotations

from nnmeter.fusion.engine.passes import Field, Fields, PassKind, procedure, text, texts
from nnmeter.fusion.engine.rewriting import WorkingGraph
from nnmeter.fusion.passes.openvino.post_operators import FIRST_EXTRA_INPUT
from nnmeter.fusion.passes.openvino.quantized_tensors import BYTES
from nnmeter.graph.ir import TensorType


def retype_residuals(graph: WorkingGraph, fields: Fields) -> bool:
    """Make residuals numbers; whether there were any."""
    if graph.parameters.get(fields["unless"]):
        return False
    before = graph.version
    for node in graph.of_kinds(fields["operators"]):
        written = graph.types[node.outputs[0]].dtype
        for index in range(FIRST_EXTRA_INPUT, len(node.inputs)):
            residual = node.inputs[index]
            if written == "float32" and graph.types[residual].dtype in BYTES:
                made = graph.fresh(residual)
                graph.types[made] = TensorType(written, graph.types[residual].shape)
                graph.add_node(fields["retype"], made, [residual], [made], {}, node.position - 1e-7)
                graph.set_input(node, index, made)
    return graph.version != before


PASSES = (
    PassKind(
        "retyped_residuals",
        procedure(retype_residuals),
        {"operators": Field(texts), "retype": Field(text), "unless": Field(text)},
    ),
)
