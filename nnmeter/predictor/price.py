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

# Standard deviation of the log error of a code path that was not sampled: the root mean square of five that were seen
# (nnmeter/kernels/paths.py has them: factors of 7, 2.3, 24, 2.2 and 0.1).
UNSAMPLED_PATH_SIGMA = 2.0

# Standard deviation of the log error of a price by what its loop takes (`nnmeter.operators.loops`), machines and sizes
# included: with it the intervals at 90 % of the Zen 4 pack held 99 of 109 forms that were not seen while the rules were
# made (benchmarks/fallback_operators.py).
LOOP_SIGMA = 0.6

# The least where data decide how much is computed: 3,000 numbers of which 20 differ are sorted out in 0.03 ms, if all
# differ in 0.7 ms.
DATA_SIGMA = 1.2

# Of the time that is saved where a kernel runs again at once (rule 9 of `nnmeter.predictor.kernel_predictor`).
RERUN_SIGMA = 0.5


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
        path: its code path in words, where training did not sample that; "" where it did.
        worst_ms: what it may take at the worst, where data decide how much it computes; 0 where they do not.
        rerun_sigma: the part of `sigma` that comes of running again at once, as no kernel of training did.
        cold_call_ms, cold_weights_ms: what it takes longer, as a profiler shows it, where the caches hold nothing of it
            (`nnmeter.predictor.coldness`); of several runs, the first alone.
    """

    latency_ms: float
    source: Source
    sigma: float
    distance: float
    kind: Kind
    flops: int
    bytes: int
    path: str = ""
    worst_ms: float = 0.0
    rerun_sigma: float = 0.0
    cold_call_ms: float = 0.0
    cold_weights_ms: float = 0.0

    def times(self, count: int) -> KernelPrice:
        """The price of several runs of the kernel."""
        return replace(
            self,
            latency_ms=self.latency_ms * count,
            flops=self.flops * count,
            bytes=self.bytes * count,
            worst_ms=self.worst_ms * count,
        )

    @property
    def unsampled_sigma(self) -> float:
        """The part of `sigma` that comes of what was not sampled.

        All of that of a fallback's price and of a code path that was not sampled, else that of the distance and of
        running again.
        """
        if self.source == "fallback" or self.path:
            return self.sigma
        return min(SIGMA_PER_DOUBLING * self.distance + self.rerun_sigma, self.sigma)
