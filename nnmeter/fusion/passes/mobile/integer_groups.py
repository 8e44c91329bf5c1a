"""Operators of a quantized model that compute in integers: those between DequantizeLinear and QuantizeLinear.

Fields of an `integer_groups` pass: `operators` (what the runtime has kernels in integers of), `joining` (what may stand
between such an operator and the QuantizeLinear behind it: activations, which join its kernel), `types` (integer types
of the file -> those that the runtime stores in their place).

1. An operator computes in integers where all that it reads in floating point is dequantized before it or constant, at
   least one computed tensor is dequantized, and all that it writes is quantized behind it, perhaps behind a `joining`
   operator that alone reads it and for which the same holds.
2. It reads what was dequantized and writes what was quantized. Its constants are of the type of its first input: the
   file stores them as integers, and they were folded to floating point with the DequantizeLinear behind them. (Biases,
   constants of one dimension beside a larger one, are int32.)
3. What is quantized and dequantized is of the runtime's types: unsigned integers of a file are shifted to signed ones.
4. A DequantizeLinear or QuantizeLinear that nobody needs any more is gone; those at the borders of a model, and around
   operators that have no kernel in integers, stay, and run.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from nnmeter.fusion.engine.neighbours import only_reader
from nnmeter.fusion.engine.passes import Field, Fields, PassKind, element_type, map_of, procedure, texts
from nnmeter.fusion.engine.rewriting import WorkingGraph, WorkNode
from nnmeter.graph.ir import TensorType

QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
_FLOATING = frozenset({"float32", "float16", "float64", "bfloat16"})
_MOST_JOINED = 4  # operators between a kernel and its QuantizeLinear


def integer_groups(graph: WorkingGraph, fields: Fields) -> bool:
    """Let the operators of rule 1 compute in integers; whether there were any."""
    operators, joining = frozenset(fields["operators"]), frozenset(fields["joining"])
    before = graph.version
    _store_as(graph, fields["types"])
    for node in graph.of_kinds(operators):
        if not node.alive or not _reads_integers(graph, node):
            continue
        group = _group(graph, node, joining)
        if group:
            _to_integers(graph, group)
    return graph.version != before


def _store_as(graph: WorkingGraph, types: Mapping[str, str]) -> None:
    """Rule 3."""
    for node in graph.of_kinds((QUANTIZE, DEQUANTIZE)):
        name = node.outputs[0] if node.kind == QUANTIZE else node.inputs[0]
        stored = graph.types[name]
        if stored.dtype in types:
            graph.types[name] = TensorType(types[stored.dtype], stored.shape)
            graph.version += 1


def _is_floating(graph: WorkingGraph, tensor: str) -> bool:
    return bool(tensor) and graph.types[tensor].dtype in _FLOATING


def _dequantized_from(graph: WorkingGraph, tensor: str) -> str:
    """The integers that a tensor is dequantized from; "" for any other tensor."""
    writer = graph.producer.get(tensor)
    return writer.inputs[0] if writer is not None and writer.kind == DEQUANTIZE else ""


def _reads_integers(graph: WorkingGraph, node: WorkNode) -> bool:
    """Rule 1 of what an operator reads."""
    floating = [name for name in node.inputs if _is_floating(graph, name)]
    computed = [name for name in floating if name not in graph.constants]
    return bool(computed) and all(_dequantized_from(graph, name) for name in computed)


def _group(graph: WorkingGraph, node: WorkNode, joining: Collection[str]) -> list[WorkNode]:
    """The operator, what joins it, in order; nothing where the last of them is not quantized (rule 1)."""
    group = [node]
    while len(group) <= _MOST_JOINED:
        last = group[-1]
        written = [name for name in last.outputs if name]
        if all(_is_quantized(graph, name) for name in written):
            return group
        reader = only_reader(graph, written[0]) if len(written) == 1 else None
        if reader is None or reader.kind not in joining:
            return []
        others = [name for name in reader.inputs if name != written[0] and _is_floating(graph, name)]
        if not all(name in graph.constants or _dequantized_from(graph, name) for name in others):
            return []
        group.append(reader)
    return []


def _is_quantized(graph: WorkingGraph, tensor: str) -> bool:
    """Whether all that becomes of a tensor are integers, of one name that the caller gets at most."""
    readers = graph.readers.get(tensor, ())
    if not readers or tensor in graph.outputs:
        return False
    if not all(reader.kind == QUANTIZE and reader.inputs[0] == tensor for reader in readers):
        return False
    return sum(reader.outputs[0] in graph.outputs for reader in readers) <= 1


def _to_integers(graph: WorkingGraph, group: list[WorkNode]) -> None:
    """Rules 2 and 4."""
    last = group[-1]
    for name in [name for name in last.outputs if name]:
        _write_integers(graph, last, name)
    result = next(name for name in last.outputs if name)
    for node in group:
        _read_integers(graph, node)
        for name in node.outputs:
            if _is_floating(graph, name):
                graph.types[name] = TensorType(graph.types[result].dtype, graph.types[name].shape)


def _write_integers(graph: WorkingGraph, node: WorkNode, tensor: str) -> None:
    """Let a node write what the QuantizeLinear behind it does; several that read it are one."""
    quantizing = list(dict.fromkeys(graph.readers[tensor]))
    results = [reader.outputs[0] for reader in quantizing]
    first = next((name for name in results if name in graph.outputs), results[0])
    written = graph.types[first]
    sources = tuple(source for reader in quantizing for source in reader.sources)
    for reader in quantizing:
        result = reader.outputs[0]
        graph.remove_node(reader)
        if result != first:
            graph.redirect(result, first)
    node.sources += sources
    graph.types[tensor] = written
    graph.set_output(node, node.outputs.index(tensor), first)


def _read_integers(graph: WorkingGraph, node: WorkNode) -> None:
    """Let a node read what was dequantized, and constants of its type."""
    dtype = ""
    for index, name in enumerate(node.inputs):
        if _is_floating(graph, name) and name not in graph.constants:
            stored = _dequantized_from(graph, name)
            if stored:
                writer = graph.producer[name]
                graph.set_input(node, index, stored)
                graph.prune([writer])
                dtype = dtype or graph.types[stored].dtype
    dtype = dtype or next(graph.types[name].dtype for name in node.inputs if name)
    largest = max((len(graph.types[name].shape) for name in node.inputs if name in graph.constants), default=0)
    for index, name in enumerate(node.inputs):
        if name in graph.constants and _is_floating(graph, name):
            shape = graph.types[name].shape
            is_bias = len(shape) == 1 < largest
            graph.set_input(node, index, graph.add_weight(name, TensorType("int32" if is_bias else dtype, shape)))


PASSES = (
    PassKind(
        "integer_groups",
        procedure(integer_groups),
        {
            "operators": Field(texts),
            "joining": Field(texts, ()),
            "types": Field(map_of(element_type, key=element_type), {}),
        },
    ),
)
