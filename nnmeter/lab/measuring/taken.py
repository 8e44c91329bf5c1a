"""Times that the user took, on a device that nnmeter cannot measure from here: `nnmeter measure --taken`.

Rules:

1. The kernels are those that the fusion rules of the device's pack find; the fingerprint is the pack's, so that the
   measurement can calibrate it.
2. The time is as given, in the state that the pack's prices are of. No reference was timed beside it; `reference_ms` is
   that of the pack's state, or a nominal 1. As in imported measurements, minimum and 90th percentile are NaN, `runs` is
   0, and the halves are zeros.
"""

from __future__ import annotations

import datetime
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnmeter.binding.bind import bind_shapes
from nnmeter.errors import MeasurementError
from nnmeter.formats import read_model
from nnmeter.fusion.detect import detect_kernels
from nnmeter.graph.input_sizes import InputSizes
from nnmeter.lab.measuring.clock import state_of_card
from nnmeter.lab.measuring.measurement import Measurement

if TYPE_CHECKING:
    from nnmeter.devices import DevicePack

_NOT_THE_DEVICE = ("published", "fusion_rules", "fusion_parameters", "sittings")  # what a fingerprint says beyond it


def take_down(
    model: str | os.PathLike[str],
    pack: DevicePack,
    latency_ms: float,
    dims: Mapping[str, int] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    assume: Mapping[str, Sequence[int]] | None = None,
    family: str = "",
    sitting: str = "",
) -> tuple[Measurement, dict[str, Any]]:
    """The measurement of a whole model whose time is known, and the fingerprint for its file (rules 1 and 2).

    Args:
        model: path of the model that was timed.
        pack: of the device.
        latency_ms: time of one inference.
        dims: sizes of the model's free dimensions.
        shapes: whole shapes of its inputs.
        assume: shapes of inner tensors that depend on data.
        family: its architecture family.
        sitting: name of the sitting; date and time if empty.

    Raises:
        ModelError: the model cannot be read, or dimensions remain free.
        MeasurementError: the time is not a positive number.
    """
    if not (math.isfinite(latency_ms) and latency_ms > 0):
        raise MeasurementError(f"{model}: {latency_ms} ms is no time; give the milliseconds of one inference")
    graph = bind_shapes(read_model(model), InputSizes().updated(dims, shapes, assume))
    first = next((graph.types[name].shape for name in graph.inputs), ())
    name = Path(model).stem
    now = datetime.datetime.now()
    state = state_of_card(pack.card)
    measurement = Measurement(
        id=f"model:{name}",
        granularity="model",
        network=name,
        family=family,
        kernels=tuple(kernel.signature for kernel in detect_kernels(graph, pack.rules)),
        latency_ms=latency_ms,
        min_ms=math.nan,
        median_ms=latency_ms,
        p90_ms=math.nan,
        runs=0,
        reference_ms=1.0 if state is None else state.around(latency_ms),
        half_ms=(0.0, 0.0),
        threads=pack.card.threads,
        batch=max(1, int(first[0])) if first else 1,
        sitting=sitting or now.isoformat(timespec="seconds"),
    )
    known = {key: value for key, value in pack.card.fingerprint.items() if key not in _NOT_THE_DEVICE}
    return measurement, {**known, "reported": True, "date": now.date().isoformat()}
