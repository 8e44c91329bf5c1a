"""The state of the machine, freed from what a network does to the reference run behind it.

A run of the reference follows every timed run, so that times can be divided by the speed of the moment. But behind a
large network the reference is slower although the machine is not, most likely because the network has evicted its
operands from the caches: in a campaign of 3,219 networks on a 2-core Ice Lake virtual machine its median time was 30 %
longer behind networks of 14 ms than behind those of 0.6 ms. Dividing by it would make large networks look fast. So:

1. The reference time that a measurement implies is `reference_ms x median_ms / latency_ms`.
2. Its logarithm is the sum of the machine's state, which varies slowly, and of the load that the network puts on the
   caches: a linear function of the logarithms of the network's own time, its largest result and its constants.
3. The load is fitted on the networks of a campaign, which follow each other at random sizes, while the state is held to
   be the running median of what is left, over `WINDOW` networks of one sitting.
4. A steady time is the raw time, brought from the state of its moment to the campaign's median state. The running
   median serves as state for training, where errors of single networks average out, because the few references of one
   network are themselves uncertain; what its own references say (`momentary`) is closer for judging one network.
5. Models that were measured in interleaved passes share one state: the median over the models of their sitting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nnmeter.predictor.reference_load import ReferenceLoad
from nnmeter.profiling.measurement import Measurement

WINDOW = 151
_ROUNDS = 4
_SMALLEST_FIT = 100  # fewer networks than this cannot tell load from state; the load is then taken as none


def fit_reference_load(
    measurements: Sequence[Measurement], momentary: bool = False
) -> tuple[ReferenceLoad, np.ndarray[Any, Any]]:
    """Tell load from state in a campaign (rules 2 and 3).

    Args:
        measurements: networks in the order in which they were measured.
        momentary: return the state that each network's own references show, not the running median.

    Returns:
        The load, and the logarithm of each measurement's state relative to the median state.
    """
    implied = _implied_log_reference(measurements)
    design = _design(measurements)
    sittings = [m.sitting for m in measurements]
    coefficients = np.zeros(3)
    state = _running_medians(implied, sittings)
    if len(measurements) >= _SMALLEST_FIT:
        for _ in range(_ROUNDS):
            centred = design - design.mean(axis=0)
            residual = implied - state
            keep = np.abs(residual - design @ coefficients - np.median(residual - design @ coefficients)) < 0.3
            coefficients, *_ = np.linalg.lstsq(centred[keep], residual[keep] - residual[keep].mean(), rcond=None)
            state = _running_medians(implied - design @ coefficients, sittings)
    level = float(np.median(state))
    a, b, c = (float(v) for v in coefficients)
    return ReferenceLoad((a, b, c), level), (implied - design @ coefficients if momentary else state) - level


def steady_campaign(
    measurements: Sequence[Measurement], momentary: bool = False
) -> tuple[list[Measurement], ReferenceLoad]:
    """The networks of a campaign with steady times (rule 4), in their order, and the load that was found.

    Kernels that were measured alone are left as they are. With `momentary`, each network's own references decide.
    """
    networks = [i for i, m in enumerate(measurements) if m.granularity != "kernel"]
    steady = list(measurements)
    if not networks:
        return steady, ReferenceLoad((0.0, 0.0, 0.0), float(np.log(measurements[0].reference_ms)) if steady else 0.0)
    load, states = fit_reference_load([measurements[i] for i in networks], momentary)
    for i, state in zip(networks, states, strict=True):
        steady[i] = _at_state(measurements[i], float(state))
    return steady, load


def steady_models(measurements: Sequence[Measurement], load: ReferenceLoad) -> list[Measurement]:
    """Models of interleaved passes with steady times on the scale of the campaign that `load` is of (rule 5)."""
    if not measurements:
        return []
    own = _implied_log_reference(measurements) - _design(measurements) @ np.array(load.coefficients) - load.state
    sittings = np.array([m.sitting for m in measurements])
    states = {sitting: float(np.median(own[sittings == sitting])) for sitting in sorted(set(sittings))}
    return [_at_state(m, states[m.sitting]) for m in measurements]


def _at_state(measurement: Measurement, state: float) -> Measurement:
    """Raw times divided by the machine's state; the spread between halves, which compares ratios, stays."""
    factor = measurement.median_ms / measurement.latency_ms * float(np.exp(-state))
    return replace(
        measurement,
        latency_ms=measurement.latency_ms * factor,
        half_ms=(measurement.half_ms[0] * factor, measurement.half_ms[1] * factor),
        kernel_ms=tuple(value * factor for value in measurement.kernel_ms),
    )


def _implied_log_reference(measurements: Sequence[Measurement]) -> np.ndarray[Any, Any]:
    return np.log([m.reference_ms * m.median_ms / m.latency_ms for m in measurements])


def _design(measurements: Sequence[Measurement]) -> np.ndarray[Any, Any]:
    rows = []
    for m in measurements:
        largest = max((t.bytes for k in m.kernels for t in k.outputs), default=0)
        constants = sum(
            t.bytes
            for k in m.kernels
            for t, fixed in zip(k.inputs, k.constants, strict=True)
            if t is not None and fixed
        )
        rows.append((m.median_ms, largest / 1e6, constants / 1e6))
    return np.log1p(np.array(rows))


def _running_medians(values: np.ndarray[Any, Any], sittings: Sequence[str]) -> np.ndarray[Any, Any]:
    """Median over the `WINDOW` nearest values of the same sitting."""
    result = np.empty(len(values))
    names = np.array(sittings)
    for name in set(sittings):
        places = np.flatnonzero(names == name)
        own = values[places]
        width = min(WINDOW, len(own))
        for i, place in enumerate(places):
            start = min(max(i - width // 2, 0), len(own) - width)
            result[place] = np.median(own[start : start + width])
    return result
