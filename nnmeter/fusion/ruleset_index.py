"""The rule sets that ship and what they say of their runtime, without reading their rules.

1. A rule set says under `device` what it is of: `place` (server, phone, stick) and `kind` (cpu, gpu, vpu); where the
   runtime can be installed here, its `distributions` (any of which is the runtime) and the `extra` of nnmeter that
   brings it; and, where a runtime has several rule sets, which one is its `default`.
2. `ruleset_index.json` beside this module repeats that for all rule sets, with the hash of the stages of each
   (`ruleset_hash.py`). `python -m nnmeter.fusion.ruleset_index` writes it; a test holds it to the rule sets.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from nnmeter.errors import DeviceError
from nnmeter.files import write_whole
from nnmeter.fusion.ruleset_hash import hash_with_parameters, stages_hash

INDEX = Path(__file__).with_name("ruleset_index.json")
_REPEATED = ("name", "runtime", "runtime_version", "parameters", "device", "machine")


@dataclass(frozen=True)
class RuleSetInfo:
    """A rule set that ships.

    Attributes:
        id: its name as `load_rules` takes it: `onnxruntime_cpu`.
        name: as it calls itself.
        runtime: of which runtime it is.
        runtime_version: of which version.
        parameters: its parameters with their defaults.
        stages_hash: what its stages mean.
        place: what its devices are a part of: `server`, `phone`, `stick`.
        kind: what executes the models: `cpu`, `gpu`, `vpu`.
        distributions: Python distributions any of which is the runtime; none where it cannot be installed here.
        extra: the extra of nnmeter that installs the runtime; "" where there is none.
        default: whether it is the one of its runtime where nothing says which.
        machine: which parameters follow from the processor (`for_machine.py`).
    """

    id: str
    name: str
    runtime: str
    runtime_version: str
    parameters: Mapping[str, Any]
    stages_hash: str
    place: str
    kind: str
    distributions: tuple[str, ...]
    extra: str
    default: bool
    machine: tuple[Mapping[str, Any], ...] = field(repr=False)

    def hash_of(self, parameters: Mapping[str, Any]) -> str:
        """The hash of the rule set with these parameters, those that are missing having their defaults."""
        return hash_with_parameters(self.stages_hash, {**self.parameters, **parameters})


@cache
def rule_sets() -> dict[str, RuleSetInfo]:
    """The rule sets that ship, by id."""
    content = json.loads(INDEX.read_text(encoding="utf-8"))
    found = {}
    for name, entry in content["rule_sets"].items():
        device = entry.get("device", {})
        found[name] = RuleSetInfo(
            name,
            entry["name"],
            entry["runtime"],
            entry["runtime_version"],
            entry["parameters"],
            entry["stages_hash"],
            device.get("place", "server"),
            device.get("kind", "cpu"),
            tuple(device.get("distributions", ())),
            device.get("extra", ""),
            device.get("default", False),
            tuple(entry.get("machine", ())),
        )
    return found


def rule_set_named(name: str) -> RuleSetInfo | None:
    """The rule set that ships under this id, or that calls itself so; None if there is none."""
    known = rule_sets()
    return known.get(name) or next((item for item in known.values() if item.name == name), None)


def find_rule_set(runtime: str) -> RuleSetInfo | None:
    """The rule set of a runtime: the only one, or the one that says it is the default; None if none ships."""
    of_runtime = [item for item in rule_sets().values() if item.runtime == runtime]
    if len(of_runtime) > 1:
        of_runtime = [item for item in of_runtime if item.default]
    return of_runtime[0] if of_runtime else None


def rule_set_of(runtime: str) -> RuleSetInfo:
    """As `find_rule_set`.

    Raises:
        DeviceError: no rule set of this runtime ships.
    """
    found = find_rule_set(runtime)
    if found is None:
        raise DeviceError(f"{runtime}: no fusion rules of this runtime ship; give some with --rules")
    return found


def extra_of(module: str) -> str:
    """The extra of nnmeter that installs a runtime's package; "" if it is none of a runtime's."""
    return next((item.extra for item in rule_sets().values() if module in item.distributions), "")


def make_index() -> dict[str, Any]:
    """The content of the index, from the rule sets themselves (rule 2)."""
    from nnmeter.fusion.loading import RULESETS, load_rules, rules_to_dict

    entries: dict[str, Any] = {}
    for path in sorted(RULESETS.glob("*.json")):
        rules = rules_to_dict(load_rules(path))
        entries[path.stem] = {key: rules[key] for key in _REPEATED if key in rules}
        entries[path.stem]["stages_hash"] = stages_hash(rules)
    return {"rule_sets": entries}


def write_index() -> None:
    """Write the index anew, after a rule set has changed."""
    write_whole(INDEX, json.dumps(make_index(), indent=1) + "\n")


if __name__ == "__main__":
    write_index()
