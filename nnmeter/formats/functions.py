"""Model-local functions, replaced by their bodies.

Rules:
1. A node whose domain and operator name a function of the model becomes that function's nodes.
2. A tensor of the body gets the name of the node and a slash in front, and a number between them where another call has
   that name; inputs and outputs get the names that the node uses for them.
3. An attribute reference takes the node's attribute, else the function's default; without either it is left out.
4. An output that the body passes straight on from an input becomes an `Identity`.
5. Functions may call functions, up to `MAX_DEPTH` deep; none may call itself. What is made of them is counted before it
   is made, for bodies that call bodies grow exponentially: operators, what they read, write and are set to, and the
   characters of names (`nnmeter.limits`, 3). A graph that is handed to a function as an attribute counts each time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from nnmeter.formats.scanned import Reference, ScannedFunction, ScannedGraph, ScannedModel
from nnmeter.formats.tensors import StoredTensor
from nnmeter.formats.wire import WireError
from nnmeter.graph.ir import Node
from nnmeter.limits import MAX_DEPTH, MAX_EXPANDED_CHARACTERS, MAX_EXPANDED_NODES, MAX_EXPANDED_PARTS

_Names = Mapping[str, str]


def inline_functions(model: ScannedModel) -> None:
    """Replace the calls of a model's functions, in its graph and in graphs nested in that.

    Raises:
        WireError: functions call each other in a circle, or grow beyond the limits.
    """
    if not model.functions or model.graph is None:
        return
    functions: dict[tuple[str, str], ScannedFunction] = {}
    for function in model.functions:
        if functions.setdefault((function.domain, function.name), function) is not function:
            raise WireError(f"the function '{function.name}' is defined twice")
    inliner = _Inliner(functions)
    inliner.inline(model.graph, 0)
    for function in model.functions:
        for domain, version in function.opsets.items():
            model.opsets.setdefault(domain, version)


class _Inliner:
    def __init__(self, functions: dict[tuple[str, str], ScannedFunction]) -> None:
        self._functions = functions
        self._sizes = {key: _size_of_function(function) for key, function in functions.items()}
        self._made = _Size()
        self._calls = 0
        self._scopes: set[str] = set()

    def inline(self, graph: ScannedGraph, depth: int) -> None:
        graph.nodes = self._expand(graph.nodes, depth)

    def _count(self, size: _Size, prefix: int = 0) -> None:
        """Rule 5."""
        made = self._made = _Size(
            self._made.nodes + size.nodes,
            self._made.parts + size.parts,
            self._made.characters + size.characters + prefix * size.parts,
        )
        if made.nodes > MAX_EXPANDED_NODES:
            raise WireError(f"its functions expand to more than {MAX_EXPANDED_NODES} operators")
        if made.parts > MAX_EXPANDED_PARTS:
            raise WireError(f"its functions expand to more than {MAX_EXPANDED_PARTS} operators, tensors and attributes")
        if made.characters > MAX_EXPANDED_CHARACTERS:
            raise WireError(f"its functions expand to names of more than {MAX_EXPANDED_CHARACTERS} characters")

    def _expand(self, nodes: list[Node], depth: int) -> list[Node]:
        if depth > MAX_DEPTH:
            raise WireError(f"functions call each other in a circle, or more than {MAX_DEPTH} deep")
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
        if scope in self._scopes:  # two calls without a name in one body
            scope = f"{scope}_{self._calls}"
        self._scopes.add(scope)
        names = _Scope(f"{scope}/", lambda value: self._count(_size_of_attribute(value)))
        self._count(self._sizes[call.domain, call.op_type], len(names.prefix))
        for position, formal in enumerate(function.inputs):
            names[formal] = call.inputs[position] if position < len(call.inputs) else ""
        passed = []
        for formal, actual in zip(function.outputs, call.outputs, strict=False):
            if formal in names:
                passed.append(Node("Identity", "", f"{scope}/{formal}", (names[formal],), (actual,)))
            elif actual:
                names[formal] = actual
        attributes = {**function.defaults, **call.attributes}
        return [_renamed(node, names, attributes, call.scope) for node in function.nodes] + passed


class _Size(NamedTuple):
    """How much a body is (rule 5)."""

    nodes: int = 0
    parts: int = 0
    characters: int = 0


def _size_of_function(function: ScannedFunction) -> _Size:
    body = _size_of(function.nodes)
    return body._replace(parts=body.parts + len(function.inputs) + len(function.outputs) + len(function.defaults))


def _size_of(nodes: Sequence[Node]) -> _Size:
    count, parts, characters = len(nodes), 0, 0
    for node in nodes:
        parts += 1 + len(node.inputs) + len(node.outputs) + len(node.attributes)
        characters += len(node.name) + sum(map(len, node.inputs)) + sum(map(len, node.outputs))
        for value in node.attributes.values():
            inner = _size_of_attribute(value)
            count, parts, characters = count + inner.nodes, parts + inner.parts, characters + inner.characters
    return _Size(count, parts, characters)


def _size_of_attribute(value: Any) -> _Size:
    count = parts = characters = 0
    for graph in value if isinstance(value, list) else (value,):
        if isinstance(graph, ScannedGraph):
            inner = _size_of(graph.nodes)
            count += inner.nodes
            parts += 1 + inner.parts + len(graph.tensors) + len(graph.inputs) + len(graph.outputs)
            characters += inner.characters
    return _Size(count, parts, characters)


class _Scope(dict[str, str]):
    """Names of a function's tensors in the graph that it is put into (rule 2)."""

    def __init__(self, prefix: str, count: Callable[[Any], None]) -> None:
        super().__init__({"": ""})
        self.prefix = prefix
        self.count = count  # what an attribute is that a node takes from its call (rule 5)

    def __missing__(self, name: str) -> str:
        return self.prefix + name


def _renamed(node: Node, names: _Scope, attributes: Mapping[str, Any], scope: str = "") -> Node:
    """A node of a body; one that does not say which module it is of is of that of the call."""
    return Node(
        node.op_type,
        node.domain,
        f"{names.prefix}{node.name or node.op_type}",
        tuple([names[n] for n in node.inputs]),
        tuple([names[n] for n in node.outputs]),
        _resolved(node.attributes, names, attributes),
        node.scope or scope,
    )


def _resolved(own: Mapping[str, Any], names: _Scope, attributes: Mapping[str, Any]) -> dict[str, Any]:
    result = {}
    for key, value in own.items():
        if isinstance(value, Reference):
            if value.name not in attributes:
                continue
            value = attributes[value.name]
            names.count(value)
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
        [replace(d, name=names[d.name]) for d in graph.inputs],
        [replace(d, name=names[d.name]) for d in graph.outputs],
        [StoredTensor(names[t.name], t.type, t.value) for t in graph.tensors],
    )
