"""The price of one kernel, as predictors, intervals and predictions share it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from nnmeter.kernels.anchor import Kind

Source = Literal["trained", "fallback"]

# Standard deviation that each doubling of size beyond the sampled range adds. Of 15,000 kernels of a campaign that were
# larger than nine tenths of their operator's, priced by a fit to the others, the error in excess of that inside was
# 0.04 to 0.09 a doubling from one doubling on (benchmarks/extrapolation.py).
SIGMA_PER_DOUBLING = 0.1


@dataclass(frozen=True, slots=True)
class KernelPrice:
    """Price of one kernel.

    Attributes:
        latency_ms: predicted milliseconds.
        source: "trained" or "fallback" (`nnmeter.predictor.kernel_predictor`, rule 2).
        sigma: standard deviation of the log of the price.
        distance: how many doublings the kernel lies beyond the sampled range; 0 within it.
        kind: its family, operator and element type.
        flops, bytes: its cost.
    """

    latency_ms: float
    source: Source
    sigma: float
    distance: float
    kind: Kind
    flops: int
    bytes: int

    def times(self, count: int) -> KernelPrice:
        """The price of several runs of the kernel."""
        return replace(self, latency_ms=self.latency_ms * count, flops=self.flops * count, bytes=self.bytes * count)

    @property
    def unsampled_sigma(self) -> float:
        """The part of `sigma` that comes of what was not sampled: all of a fallback's, else that of the distance."""
        return self.sigma if self.source == "fallback" else min(SIGMA_PER_DOUBLING * self.distance, self.sigma)
