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
class Timeline:
    """A prediction and the memory that goes with it.

    Attributes:
        prediction: of the time.
        memory: of the memory; None where nobody asked.
    """

    prediction: Prediction
    memory: MemoryPrediction | None = None

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
