"""The near device of a calibration: its measurements in one state, its fusion rules, and what could be measured on it.

Rules:

1. The fusion rules are the first pack's where the runtime is the same, else those of the measurements' runtime; either
   way set to the measured processor (`nnmeter/fusion/for_machine.py`).
2. Prices are real milliseconds of the machine that was measured, in the nominal state of its measurements; the report's
   errors are of these. Only where that is the first device's own machine, with its runtime and version, prices are of
   the same state of the machine as its are. A reference time never carries a time from one machine to another.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nnmeter.devices.pack import DevicePack
from nnmeter.errors import DeviceError, MeasurementError, ModelError
from nnmeter.graph.input_sizes import InputSizes

if TYPE_CHECKING:
    from nnmeter.fusion.engine.rules import FusionRules
    from nnmeter.kernels.kernel import KernelSignature
    from nnmeter.lab.measuring.clock import ClockState
    from nnmeter.lab.measuring.measurement import Measurement


def in_one_state(measurements: Sequence[Measurement], state: ClockState | None = None) -> list[Measurement]:
    """Measurements in one state of their machine (rule 2).

    Args:
        measurements: of the near device.
        state: the state; the reference kernel at the median of its times, if not given.

    Raises:
        MeasurementError: there are none.
    """
    if not measurements:
        raise MeasurementError("there is no measurement to calibrate on; take some: nnmeter measure MODEL... --out F")
    nominal_ms = float(np.median([m.reference_ms for m in measurements]))
    return [m.at_reference(nominal_ms) for m in measurements] if state is None else state.bring(measurements)


def choose_measurements(
    measurements: Sequence[Measurement], only: Sequence[str] = (), limit: int | None = None
) -> np.ndarray[Any, Any]:
    """Which measurements to calibrate on: those of `only`, of these the first `limit`.

    Raises:
        MeasurementError: a name was not measured.
    """
    names = [m.network for m in measurements]
    wanted = {name.removesuffix(".onnx") for name in only}
    unknown = sorted(wanted - {name.removesuffix(".onnx") for name in names})
    if unknown:
        raise MeasurementError(f"{unknown[0]!r} was not measured; there are {', '.join(names[:5])}, ...")
    chosen = np.array([not wanted or name.removesuffix(".onnx") in wanted for name in names])
    if limit is not None:
        chosen &= np.cumsum(chosen) <= limit
    return chosen


def choose_rules(
    prior: DevicePack, fingerprint: Mapping[str, Any], rules: str | os.PathLike[str] | None = None
) -> FusionRules:
    """The fusion rules of the near device (rule 1).

    Raises:
        DeviceError: the rules are faulty, or of another runtime than was measured.
    """
    from nnmeter.fusion.for_machine import rules_for_machine
    from nnmeter.fusion.loading import load_rules
    from nnmeter.fusion.ruleset_index import rule_set_of

    runtime = str(fingerprint.get("runtime", prior.card.runtime))
    if rules is not None:
        loaded = load_rules(rules)
    elif runtime == prior.card.runtime:
        loaded = prior.rules
    else:
        loaded = load_rules(rule_set_of(runtime).id)
    loaded = rules_for_machine(loaded, str(fingerprint.get("isa", "")))
    if loaded.runtime != runtime:
        raise DeviceError(f"{rules}: rules of {loaded.runtime}, measured was {runtime}; give its rules with --rules")
    return loaded


def candidate_kernels(
    folder: str | os.PathLike[str] | None,
    rules: FusionRules,
    measured: set[str],
    dims: Mapping[str, int] | None,
    shapes: Mapping[str, Sequence[int]] | None,
    tell: Callable[[str], None],
) -> dict[str, list[KernelSignature]]:
    """Kernels of the models in a folder that were not measured, by the name that `nnmeter measure` gives a model.

    A model that cannot be read or bound is left out, and `tell` is told why.

    Raises:
        ModelError: the folder has no model, or none of those that were not measured can be read.
    """
    if folder is None:
        return {}
    from nnmeter.binding.bind import bind_shapes
    from nnmeter.formats import read_model
    from nnmeter.fusion.detect import detect_kernels

    paths = sorted(Path(folder).glob("*.onnx"))
    if not paths:
        raise ModelError(f"{folder}: a folder without .onnx files; give another one with --candidates")
    found: dict[str, list[KernelSignature]] = {}
    faults: list[ModelError] = []
    for path in paths:
        if path.stem in measured:
            continue
        try:
            graph = bind_shapes(read_model(path), InputSizes().updated(dims, shapes))
        except ModelError as fault:
            faults.append(fault)
            continue
        found[path.stem] = [k.signature for k in detect_kernels(graph, rules) for _ in range(k.count)]
    if faults and not found:
        raise faults[0]
    for said in faults:
        tell(f"left out of the candidates: {said}")
    return found
