"""Kernels of many networks for several devices at once.

Rules:

1. Rule sets that begin with the same stage, under equal parameters, are a group. The stages that begin all of a group
   alike are applied to a network once; what they leave is then rewritten by the rest of each.
2. Equal signatures are one object, so that a million kernels cost what their distinct signatures cost.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from nnmeter.fusion.detect import detect_kernels, rewrite_graph
from nnmeter.fusion.engine.rewriting import WorkingGraph, split_kind
from nnmeter.fusion.engine.rules import FusionRules
from nnmeter.fusion.loading import load_rules, rules_to_dict, with_parameters
from nnmeter.graph.ir import Graph, Node
from nnmeter.kernels.kernel import KernelSignature
from nnmeter.lab.importing.published import PublishedDevice


class Detection:
    """The fusion rules of some devices, prepared.

    Args:
        devices: the devices.
        rules: a rule set to take in place of the devices' own, a name or a file.
        parameters: parameters of the rules to change, for all devices.

    Raises:
        DeviceError: there is no such rule set or parameter.
    """

    def __init__(
        self, devices: Sequence[PublishedDevice], rules: str | None = None, parameters: Mapping[str, Any] | None = None
    ) -> None:
        self.rules: dict[str, FusionRules] = {}
        self.names: dict[str, str] = {}
        self._place: dict[str, int] = {}
        distinct: list[FusionRules] = []
        for device in devices:
            self.names[device.name] = rules or device.rules
            loaded = load_rules(rules or device.rules)
            changes = {**({} if rules else device.parameters), **(parameters or {})}
            if changes:
                loaded = with_parameters(loaded, **changes)
            self.rules[device.name] = loaded
            same = (place for place, other in enumerate(distinct) if rules_to_dict(other) == rules_to_dict(loaded))
            self._place[device.name] = next(same, len(distinct))
            if self._place[device.name] == len(distinct):
                distinct.append(loaded)
        self._groups = [(places, *_split_rules([distinct[p] for p in places])) for places in _groups(distinct)]
        self._known: dict[KernelSignature, KernelSignature] = {}

    def fingerprint_fields(self, device: str) -> tuple[str, Mapping[str, Any]]:
        """Name and parameters of a device's rules, as its fingerprint tells them."""
        return self.names[device], self.rules[device].parameters

    def kernels(self, graph: Graph) -> dict[str, tuple[KernelSignature, ...]]:
        """The kernels of a network on each device, by its name."""
        found = self.kernels_at(graph, set(self._place.values()))
        return {device: found[place] for device, place in self._place.items()}

    def place(self, device: str) -> int:
        """The number of a device's rules: devices of one number have the same kernels."""
        return self._place[device]

    def kernels_at(self, graph: Graph, wanted: Collection[int]) -> dict[int, tuple[KernelSignature, ...]]:
        """The kernels of a network by the rules of some numbers."""
        found = {}
        for places, first, rests in self._groups:
            own = [(place, rest) for place, rest in zip(places, rests, strict=True) if place in wanted]
            settled = _settle(graph, rewrite_graph(graph, first)) if first and own else graph
            for place, rest in own:
                found[place] = tuple([self.intern(k.signature) for k in detect_kernels(settled, rest)])
        return found

    def intern(self, signature: KernelSignature) -> KernelSignature:
        """The one object that stands for equal signatures (rule 2)."""
        return self._known.setdefault(signature, signature)


def _groups(rules: Sequence[FusionRules]) -> list[list[int]]:
    """Rule 1: the places of rule sets that begin with the same stage."""
    found: dict[str, list[int]] = {}
    for place, item in enumerate(rules):
        stages = rules_to_dict(item)["stages"]
        named = sorted(_parameters_in(stages[0])) if stages else []
        key = json.dumps([stages[:1], [item.parameters.get(name) for name in named]], sort_keys=True, default=str)
        found.setdefault(key, []).append(place)
    return list(found.values())


def _split_rules(rules: Sequence[FusionRules]) -> tuple[FusionRules | None, list[FusionRules]]:
    """Rule 1: what the rule sets of a group begin with alike, and what is left of each."""
    sources = [rules_to_dict(item) for item in rules]
    count = 0
    for stages in zip(*[source["stages"] for source in sources], strict=False):
        named = _parameters_in(stages[0])
        values = [{name: item.parameters.get(name) for name in named} for item in rules]
        if any(stage != stages[0] for stage in stages) or any(value != values[0] for value in values):
            break
        count += 1
    if not count:
        return None, list(rules)
    first = load_rules({**sources[0], "stages": sources[0]["stages"][:count]})
    return first, [load_rules({**source, "stages": source["stages"][count:]}) for source in sources]


def _parameters_in(data: Any) -> set[str]:
    """The parameters that a stage refers to."""
    if isinstance(data, Mapping):
        own = {data[key] for key in ("only_if", "if") if isinstance(data.get(key), str)}
        return own.union(*map(_parameters_in, data.values()))
    if isinstance(data, (list, tuple)):
        if len(data) == 2 and data[0] == "param" and isinstance(data[1], str):
            return {data[1]}
        return set().union(*map(_parameters_in, data))
    return set()


def _settle(graph: Graph, work: WorkingGraph) -> Graph:
    """A working graph as a graph that rules can be applied to."""
    nodes = []
    for node in work.ordered():
        domain, op_type = split_kind(node.kind)
        nodes.append(Node(op_type, domain, node.name, tuple(node.inputs), tuple(node.outputs), node.attributes))
    return Graph(graph.name, nodes, graph.inputs, graph.outputs, work.types, work.constants, work.values, graph.opsets)
