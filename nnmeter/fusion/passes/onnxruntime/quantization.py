"""Quantized groups: dequantize - operator - quantize becomes one integer operator.

Fields of a `quantized_groups` pass: `dequantize` and `quantize` (operators), and `groups`, tried in order. A group has

1. `op`: operators; `quantized`: the inputs that must come from dequantize nodes ("all" or positions; a position is
   skipped where the input is absent); `float`: the inputs that must be constants. Other inputs are passed on.
2. `result`: "quantized" (the output's only reader is a quantize node, which becomes part of the group), "float" (it
   computes a float output), or "same" (quantized, with the scale and zero point of input 0: it only moves data).
   Of an operator of several outputs, each must be read by one quantize node alone.
3. `types`: element types that are allowed, by position or "y" for the output; `alike`: positions that share one type;
   `attributes`: the values that attributes may have, null where they may be absent; `products`: a position whose scale
   is the product of the scales of others within a `relative` and an `absolute` tolerance, as that of a bias is. Scales
   whose values are not known (weights that are not there) are taken to be right.
4. `becomes`: the operator, or nothing for the operator itself, and `inputs`: what it reads. `0*` is value, scale and
   zero point of input 0, `0s` its scale, `0z` its zero point, `0` its quantized value (or the input as it is), `each*`
   all inputs one after the other, `y+` scale and zero point of the output, `2!int32` the constant input 2 quantized
   before the run.
5. Groups of one operator are tried before the next operator is looked at. A dequantize node stays for as long as others
   read it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnmeter.fusion.engine.faults import RuleFault
from nnmeter.fusion.engine.passes import (
    Field,
    Fields,
    PassKind,
    Prepared,
    count,
    either,
    element_type,
    list_of,
    literal,
    map_of,
    number,
    object_of,
    one_of,
    optional,
    text,
    texts,
)
from nnmeter.fusion.engine.rewriting import WorkingGraph, WorkNode
from nnmeter.graph.ir import TensorType

_INPUT = re.compile(r"y\+|each\*|[0-9]{1,3}([*sz]|![a-z0-9]+)?")


@dataclass(slots=True)
class _Group:
    node: WorkNode
    sources: dict[int, WorkNode]  # dequantize nodes by input
    sinks: tuple[WorkNode, ...]  # quantize nodes by output; none if it computes a float output


class QuantizedGroups:
    """A `quantized_groups` pass, prepared."""

    def __init__(self, fields: Fields) -> None:
        self.dequantize = frozenset(fields["dequantize"])
        self.quantize = frozenset(fields["quantize"])
        self.rules: dict[str, list[Mapping[str, Any]]] = {}
        for rule in fields["groups"]:
            for op in rule["op"]:
                self.rules.setdefault(op, []).append(rule)

    def apply(self, graph: WorkingGraph) -> bool:
        """Form groups; whether any were."""
        changed = False
        for node in graph.of_kinds(self.rules):
            for rule in self.rules[node.kind]:
                group = self._find(graph, node, rule)
                if group is not None:
                    _replace(graph, group, rule)
                    changed = True
                    break
        return changed

    def _find(self, graph: WorkingGraph, node: WorkNode, rule: Mapping[str, Any]) -> _Group | None:
        wanted = range(len(node.inputs)) if rule["quantized"] == "all" else rule["quantized"]
        sources: dict[int, WorkNode] = {}
        for position in wanted:
            tensor = node.inputs[position] if position < len(node.inputs) else ""
            if not tensor:
                continue
            writer = graph.producer.get(tensor)
            if writer is None or writer.kind not in self.dequantize or len(writer.inputs) < 2 or not writer.inputs[0]:
                return None
            sources[position] = writer
        if any(node.attributes.get(name) not in allowed for name, allowed in rule["attributes"].items()):
            return None
        for position in rule["float"]:
            if position >= len(node.inputs) or node.inputs[position] not in graph.constants:
                return None
        sinks = self._sinks(graph, node)
        if (rule["result"] == "float") == bool(sinks) or not sources:
            return None
        group = _Group(node, sources, sinks)
        if rule["result"] == "same" and not _moves_only(graph, group):
            return None
        return group if _types_fit(graph, group, rule) and _products_fit(graph, group, rule) else None

    def _sinks(self, graph: WorkingGraph, node: WorkNode) -> tuple[WorkNode, ...]:
        found = []
        for tensor in filter(None, node.outputs):
            if graph.uses(tensor) != 1 or tensor in graph.outputs:
                return ()
            reader = graph.readers[tensor][0]
            if reader.kind not in self.quantize or reader.inputs[0] != tensor or len(reader.inputs) < 2:
                return ()
            found.append(reader)
        return tuple(found)


def _same_parameter(graph: WorkingGraph, first: str, second: str) -> bool:
    if first == second:
        return True
    a, b = graph.values.get(first), graph.values.get(second)
    return a is not None and b is not None and a.shape == b.shape and bool((a == b).all())


def _moves_only(graph: WorkingGraph, group: _Group) -> bool:
    source = group.sources.get(0)
    return source is not None and all(
        len(source.inputs) == len(sink.inputs)
        and all(_same_parameter(graph, a, b) for a, b in zip(source.inputs[1:], sink.inputs[1:], strict=True))
        for sink in group.sinks
    )


def _products_fit(graph: WorkingGraph, group: _Group, rule: Mapping[str, Any]) -> bool:
    tolerances = rule["products"]
    for key, factors in tolerances.items():
        if key in ("relative", "absolute"):
            continue
        positions = (int(key), *factors)
        if any(position not in group.sources for position in positions):
            continue
        scales = [graph.values.get(group.sources[position].inputs[1]) for position in positions]
        known = [scale.ravel().astype(np.float64) for scale in scales if scale is not None]
        if len(known) < len(scales):
            continue
        product = np.prod(np.broadcast_arrays(*known[1:]), axis=0)
        limit = tolerances.get("absolute", 0.0) + tolerances.get("relative", 0.0) * np.abs(product)
        if known[0].size not in (1, product.size) or bool((np.abs(known[0] - product) > limit).any()):
            return False
    return True


def _types_fit(graph: WorkingGraph, group: _Group, rule: Mapping[str, Any]) -> bool:
    types = {str(position): graph.types[source.inputs[0]].dtype for position, source in group.sources.items()}
    if group.sinks:
        types["y"] = graph.types[group.sinks[0].outputs[0]].dtype
    for key, allowed in rule["types"].items():
        if key in types and types[key] not in allowed:
            return False
    alike = types.values() if rule["alike"] == "all" else [types.get(key) for key in rule["alike"]]
    return len(set(alike)) <= 1


def _replace(graph: WorkingGraph, group: _Group, rule: Mapping[str, Any]) -> None:
    node, sinks = group.node, group.sinks
    inputs: list[str] = []
    named = rule["inputs"] or [str(position) for position in range(len(node.inputs))]
    for item in named:
        inputs += _named(graph, group, item)
    while inputs and not inputs[-1]:
        inputs.pop()
    outputs = [sink.outputs[0] for sink in sinks] or [tensor for tensor in node.outputs if tensor]
    gone = [node, *sinks]
    absorbed = [s for s in group.sources.values() if graph.uses(s.outputs[0]) == node.inputs.count(s.outputs[0])]
    sources = tuple(name for member in dict.fromkeys([*absorbed, *gone]) for name in member.sources)
    for member in gone:
        graph.remove_node(member)
    graph.add_node(rule["becomes"] or node.kind, node.name, inputs, outputs, node.attributes, node.position, sources)
    graph.prune(group.sources.values())


def _named(graph: WorkingGraph, group: _Group, item: str) -> list[str]:
    """The tensors that one item of `inputs` stands for (rule 4)."""
    if item == "y+":
        return [*_parameters(group.sinks[0] if group.sinks else None)]
    if item == "each*":
        return [name for position in range(len(group.node.inputs)) for name in _named(graph, group, f"{position}*")]
    item, _, dtype = item.partition("!")
    position = int(item.rstrip("*sz"))
    if position >= len(group.node.inputs) or not group.node.inputs[position]:
        return [""]
    source = group.sources.get(position)
    if dtype:
        tensor = group.node.inputs[position]
        return [graph.add_weight(tensor, TensorType(dtype, graph.types[tensor].shape))]
    if source is None:
        return [group.node.inputs[position]]
    scale, zero = _parameters(source)
    parts = {"*": [source.inputs[0], scale, zero], "s": [scale], "z": [zero]}
    return parts.get(item[-1], [source.inputs[0]])


def _parameters(node: WorkNode | None) -> tuple[str, str]:
    if node is None:
        return "", ""
    return node.inputs[1], node.inputs[2] if len(node.inputs) > 2 else ""


def _prepare(fields: Fields) -> Prepared:
    groups = QuantizedGroups(fields)
    return Prepared(groups.apply, groups.dequantize)


def _place(value: Any) -> str:
    """The position of an input, or `y` for the output, as a text."""
    if value == "y" or (isinstance(value, int | str) and str(value).isdecimal() and len(str(value)) < 4):
        return str(value)
    raise RuleFault(f"is {value!r:.60}, not the position of an input or 'y'")


def _input(value: Any) -> str:
    """An item of `inputs` (rule 4)."""
    if not isinstance(value, str) or not _INPUT.fullmatch(value):
        raise RuleFault(f"is {value!r:.60}, not an input of a group")
    return value


_POSITIONS = list_of(count, least=1)


def _products(value: Any) -> dict[str, Any]:
    """Positions of factors by the position of their product, and tolerances (rule 3)."""
    readers = {"relative": number, "absolute": number}
    if not isinstance(value, Mapping):
        raise RuleFault(f"is {value!r:.60}, not an object")
    return {_place(key) if key not in readers else key: readers.get(key, _POSITIONS)(v) for key, v in value.items()}


_GROUP = object_of(
    {
        "op": Field(list_of(text, least=1)),
        "quantized": Field(either("all", list_of(count))),
        "float": Field(list_of(count), ()),
        "result": Field(one_of("quantized", "float", "same")),
        "types": Field(map_of(list_of(element_type), key=_place), {}),
        "alike": Field(either("all", list_of(_place)), ()),
        "attributes": Field(map_of(list_of(literal)), {}),
        "products": Field(_products, {}),
        "becomes": Field(text, ""),
        "inputs": Field(optional(list_of(_input)), None),
    }
)

PASSES = (
    PassKind(
        "quantized_groups",
        _prepare,
        {"dequantize": Field(texts), "quantize": Field(texts), "groups": Field(list_of(_GROUP))},
    ),
)
