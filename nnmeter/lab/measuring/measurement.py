"""The measurement: a list of kernels and the time that they took together, whatever the granularity.

Times are in milliseconds. A time is *corrected* when it has been brought from the state of the machine at that moment,
as the reference kernel's time tells it, to a nominal state in which that kernel takes `reference_ms`; so corrected
times of two sessions of one machine compare once they are brought to one nominal time (`Measurement.at_reference`),
those of two machines never do.
`nnmeter.lab.measuring.protocol` states how they are taken.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from nnmeter.kernels.kernel import KernelSignature
from nnmeter.lab.measuring.correction import correct

GRANULARITIES = ("kernel", "block", "model")


@dataclass(frozen=True, slots=True)
class Measurement:
    """Kernels and the time that one run of all of them took.

    Attributes:
        id: unique in its file: `block:resnet-1042`, `model:resnet50-224`.
        granularity: `kernel` (one of them), `block` (a part of a network, or a random one), or `model`.
        network: name of the network that was run.
        family: architecture family, by which data is split.
        kernels: signatures of the kernels, in the order of execution.
        latency_ms: mean of the middle 60 % of the corrected times of the runs.
        min_ms: least time of a run, uncorrected.
        median_ms: median time of a run, uncorrected.
        p90_ms: 90th percentile of the time of a run, uncorrected.
        runs: number of timed runs.
        reference_ms: nominal time of the reference kernel that `latency_ms` is corrected to.
        half_ms: corrected latencies of the two interleaved halves of the runs; their difference is the noise.
        threads: threads that executed the network.
        batch: leading dimension of the network's first input.
        sitting: name of the uninterrupted series of measurements that this one belongs to.
        kernel_ms: corrected time of each kernel inside of the running network, as the runtime's profiler saw it;
            empty where the runtime has no profiler. The profiler's own cost is in it, some microseconds a kernel, so
            that the sum exceeds `latency_ms`; training takes it off.
        kernel_spread: for each of `kernel_ms`, half the distance of its runs' quartiles, relative to it.
        kernel_runs: number of profiled runs behind `kernel_ms`.
    """

    id: str
    granularity: str
    network: str
    family: str
    kernels: tuple[KernelSignature, ...]
    latency_ms: float
    min_ms: float
    median_ms: float
    p90_ms: float
    runs: int
    reference_ms: float
    half_ms: tuple[float, float]
    threads: int
    batch: int
    sitting: str
    kernel_ms: tuple[float, ...] = ()
    kernel_spread: tuple[float, ...] = ()
    kernel_runs: int = 0

    def at_reference(self, reference_ms: float) -> Measurement:
        """The same measurement with its corrected times brought to another nominal time of the reference kernel."""
        factor = correct(1.0, self.reference_ms, reference_ms)
        return replace(
            self,
            latency_ms=self.latency_ms * factor,
            half_ms=(self.half_ms[0] * factor, self.half_ms[1] * factor),
            kernel_ms=tuple(value * factor for value in self.kernel_ms),
            reference_ms=reference_ms,
        )
