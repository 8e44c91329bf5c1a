"""Models whose kernels take what the made-up device of `tests.predictor.conftest` says."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from nnmeter.kernels.kernel import KernelSignature
from nnmeter.lab.measuring.measurement import Measurement
from tests.predictor.conftest import true_latency_ms


@pytest.fixture
def measure() -> Callable[..., Measurement]:
    """Makes a measurement of these kernels, with an excess of the profiler on each."""

    def make(
        network: str,
        kernels: Sequence[KernelSignature],
        excess_ms: float = 0.0,
        granularity: str = "model",
        sitting: str = "s",
        slowness: float = 1.0,
    ) -> Measurement:
        times = [slowness * true_latency_ms(k) for k in kernels]
        total = sum(times)
        return Measurement(
            id=f"{granularity}:{network}", granularity=granularity, network=network, family="made up",
            kernels=tuple(kernels), latency_ms=total, min_ms=total, median_ms=total, p90_ms=total, runs=5,
            reference_ms=1.0, half_ms=(total, total * 1.02), threads=1, batch=1, sitting=sitting,
            kernel_ms=tuple(t + excess_ms for t in times), kernel_spread=(0.0,) * len(times), kernel_runs=5,
        )  # fmt: skip

    return make
