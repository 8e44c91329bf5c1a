"""Model-local functions, replaced by their bodies.

Rules:
1. A node whose domain and operator name a function of the model becomes that function's nodes.
2. A tensor of the body gets the name of the node and a slash in front; inputs and outputs get the names that the node
   uses for them.
3. An attribute reference takes the node's attribute, else the function's default; without either it is left out.
4. An output that the body passes straight on from an input becomes an `Identity`.
5. Functions may call functions, up to `MAX_DEPTH` deep and `MAX_NODES` nodes in all; none may call itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nnmeter.formats.scan import MAX_DEPTH, MAX_NODES, Reference, ScannedFunction, ScannedGraph, ScannedModel
from nnmeter.formats.tensors import StoredTensor
from nnmeter.formats.wire import WireError
from nnmeter.graph.ir import Node
from nnmeter.graph.unbound import DeclaredType

_Names = Mapping[str, str]


def inline_functions(model: ScannedModel) -> None:
    """Replace the calls of a model's functions, in its graph and in graphs nested in that.

    Raises:
        WireError: functions call each other in a circle, or grow beyond the limits.
    """
    if not model.functions or model.graph is None:
        return
    inliner = _Inliner({(f.domain, f.name): f for f in model.functions})
    inliner.inline(model.graph, 0)
    for function in model.functions:
        for domain, version in function.opsets.items():
            model.opsets.setdefault(domain, version)


class _Inliner:
    def __init__(self, functions: dict[tuple[str, str], ScannedFunction]) -> None:
        self._functions = functions
        self._made = 0
        self._calls = 0

    def inline(self, graph: ScannedGraph, depth: int) -> None:
        graph.nodes = self._expand(graph.nodes, depth)

    def _expand(self, nodes: list[Node], depth: int) -> list[Node]:
        if depth > MAX_DEPTH:
            raise WireError(f"functions call each other in a circle, or more than {MAX_DEPTH} deep")
        self._made += len(nodes)
        if self._made > MAX_NODES:
            raise WireError(f"functions expand to more than {MAX_NODES} nodes")
        result: list[Node] = []
        for node in nodes:
            for value in node.attributes.values():
                for graph in value if isinstance(value, list) else (value,):
                    if isinstance(graph, ScannedGraph):
                        self.inline(graph, depth + 1)
            function = self._functions.get((node.domain, node.op_type))
            if function is None:
                result.append(node)
            else:
                result += self._expand(self._body(node, function), depth + 1)
        return result

    def _body(self, call: Node, function: ScannedFunction) -> list[Node]:
        self._calls += 1
        scope = call.name or f"{call.op_type}_{self._calls}"
        names = _Scope(f"{scope}/")
        for position, formal in enumerate(function.inputs):
            names[formal] = call.inputs[position] if position < len(call.inputs) else ""
        passed = []
        for formal, actual in zip(function.outputs, call.outputs, strict=False):
            if formal in names:
                passed.append(Node("Identity", "", f"{scope}/{formal}", (names[formal],), (actual,)))
            elif actual:
                names[formal] = actual
        attributes = {**function.defaults, **call.attributes}
        return [_renamed(node, names, attributes) for node in function.nodes] + passed


class _Scope(dict[str, str]):
    """Names of a function's tensors in the graph that it is put into (rule 2)."""

    def __init__(self, prefix: str) -> None:
        super().__init__({"": ""})
        self.prefix = prefix

    def __missing__(self, name: str) -> str:
        return self.prefix + name


def _renamed(node: Node, names: _Scope, attributes: Mapping[str, Any]) -> Node:
    return Node(
        node.op_type,
        node.domain,
        f"{names.prefix}{node.name or node.op_type}",
        tuple([names[n] for n in node.inputs]),
        tuple([names[n] for n in node.outputs]),
        _resolved(node.attributes, names, attributes),
    )


def _resolved(own: Mapping[str, Any], names: _Scope, attributes: Mapping[str, Any]) -> dict[str, Any]:
    result = {}
    for key, value in own.items():
        if isinstance(value, Reference):
            if value.name not in attributes:
                continue
            value = attributes[value.name]
        elif isinstance(value, ScannedGraph):
            value = _renamed_graph(value, names, attributes)
        elif isinstance(value, list):
            value = [_renamed_graph(v, names, attributes) if isinstance(v, ScannedGraph) else v for v in value]
        result[key] = value
    return result


def _renamed_graph(graph: ScannedGraph, names: _Scope, attributes: Mapping[str, Any]) -> ScannedGraph:
    return ScannedGraph(
        graph.name,
        [_renamed(node, names, attributes) for node in graph.nodes],
        [DeclaredType(names[d.name], d.dtype, d.dims, d.container) for d in graph.inputs],
        [DeclaredType(names[d.name], d.dtype, d.dims, d.container) for d in graph.outputs],
        [StoredTensor(names[t.name], t.type, t.value) for t in graph.tensors],
    )
