"""NNI's graphs (`nni.nas.space.GraphModelSpace._dump()`), executed by a module of torch that can be exported.

1. The dump has a graph a key; `_model` or `_graph` is the whole one, the others are cells that its nodes call by name.
2. A node is an operation: `__torch__.torch.nn.modules.conv.Conv2d`, or NNI's own class of the same name, with the
   parameters of its constructor; `aten::relu`, an operator; `prim::Constant` and the like; `_cell`.
3. An edge goes from an output of a node to an input of another, `[node, place]`; `_inputs` and `_outputs` are the ends.
4. Nothing is imported by name but classes of `torch.nn` and operators of `torch.ops.aten`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from nnmeter import ModelError
from nnmeter.errors import brief
from nnmeter.files import parse_json, read_limited
from nnmeter.limits import MAX_JSON_BYTES

_MOST_DEPTH = 32
_WHOLE = ("_model", "_graph")


def module_of_ir(source: Any) -> Any:
    """A module of torch that computes a graph of NNI.

    Args:
        source: the graph as a dictionary, the path of one as JSON, or an object with `_dump`.

    Raises:
        ModelError: it is no graph of NNI, or has an operation that is not known.
    """
    if hasattr(source, "_dump"):
        source = source._dump()
    if isinstance(source, str | os.PathLike):
        try:
            source = parse_json(read_limited(source, MAX_JSON_BYTES))
        except ValueError as fault:
            raise ModelError(f"nni-ir: is not valid JSON ({brief(fault)}); give what NNI's `_dump` returns") from fault
    graphs = {name: one for name, one in source.items() if isinstance(one, Mapping) and "nodes" in one} \
        if isinstance(source, Mapping) else {}  # fmt: skip
    whole = next((name for name in _WHOLE if name in graphs), next(iter(graphs), None))
    if whole is None:
        raise ModelError("nni-ir: has no graph with nodes and edges; give what NNI's `_dump` returns")
    return _graph(graphs, whole, 0)


def _graph(graphs: Mapping[str, Any], name: str, depth: int) -> Any:
    import torch

    if depth > _MOST_DEPTH:
        raise ModelError(f"nni-ir: cells are nested more than {_MOST_DEPTH} deep at '{brief(name, 60)}'")
    graph = graphs[name]
    nodes: dict[str, Any] = {}
    for node, description in graph["nodes"].items():
        nodes[node] = _operation(graphs, node, description.get("operation") or {}, depth)
    order, reads = _order(graph, nodes)

    class Graph(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = torch.nn.ModuleDict(
                {str(at): nodes[node] for at, node in enumerate(order) if isinstance(nodes[node], torch.nn.Module)}
            )

        def forward(self, *inputs: Any) -> Any:
            results: dict[str, Any] = {"_inputs": inputs}
            for at, node in enumerate(order):
                given = [_taken(results[head], place) for head, place in reads[node]]
                operation = self.parts[str(at)] if str(at) in self.parts else nodes[node]
                results[node] = operation(*given)
            ends = [_taken(results[head], place) for head, place in reads["_outputs"]]
            return ends[0] if len(ends) == 1 else tuple(ends)

    return Graph()


def _taken(result: Any, place: int | None) -> Any:
    return result[place or 0] if isinstance(result, tuple) else result


def _order(graph: Mapping[str, Any], nodes: Mapping[str, Any]) -> tuple[list[str], dict[str, list[Any]]]:
    """Nodes so that each stands behind those that it reads, and what each reads, in the order of its inputs."""
    reads: dict[str, list[Any]] = {node: [] for node in (*nodes, "_outputs")}
    for edge in graph["edges"]:
        (head, out), (tail, place) = edge["head"], edge["tail"]
        if tail not in reads or (head not in nodes and head != "_inputs"):
            raise ModelError(
                f"nni-ir: an edge goes from '{brief(head, 60)}' to '{brief(tail, 60)}', which are no nodes"
            )
        if place is not None:
            reads[tail].append((place, (head, out)))
    found = {node: [source for _, source in sorted(inputs, key=lambda one: one[0])] for node, inputs in reads.items()}
    order: list[str] = []
    done = {"_inputs"}
    pending = list(nodes)
    while pending:
        ready = [node for node in pending if all(head in done for head, _ in found[node])]
        if not ready:
            raise ModelError(f"nni-ir: the graph has a cycle through node '{brief(pending[0], 60)}'")
        order += ready
        done.update(ready)
        pending = [node for node in pending if node not in done]
    return order, found


def _operation(graphs: Mapping[str, Any], node: str, operation: Mapping[str, Any], depth: int) -> Any:
    """What a node computes (rules 2 and 4)."""
    import torch

    kind = str(operation.get("type", ""))
    parameters = dict(operation.get("parameters") or {})
    if kind == "_cell" or operation.get("cell_name"):
        cell = operation.get("cell_name")
        if cell not in graphs:
            raise ModelError(
                f"nni-ir: node '{brief(node, 60)}' calls the cell {brief(repr(cell), 60)}, which is not there"
            )
        return _graph(graphs, cell, depth + 1)
    if kind in _PRIMITIVES:
        return _PRIMITIVES[kind](parameters)
    if kind.startswith("aten::"):
        found = getattr(torch.ops.aten, kind.removeprefix("aten::"), None)
        if found is not None:
            return found
    else:
        found = getattr(torch.nn, kind.rpartition(".")[2], None)
        if isinstance(found, type) and issubclass(found, torch.nn.Module):
            given = {key: value for key, value in parameters.items() if key not in ("input_shape", "output_shape")}
            try:
                return found(**given)
            except (TypeError, ValueError) as fault:
                raise ModelError(
                    f"nni-ir: node '{brief(node, 60)}' ({kind}) has other parameters ({brief(fault)})"
                ) from fault
    raise ModelError(
        f"nni-ir: node '{brief(node, 60)}' is {brief(repr(kind), 80)}, neither a class of torch.nn nor an operator"
    )


def _constant(parameters: Mapping[str, Any]) -> Any:
    value = parameters.get("value")
    if isinstance(value, str) and parameters.get("type") not in ("str", None):
        value = json.loads(value.lower() if value in ("True", "False") else value)
    return lambda: value


_PRIMITIVES: dict[str, Any] = {
    "prim::Constant": _constant,
    "prim::ListConstruct": lambda parameters: lambda *given: list(given),
    "prim::TupleConstruct": lambda parameters: lambda *given: tuple(given),
    "noop_identity": lambda parameters: lambda given: given,
}
