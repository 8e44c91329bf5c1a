"""The last words on kernels: what is a setting and no data, and what a runtime's operator is called.

Fields of a `settings` pass: `data_inputs` (operator -> how many of its inputs are data), `names` (operator -> the name
that its kernel has), `axes` (operators whose `axis` is counted from the first dimension), `dropped` (attributes that
say nothing that types do not).

1. Inputs behind those that are data (sizes of a split, the axes of a reduction) are dropped.
2. A negative `axis` of the operators in `axes` becomes the one that it means.
3. The attributes in `dropped` are dropped, from all operators.
4. Operators are renamed; what `names` says is the operator whose rules of cost and features apply.
"""

from __future__ import annotations

from collections.abc import Mapping

from nnmeter.fusion.engine.passes import Field, Fields, PassKind, count, map_of, procedure, text, texts
from nnmeter.fusion.engine.rewriting import WorkingGraph


def settle(graph: WorkingGraph, fields: Fields) -> bool:
    """Apply the rules to all nodes; whether any changed."""
    before = graph.version
    data_inputs: Mapping[str, int] = fields["data_inputs"]
    names: Mapping[str, str] = fields["names"]
    axes, dropped = frozenset(fields["axes"]), frozenset(fields["dropped"])
    for node in graph.nodes():
        inputs = node.inputs[: data_inputs.get(node.kind, len(node.inputs))]
        kind = names.get(node.kind, node.kind)
        attributes = node.attributes
        axis = attributes.get("axis")
        if node.kind in axes and isinstance(axis, int) and axis < 0:
            attributes = {**attributes, "axis": axis + len(graph.types[node.inputs[0]].shape)}
        if dropped & attributes.keys():
            attributes = {key: value for key, value in attributes.items() if key not in dropped}
        if kind == node.kind and len(inputs) == len(node.inputs) and attributes is node.attributes:
            continue
        graph.remove_node(node)
        graph.add_node(kind, node.name, inputs, node.outputs, attributes, node.position, node.sources)
    return graph.version != before


PASSES = (
    PassKind(
        "settings",
        procedure(settle),
        {
            "data_inputs": Field(map_of(count)),
            "names": Field(map_of(text)),
            "axes": Field(texts),
            "dropped": Field(texts),
        },
    ),
)
