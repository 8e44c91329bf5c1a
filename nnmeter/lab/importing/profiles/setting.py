"""What is known of an import beyond its files: the device that was measured, what fuses there, and sizes.

1. A device is named by the user, is this machine (`here`), or is what a kit's run script noted. What nobody says is
   left out, never guessed.
2. Kernels are those that the tool says it executed. Where a tool only says which operators of a model ran together, or
   how long the whole took, the fusion rules of the device say what its kernels are: those of the runtime, or
   `plain_network` for a runtime that has none.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from nnmeter.binding.bind import bind_shapes
from nnmeter.errors import MeasurementError
from nnmeter.formats import read_model
from nnmeter.formats.wire import LENGTH, WireError, fields, text
from nnmeter.graph.input_sizes import AS_DECLARED, InputSizes
from nnmeter.lab.importing.profiles.times import MeasuredNetwork

if TYPE_CHECKING:
    from nnmeter.fusion.engine.rules import FusionRules
    from nnmeter.graph.ir import Graph
    from nnmeter.lab.importing.profiles.given import GivenFile

_NO_REFERENCE = "none: times are as the tool wrote them, and reference_ms is a nominal 1"
_RULES_OF_NONE = "plain_network"  # rule 2
_PRECISIONS = ("float16", "int8")  # parameters of the rules of devices that compute in these
_METADATA = 14  # field of an ONNX model
_FAMILY = "nnmeter.family"  # what the networks of a campaign have in their metadata


@dataclass(frozen=True)
class MeasuredDevice:
    """What was measured (rule 1).

    Attributes:
        name: id of the device, "" where none is given.
        hardware: its processor and the thing that it is in.
        runtime: name of the runtime, as in device packs.
        version: of the runtime, "" where it is not known.
        threads: that executed one network.
        precision: element type of the computation.
        kind: cpu, gpu, npu.
        here: whether it is this machine.
        facts: what else a fingerprint says of it.
    """

    name: str = ""
    hardware: str = ""
    runtime: str = ""
    version: str = ""
    threads: int = 1
    precision: str = "float32"
    kind: str = "cpu"
    here: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)

    def fingerprint(self, tools: Sequence[str], rules: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The fingerprint of what was measured on it.

        Args:
            tools: formats that the times come from.
            rules: name of the fusion rules.
            parameters: of the rules.
        """
        found: dict[str, Any] = {"runtime": self.runtime, "runtime_version": self.version or "unknown"}
        if self.here:
            from nnmeter.lab.measuring.fingerprint import take_fingerprint

            found = take_fingerprint(self.runtime, self.version or "unknown", self.threads, {}, self.precision)
        given = {"device": self.name, "cpu": self.hardware, "kind": self.kind}
        return {
            **found,
            **{key: value for key, value in given.items() if value},
            "threads": self.threads,
            "precision": self.precision,
            "date": datetime.date.today().isoformat(),
            "reference": _NO_REFERENCE,
            "reported": True,
            "fusion_rules": rules,
            "fusion_parameters": dict(parameters),
            "profiles": {"tools": sorted(set(tools))},
            **self.facts,
        }


@dataclass
class Setting:
    """What readers are told beside their files.

    Attributes:
        device: what was measured; readers fill in what a profile tells of it (`learn`).
        rules: fusion rules, a file or the name of a rule set; by the runtime if not given.
        sizes: of free dimensions.
        families: architecture family by name of a network.
    """

    device: MeasuredDevice
    rules: str | None = None
    sizes: InputSizes = AS_DECLARED
    families: Mapping[str, str] = field(default_factory=dict)

    def learn(self, runtime: str, **facts: Any) -> None:
        """Take down what a profile tells of its device; what the user said stays.

        Raises:
            MeasurementError: it is of another runtime than the profiles before it.
        """
        if self.device.runtime and self.device.runtime != runtime:
            raise MeasurementError(
                f"is of {runtime}, others are of {self.device.runtime}; import each runtime on its own"
            )
        missing = {key: value for key, value in facts.items() if value and not getattr(self.device, key)}
        if facts.get("kind") and self.device.kind == "cpu":
            missing["kind"] = facts["kind"]
        self.device = replace(self.device, runtime=runtime, **missing)

    @property
    def rules_name(self) -> str:
        """The fusion rules that stand for the device (rule 2)."""
        from nnmeter.fusion.ruleset_index import find_rule_set

        if self.rules:
            return self.rules
        shipped = find_rule_set(self.device.runtime)
        return shipped.id if shipped else _RULES_OF_NONE

    @cached_property
    def loaded_rules(self) -> FusionRules:
        """These rules, set to the processor where it is known."""
        from nnmeter.fusion.for_machine import rules_for_machine
        from nnmeter.fusion.loading import load_rules, with_parameters

        isa = self.device.facts.get("isa", "")
        if self.device.here and not isa:
            isa = self.device.fingerprint([], "", {}).get("isa", "")
        loaded = rules_for_machine(load_rules(self.rules_name), str(isa))
        if self.device.precision in _PRECISIONS and self.device.precision in loaded.parameters:
            loaded = with_parameters(loaded, **{self.device.precision: True})
        return loaded

    def graph_of(self, model: GivenFile) -> Graph:
        """A model with static shapes.

        Raises:
            ModelError: it cannot be read, or dimensions remain free.
        """
        return bind_shapes(read_model(model.path), self.sizes)

    def network(self, name: str, graph: Graph | None, sitting: str, family: str = "") -> MeasuredNetwork:
        """Whose times they are: a random network of a campaign where its family says so."""
        first = next((graph.types[one].shape for one in graph.inputs), ()) if graph is not None else ()
        granularity = "block" if family else "model"
        named = self.families.get(name, self.families.get(f"{name}.onnx", family))
        return MeasuredNetwork(
            name, named, granularity, self.device.threads, int(first[0]) if first and first[0] > 0 else 1, sitting
        )


def family_in(model: GivenFile) -> str:
    """The family of a random network of a campaign, by its metadata; "" for every other model."""
    try:
        data = model.data
        for number, kind, start, stop in fields(data, 0, len(data)):
            if number == _METADATA and kind == LENGTH:
                entry = {n: text(data, a, b) for n, k, a, b in fields(data, start, stop) if k == LENGTH}
                if entry.get(1) == _FAMILY:
                    return entry.get(2, "")
    except (WireError, IndexError, OSError):  # of a model that is too large to be a random one, too
        pass
    return ""
