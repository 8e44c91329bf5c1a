"""A rule set for the machine it is to describe: parameters that follow from the processor's instructions.

A rule set of a runtime that has other kernels on other processors declares under `machine`, in a list, which parameters
these are: `parameter`, its value by instruction set (`isa`, by the names of `nnmeter.devices.machine.ISA_LEVELS`), and
why and where that can be seen (`why`, `source`). What the list does not say stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nnmeter.errors import DeviceError
from nnmeter.fusion.engine.rules import FusionRules
from nnmeter.fusion.loading import rules_to_dict, with_parameters


def rules_for_machine(rules: FusionRules, isa: str) -> FusionRules:
    """The same rules with the parameters of processors with the instruction set `isa`; "" or another leaves them.

    Raises:
        DeviceError: what the rule set declares under `machine` is malformed.
    """
    wanted = machine_parameters(rules_to_dict(rules), isa)
    changes = {name: value for name, value in wanted.items() if rules.parameters.get(name) != value}
    return with_parameters(rules, **changes) if changes else rules


def machine_parameters(rules: Mapping[str, Any], isa: str) -> dict[str, Any]:
    """The parameters that a rule set, as JSON or as the index has it, declares for processors with `isa`."""
    declared = rules.get("machine", [])
    found: dict[str, Any] = {}
    for entry in declared if isinstance(declared, list) else [declared]:
        values = entry.get("isa") if isinstance(entry, Mapping) else None
        if not isinstance(values, Mapping) or not isinstance(entry.get("parameter"), str):
            raise DeviceError(
                f"{rules.get('name', 'fusion rules')!s:.80}: 'machine' must list a 'parameter' and its values by "
                f"'isa', not {entry!r:.80}; restore the rules"
            )
        if isa in values:
            found[entry["parameter"]] = values[isa]
    return found
