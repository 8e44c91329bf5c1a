"""From the times of runs to a measurement, as far as a profile tells them.

1. Times of single runs give a trimmed mean, minimum, median, 90th percentile, and two halves (even and odd runs), as
   the protocol of `nnmeter measure` has them (`nnmeter.lab.measuring.protocol`). A profile that tells nothing but a
   mean gives no halves, and no number of runs (`nnmeter.lab.importing.published`, rule 2).
2. No reference kernel was timed beside most profiles; `reference_ms` is then a nominal 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnmeter.kernels.kernel import KernelSignature
from nnmeter.lab.measuring.correction import correct
from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.measuring.protocol import relative_spread, trimmed_mean

NOMINAL_REFERENCE_MS = 1.0
_LEAST_RUNS_OF_HALVES = 4


@dataclass(frozen=True, slots=True)
class MeasuredNetwork:
    """Whose times they are.

    Attributes:
        name: of the network.
        family: architecture family.
        granularity: `model`, or `block` of a random network.
        threads: that executed it.
        batch: leading dimension of the first input.
        sitting: what was measured together.
    """

    name: str
    family: str
    granularity: str
    threads: int
    batch: int
    sitting: str


def measured(
    network: MeasuredNetwork,
    kernels: Sequence[KernelSignature],
    runs_ms: Sequence[float] | np.ndarray[Any, Any],
    kernel_runs_ms: np.ndarray[Any, Any] | None = None,
    *,
    mean_only: bool = False,
    part: str = "",
    around_ms: float = NOMINAL_REFERENCE_MS,
    reference_ms: float = NOMINAL_REFERENCE_MS,
) -> Measurement:
    """The measurement that times of runs amount to (rules 1 and 2).

    Args:
        network: whose times they are.
        kernels: what was executed.
        runs_ms: milliseconds of each run of all of them, or one mean.
        kernel_runs_ms: of each kernel in each run, of shape (runs, kernels), where it is known.
        mean_only: whether `runs_ms` is a mean over a number of runs that nobody told.
        part: names the part of the network that was timed, where it is not the whole.
        around_ms: milliseconds of the reference around the runs.
        reference_ms: its nominal milliseconds, to which the times are corrected.
    """
    raw = np.asarray(runs_ms, float)
    times = np.asarray(correct(raw, around_ms, reference_ms))
    halves = (0.0, 0.0)
    if not mean_only and len(times) >= _LEAST_RUNS_OF_HALVES:
        halves = (float(trimmed_mean(times[::2])), float(trimmed_mean(times[1::2])))
    kernel_ms: tuple[float, ...] = ()
    spread: tuple[float, ...] = ()
    if kernel_runs_ms is not None:
        corrected = np.asarray(correct(kernel_runs_ms, around_ms, reference_ms))
        kernel_ms = tuple(map(float, trimmed_mean(corrected)))
        spread = relative_spread(corrected)
    granularity = network.granularity
    if part:
        granularity = "kernel" if len(kernels) == 1 else "block"
    return Measurement(
        id=f"{granularity}:{network.name}" + (f"/{part}" if part else ""),
        granularity=granularity,
        network=network.name,
        family=network.family,
        kernels=tuple(kernels),
        latency_ms=float(trimmed_mean(times)),
        min_ms=math.nan if mean_only else float(raw.min()),
        median_ms=float(np.median(raw)),
        p90_ms=math.nan if mean_only else float(np.percentile(raw, 90)),
        runs=0 if mean_only else len(raw),
        reference_ms=reference_ms,
        half_ms=halves,
        threads=network.threads,
        batch=network.batch,
        sitting=network.sitting,
        kernel_ms=kernel_ms,
        kernel_spread=spread,
        kernel_runs=0 if kernel_runs_ms is None else len(kernel_runs_ms),
    )
