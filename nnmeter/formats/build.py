"""From a scanned graph to one that later stages can trust.

Rules:
1. `Constant` operators become constants of the graph; a small one keeps its value.
2. Every node has a unique name; where the file gives none or one twice, it is made from the operator and a number.
3. Every tensor is written once: by an input, an initializer, or one node; each that is read is written, here or in a
   graph around this one; each that the graph returns is written, too. Every node writes one.
4. Nodes are in topological order; they are sorted if the file's are not, and a cycle is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from nnmeter.formats.declared import scan_declared, split_name
from nnmeter.formats.scanned import Reference, ScannedGraph
from nnmeter.formats.tensors import StoredTensor
from nnmeter.formats.wire import WireError
from nnmeter.graph.dtypes import NUMPY_OF_DTYPE
from nnmeter.graph.ir import Node, TensorType
from nnmeter.graph.unbound import MAX_KNOWN_ELEMENTS, MAX_RANK, DeclaredType, UnboundGraph

_Captured = dict[int, frozenset[str]]  # by the id of a scanned graph, what `_captured` found of it


def build_graph(scanned: ScannedGraph, outer: Collection[str] = (), captured: _Captured | None = None) -> UnboundGraph:
    """Check and complete a graph.

    Args:
        scanned: the graph as the file has it, functions inlined.
        outer: tensors of the graphs around it, which it may read.
        captured: what is known already of the graphs nested in it.

    Raises:
        WireError: the graph breaks rule 3 or 4.
    """
    captured = {} if captured is None else captured
    constants: dict[str, TensorType] = {}
    values: dict[str, np.ndarray[Any, Any]] = {}

    def keep(name: str, stored: StoredTensor) -> None:
        if name in constants:
            raise WireError(f"tensor '{name}' is written twice, by constants")
        constants[name] = stored.type
        if stored.value is not None:
            values[name] = stored.value

    for stored in scanned.tensors:
        keep(stored.name, stored)
    nodes = []
    for node in scanned.nodes:
        if node.op_type == "Constant" and not node.domain:
            if len(node.outputs) != 1:
                raise WireError(f"node '{node.name}' (Constant) has {len(node.outputs)} outputs, not one")
            keep(node.outputs[0], _constant(node))
        else:
            nodes.append(node)
    _give_names(nodes)
    inputs = tuple([d for d in scanned.inputs if d.name not in constants])
    if len(inputs) != len(scanned.inputs):
        _check_overridden(scanned.inputs, constants)
    for declared in inputs:
        _check_input(declared)
    available = {d.name for d in inputs}
    if len(available) != len(inputs):
        raise WireError("two inputs have one name")
    available.update(constants)
    unusual = [node for node in nodes if not _CONVERTED.isdisjoint(map(type, node.attributes.values()))]
    reads = {node.name: _captured(node, captured) for node in unusual}
    nodes = _in_order(nodes, available, outer, reads)
    for node in unusual:
        node.attributes = {k: _attribute(v, available, outer, captured) for k, v in node.attributes.items()}
    for declared in scanned.outputs:
        if declared.name not in available and declared.name not in outer:
            raise WireError(f"output '{declared.name}' is written by no node")
    return UnboundGraph(
        scanned.name, nodes, inputs, tuple(scanned.outputs), constants, values, _ParsedLater(scanned.value_info)
    )


def _check_input(declared: DeclaredType) -> None:
    if not declared.name:
        raise WireError("an input has no name")
    if declared.dims is not None and len(declared.dims) > MAX_RANK:
        raise WireError(f"input '{declared.name}' has {len(declared.dims)} dimensions, more than {MAX_RANK}")


def _check_overridden(declared: Sequence[DeclaredType], constants: Mapping[str, TensorType]) -> None:
    """An input that has an initializer is of its type."""
    for one in declared:
        kind = constants.get(one.name)
        if kind is None:
            continue
        sizes = one.dims is None or (
            len(one.dims) == len(kind.shape)
            and all(d == size or not isinstance(d, int) for d, size in zip(one.dims, kind.shape, strict=True))
        )
        if (one.dtype and one.dtype != kind.dtype) or not sizes:
            raise WireError(f"input '{one.name}' is declared as another type than its initializer has, {kind}")


class _ParsedLater:
    """The types that a file declares for inner tensors, parsed when they are first asked for; it can be pickled.

    Many tensors have one type, which is parsed once and shared: these entries have no name in them.
    """

    def __init__(self, messages: Sequence[bytes]) -> None:
        self._messages = messages
        self._declared: dict[str, DeclaredType] = {}

    def __call__(self) -> dict[str, DeclaredType]:
        if not self._declared and self._messages:
            known: dict[bytes, DeclaredType] = {}
            for message in self._messages:
                try:
                    name, rest = split_name(message)
                    found = known.get(rest)
                    if found is None:
                        found = known[rest] = scan_declared(rest, 0, len(rest))
                except (WireError, IndexError, UnicodeDecodeError):
                    continue  # only a hint, which an operator with a rule does not need
                self._declared[found.name or name] = found
        return dict(self._declared)


def _give_names(nodes: list[Node]) -> None:
    taken = {node.name for node in nodes}
    if len(taken) == len(nodes) and "" not in taken:
        return
    seen: set[str] = set()
    for index, node in enumerate(nodes):
        name = node.name
        if not name or name in seen:
            stem = name or node.op_type
            name = f"{stem}_{index}"
            while name in taken:
                name += "_"
            node.name = name
            taken.add(name)
        seen.add(name)


_Reads = Mapping[str, frozenset[str]]  # by the name of a node, what graphs nested in it read


def _in_order(nodes: list[Node], available: set[str], outer: Collection[str], reads: _Reads) -> list[Node]:
    """The nodes, sorted only if they need it; their outputs are added to `available`."""
    written = set(available)
    for node in nodes:
        if not any(node.outputs):
            raise WireError(f"node '{node.name}' ({node.op_type}) writes no tensor")
        for name in node.outputs:
            if name:
                if name in written:
                    raise WireError(f"tensor '{name}' is written twice, the second time by node '{node.name}'")
                written.add(name)
    ordered = True
    for node in nodes:
        for name in node.inputs:
            if name and name not in available and name not in outer:
                ordered = False
        if ordered and node.name in reads:
            ordered = all(n in available or n in outer or n not in written for n in reads[node.name])
        if not ordered:
            break
        available.update(node.outputs)
    available.discard("")
    if ordered:
        return nodes
    return _sorted(nodes, available, written, outer, reads)


def _sorted(
    nodes: list[Node], available: set[str], written: set[str], outer: Collection[str], reads: _Reads
) -> list[Node]:
    waiting: dict[str, list[int]] = {}
    missing = [0] * len(nodes)
    own_outputs = {name for node in nodes for name in node.outputs}
    for index, node in enumerate(nodes):
        for name in node.inputs:
            if name and name not in written and name not in outer:
                raise WireError(f"node '{node.name}' ({node.op_type}) reads the tensor '{name}', which nothing writes")
        for name in {*node.inputs, *reads.get(node.name, ())} & own_outputs:
            if name:
                waiting.setdefault(name, []).append(index)
                missing[index] += 1
    ready = [index for index in range(len(nodes) - 1, -1, -1) if not missing[index]]
    order = []
    while ready:
        index = ready.pop()
        order.append(nodes[index])
        for name in nodes[index].outputs:
            for reader in reversed(waiting.get(name, ())):
                missing[reader] -= 1
                if not missing[reader]:
                    ready.append(reader)
    if len(order) != len(nodes):
        stuck = next(nodes[index] for index in range(len(nodes)) if missing[index])
        raise WireError(f"the graph has a cycle through node '{stuck.name}' ({stuck.op_type})")
    available |= written
    return order


def _captured(node: Node, known: _Captured) -> frozenset[str]:
    """Tensors that graphs nested in a node read and do not have themselves; each graph is looked at once."""
    found: frozenset[str] = frozenset()
    for value in node.attributes.values():
        for graph in value if isinstance(value, list) else (value,):
            if not isinstance(graph, ScannedGraph):
                continue
            reads = known.get(id(graph))
            if reads is None:
                own = {d.name for d in graph.inputs} | {t.name for t in graph.tensors}
                own.update(name for inner in graph.nodes for name in inner.outputs)
                wanted = {d.name for d in graph.outputs}
                for inner in graph.nodes:
                    wanted.update(inner.inputs)
                    if inner.attributes:
                        wanted |= _captured(inner, known)
                reads = known[id(graph)] = frozenset(wanted - own)
            found |= reads
    return found


def _attribute(value: Any, available: Collection[str], outer: Collection[str], captured: _Captured) -> Any:
    if isinstance(value, ScannedGraph):
        return build_graph(value, _Union(available, outer), captured)
    if isinstance(value, StoredTensor):
        exact = value.value is not None and value.type.dtype in NUMPY_OF_DTYPE
        return value.value if exact else value.type
    if isinstance(value, list):
        return tuple(_attribute(v, available, outer, captured) for v in value)
    if isinstance(value, Reference):
        raise WireError(f"an attribute refers to '{value.name}' outside of a function")
    return value


class _Union:
    """Membership in either of two collections, without a copy of both for every nested graph."""

    def __init__(self, first: Collection[str], second: Collection[str]) -> None:
        self._parts = (first, second)

    def __contains__(self, name: object) -> bool:
        return name in self._parts[0] or name in self._parts[1]

    def __iter__(self) -> Iterator[str]:
        for part in self._parts:
            yield from part

    def __len__(self) -> int:
        return sum(map(len, self._parts))


_CONVERTED = frozenset({ScannedGraph, StoredTensor, Reference, list})


def _constant(node: Node) -> StoredTensor:
    for key, make in _CONSTANT_FORMS.items():
        if key in node.attributes:
            value = node.attributes[key]
            if isinstance(value, StoredTensor):
                return value
            if value is None or isinstance(value, Reference | ScannedGraph):
                break
            try:
                return make(value)
            except (TypeError, ValueError, OverflowError):
                break
    raise WireError(f"node '{node.name}' (Constant) has no value")


def _numbers(dtype: str) -> Callable[[Any], StoredTensor]:
    def make(value: Any) -> StoredTensor:
        array = np.array(value, dtype)
        kind = TensorType(dtype, array.shape)
        return StoredTensor("", kind, array if array.size <= MAX_KNOWN_ELEMENTS else None)

    return make


def _text(value: Any) -> StoredTensor:
    return StoredTensor("", TensorType("string", (len(value),) if isinstance(value, tuple) else ()))


_CONSTANT_FORMS: dict[str, Callable[[Any], StoredTensor]] = {
    "value": _numbers("float32"),
    "sparse_value": _numbers("float32"),
    "value_float": _numbers("float32"),
    "value_floats": _numbers("float32"),
    "value_int": _numbers("int64"),
    "value_ints": _numbers("int64"),
    "value_string": _text,
    "value_strings": _text,
}
