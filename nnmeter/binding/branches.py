"""Graphs in operators: an `If` whose condition is known, replaced by the branch that is taken; what a graph holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from nnmeter.graph.ir import Node, TensorType
from nnmeter.graph.unbound import UnboundGraph


def taken_branch(node: Node, values: Mapping[str, Any]) -> UnboundGraph | None:
    """The branch of an `If` that is taken, None where that is not known, or of another operator."""
    if node.op_type != "If" or not node.inputs:
        return None
    condition = values.get(node.inputs[0])
    if condition is None:
        return None
    branch = node.attributes.get("then_branch" if condition.any() else "else_branch")
    return branch if isinstance(branch, UnboundGraph) else None


def inline_branch(node: Node, branch: UnboundGraph) -> UnboundGraph:
    """The branch as it reads in the place of its `If`.

    Args:
        node: the `If`.
        branch: the branch that is taken.

    Returns:
        A graph whose own tensors and nodes have the node's name and a slash in front, and whose results have the names
        that the `If` gives them. A result that the branch only passes on is copied by an `Identity`.
    """
    prefix = f"{node.name}/"
    written = {name for inner in branch.nodes for name in inner.outputs if name}
    names = {name: prefix + name for name in (*written, *branch.constants)}
    passed = []
    taken: set[str] = set()
    for declared, actual in zip(branch.outputs, node.outputs, strict=False):
        if not actual:
            continue
        if declared.name in written and declared.name not in taken:
            names[declared.name] = actual
            taken.add(declared.name)
        else:
            passed.append((declared.name, actual))
    nodes = [_renamed(inner, names, prefix) for inner in branch.nodes]
    nodes += [Node("Identity", "", f"{prefix}{actual}", (names.get(name, name),), (actual,)) for name, actual in passed]
    return UnboundGraph(
        branch.name,
        nodes,
        (),
        (),
        {names[name]: kind for name, kind in branch.constants.items()},
        {names[name]: value for name, value in branch.values.items()},
    )


def nested_size(graph: UnboundGraph, depth: int = 1) -> int:
    """Steps that it takes to rename what the graphs nested in a graph capture: each operator as often as it is deep."""
    count = 0
    for node in graph.nodes:
        for value in node.attributes.values():
            if isinstance(value, UnboundGraph):
                count += depth * len(value.nodes) + nested_size(value, depth + 1)
    return count


class _Visible:
    """New names of tensors, but for those that a nested graph hides; a copy for every graph would be quadratic."""

    def __init__(self, names: _Names, hidden: set[str]) -> None:
        self._names = names
        self._hidden = hidden

    def get(self, name: str, default: str) -> str:
        return default if name in self._hidden else self._names.get(name, default)


_Names = dict[str, str] | _Visible


def _renamed(node: Node, names: _Names, prefix: str) -> Node:
    return Node(
        node.op_type,
        node.domain,
        prefix + node.name,
        tuple([names.get(n, n) for n in node.inputs]),
        tuple([names.get(n, n) for n in node.outputs]),
        {key: _renamed_attribute(value, names) for key, value in node.attributes.items()},
        node.scope,
    )


def _renamed_attribute(value: Any, names: _Names) -> Any:
    """Nested graphs see the new names of what they capture; their own names hide outer ones and stay."""
    if not isinstance(value, UnboundGraph):
        return value
    own = {n for inner in value.nodes for n in inner.outputs} | set(value.constants) | {d.name for d in value.inputs}
    seen = _Visible(names, own)
    return UnboundGraph(
        value.name,
        [
            Node(
                inner.op_type,
                inner.domain,
                inner.name,
                tuple([seen.get(n, n) for n in inner.inputs]),
                inner.outputs,
                {k: _renamed_attribute(v, seen) for k, v in inner.attributes.items()},
                inner.scope,
            )
            for inner in value.nodes
        ],
        value.inputs,
        tuple([replace(d, name=seen.get(d.name, d.name)) for d in value.outputs]),
        value.constants,
        value.values,
        value.value_info,
    )


def own_tensors(
    graph: UnboundGraph, nodes: Sequence[Node], types: Mapping[str, TensorType], values: Mapping[str, Any]
) -> tuple[dict[str, TensorType], dict[str, Any]]:
    """Types and values of a nested graph: only of what it reads and writes itself."""
    names = {d.name for d in (*graph.inputs, *graph.outputs)} | set(graph.constants)
    for node in nodes:
        names.update(node.inputs)
        names.update(node.outputs)
    return (
        {name: types[name] for name in names if name in types},
        {name: values[name] for name in names if name in values},
    )
