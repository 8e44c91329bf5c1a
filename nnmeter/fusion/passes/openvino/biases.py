"""Biases that several convolutions share: a runtime that only fuses what nobody else reads leaves them outside.

Fields of a `shared_biases` pass: `operators` (with a bias as third input), `sum` (the operator that adds), `marked`
(the attribute that the sums get, so that later passes know that their constant is not theirs alone).

1. A constant bias that more than one input reads, or that something else reads too, is added behind its operator.
2. It is added with a dimension of 1 for every spatial one. Operators of one rank share that constant, too.
"""

from __future__ import annotations

from nnmeter.fusion.engine.passes import Field, Fields, PassKind, procedure, text, texts
from nnmeter.fusion.engine.rewriting import WorkingGraph
from nnmeter.graph.ir import TensorType

_BIAS = 2


def separate_shared_biases(graph: WorkingGraph, fields: Fields) -> bool:
    """Add shared biases behind their operators; whether there were any."""
    found = [
        node
        for node in graph.of_kinds(fields["operators"])
        if len(node.inputs) > _BIAS and node.inputs[_BIAS] in graph.constants and graph.uses(node.inputs[_BIAS]) > 1
    ]
    added: dict[tuple[str, int], str] = {}
    for node in found:
        bias, output = node.inputs[_BIAS], node.outputs[0]
        kind = graph.types[output]
        key = bias, len(kind.shape)
        if key not in added:
            shape = (*graph.types[bias].shape, *(1 for _ in kind.shape[2:]))
            added[key] = graph.add_weight(bias, TensorType(graph.types[bias].dtype, shape))
        before = graph.fresh(output)
        graph.types[before] = kind
        graph.set_input(node, _BIAS, "")
        graph.set_output(node, 0, before)
        position = node.position + 1e-6
        graph.add_node(
            fields["sum"], graph.fresh("bias"), [before, added[key]], [output], {fields["marked"]: 1}, position
        )
    return bool(found)


PASSES = (
    PassKind(
        "shared_biases",
        procedure(separate_shared_biases),
        {"operators": Field(texts), "sum": Field(text), "marked": Field(text)},
    ),
)
