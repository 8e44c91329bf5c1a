"""Predictions as a timeline: what a trace shows, kernel after kernel, and the memory that is live meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nnmeter.memory.memory import MemoryPrediction
    from nnmeter.prediction.prediction import Prediction
    from nnmeter.prediction.priced_kernel import PricedKernel


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of a model.

    Attributes:
        latency_ms: time of a run.
        kernel_ms: time of each kernel, in the order of the prediction, which together make up the run; empty where the
            runtime has no profiler.
    """

    latency_ms: float
    kernel_ms: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Timeline:
    """A prediction, the memory that goes with it, and what was measured of the same.

    Attributes:
        prediction: of the time.
        memory: of the memory; None where nobody asked.
        measured: on the device; None where nothing was.
    """

    prediction: Prediction
    memory: MemoryPrediction | None = None
    measured: Measured | None = None

    def measured_spans(self) -> Iterator[tuple[PricedKernel, float, float]]:
        """Each kernel, when it started as measured, and how long it took, in milliseconds; none without a profiler."""
        start_ms = 0.0
        kernel_ms = () if self.measured is None else self.measured.kernel_ms
        if kernel_ms:
            for kernel, taken_ms in zip(self.prediction.kernels, kernel_ms, strict=True):
                yield kernel, start_ms, taken_ms
                start_ms += taken_ms

    def spans(self) -> Iterator[tuple[PricedKernel, float, int | None]]:
        """Each kernel, when it starts in milliseconds, and the bytes that are live while it runs, where that is known.

        Kernels of nested graphs, which are listed behind their operator, have the memory of that operator.
        """
        live = {} if self.memory is None else {step.kernel: step.live_bytes for step in self.memory.steps}
        start_ms = 0.0
        last: int | None = None
        for kernel in self.prediction.kernels:
            last = live.get(kernel.name, last)
            yield kernel, start_ms, last
            start_ms += kernel.latency_ms
