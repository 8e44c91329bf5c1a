"""Small products with weights, one behind the other, that a runtime compiles into one kernel.

Fields of a `chain_products` pass: `operator` (the product: data, transposed weights, bias), `rank` (of the data),
`width` (the most that weights may have of rows and of columns), `most_tensors` (that one kernel may read and write).

1. A product joins the one whose result it alone reads, if the data of both have the rank and the weights of both are
   not wider than `width`, and if the kernel then has no more tensors than `most_tensors`.
2. The kernel reads the data, then weights and bias of each product. Its attribute `fused` lists the products behind the
   first and what is fused, by name, and `nested_flops`, `nested_bytes_read` and `nested_bytes_written` say what they
   all cost together: what lies between them is not written to memory.
"""

from __future__ import annotations

from nnmeter.fusion.engine.neighbours import only_reader
from nnmeter.fusion.engine.passes import Field, Fields, PassKind, count, procedure, text
from nnmeter.fusion.engine.rewriting import WorkingGraph, WorkNode
from nnmeter.kernels.naming import perceptron_attributes


def chain_products(graph: WorkingGraph, fields: Fields) -> bool:
    """Join small products; whether there were any to join."""
    operator = fields["operator"]
    before = graph.version
    for node in graph.of_kinds([operator]):
        if not node.alive or not _is_small(graph, node, fields):
            continue
        chain = [node]
        while (following := only_reader(graph, chain[-1].outputs[0])) is not None:
            if following.kind != operator or not _is_small(graph, following, fields):
                break
            if len(_read(graph, [*chain, following])) >= fields["most_tensors"]:
                break
            chain.append(following)
        if len(chain) > 1:
            _join(graph, chain)
    return graph.version != before


def _is_small(graph: WorkingGraph, node: WorkNode, fields: Fields) -> bool:
    weight = node.inputs[1]
    if (
        weight not in graph.constants
        or len(graph.types[node.inputs[0]].shape) != fields["rank"]
        or len(node.inputs) > 3
    ):
        return False
    return max(graph.types[weight].shape) <= fields["width"]


def _read(graph: WorkingGraph, chain: list[WorkNode]) -> list[str]:
    """The data, and the weights and biases of each product; a bias of one element is part of the code."""
    read = [chain[0].inputs[0]]
    for node in chain:
        read.append(node.inputs[1])
        read += [tensor for tensor in node.inputs[2:] if tensor and graph.types[tensor].elements > 1]
    return read


def _join(graph: WorkingGraph, chain: list[WorkNode]) -> None:
    """Rule 2."""
    types = graph.types
    last = chain[-1]
    inputs = _read(graph, chain)
    fused: list[str] = []
    for node in chain:
        fused += [node.kind, *filter(None, node.attributes.get("fused", "").split("+"))]
    weights = [types[node.inputs[1]] for node in chain]
    attributes = perceptron_attributes(fused, weights, [types[tensor] for tensor in inputs], types[last.outputs[0]])
    sources = tuple(source for node in chain for source in node.sources)
    for node in chain:
        graph.remove_node(node)
    graph.add_node(last.kind, last.name, inputs, last.outputs, attributes, last.position, sources)


PASSES = (
    PassKind(
        "chain_products",
        procedure(chain_products),
        {"operator": Field(text), "rank": Field(count), "width": Field(count), "most_tensors": Field(count)},
    ),
)
