"""The analytic roofline of a device: the price that physics suggests, which trained functions correct.

`latency = FLOPs / peak(dtype) + bytes / bandwidth + overhead`. The sum, not the maximum of the roofline model (Williams
et al., CACM 2009), is used: it is smooth, so the learned ratio to it has no edge where the two terms cross.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnmeter.graph.cost import Cost

DTYPE_CLASSES: dict[int, str] = {64: "wide", 32: "float", 16: "half", 8: "int8", 4: "int8", 2: "int8"}


@dataclass(frozen=True, slots=True)
class Roofline:
    """Peak compute, memory bandwidth and launch overhead of a device.

    Attributes:
        peak_gflops: sustained GFLOP/s by class of element type: wide (64 bit), float, half, int8.
        bandwidth_gbs: sustained GB/s over all that a kernel reads and writes.
        overhead_ms: time of the smallest kernel.
    """

    peak_gflops: Mapping[str, float]
    bandwidth_gbs: float
    overhead_ms: float

    def latency_ms(self, cost: Cost, item_bits: int) -> float:
        """Milliseconds of a kernel of this cost, whose first input has items of `item_bits` bits."""
        peak = self.peak_gflops[DTYPE_CLASSES.get(item_bits, "float")]
        memory = (cost.bytes_read + cost.bytes_written) / (self.bandwidth_gbs * 1e6)
        return cost.flops / (peak * 1e6) + memory + self.overhead_ms

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "peak_gflops": dict(self.peak_gflops),
            "bandwidth_gbs": self.bandwidth_gbs,
            "overhead_ms": self.overhead_ms,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Roofline:
        """The roofline that `to_dict` described; ValueError if a quantity is not a positive number."""
        peak = {name: float(data["peak_gflops"][name]) for name in set(DTYPE_CLASSES.values())}
        roofline = cls(peak, float(data["bandwidth_gbs"]), float(data["overhead_ms"]))
        for value in (*peak.values(), roofline.bandwidth_gbs, roofline.overhead_ms):
            if not (0 < value < float("inf")):
                raise ValueError("a quantity of the roofline is not a positive number")
        return roofline


def fit_roofline(costs: Sequence[Cost], item_bits: Sequence[int], latency_ms: np.ndarray) -> Roofline:
    """Read a device's roofline off measured kernels.

    Overhead is the 2nd percentile of the latencies; peaks and bandwidth are the 95th percentile of what kernels that do
    little else achieved (arithmetic intensity above 20 FLOP a byte, and below 1). A class of types that was not
    measured gets the peak of float, scaled by its width.
    """
    flops = np.array([c.flops for c in costs], dtype=float)
    moved = np.array([c.bytes_read + c.bytes_written for c in costs], dtype=float)
    bits = np.array([DTYPE_CLASSES.get(b, "float") for b in item_bits])
    seconds = latency_ms * 1e-3
    overhead = float(np.quantile(latency_ms, 0.02))
    large = latency_ms > 5 * overhead
    streaming = large & (flops < moved) & (moved > 0)
    bandwidth = float(np.quantile(moved[streaming] / seconds[streaming], 0.95)) / 1e9 if streaming.any() else 10.0
    compute = large & (flops > 20 * moved)
    peaks: dict[str, float] = {}
    for name in ("float", "wide", "half", "int8"):
        mine = compute & (bits == name)
        if mine.sum() >= 20:
            peaks[name] = float(np.quantile(flops[mine] / seconds[mine], 0.95)) / 1e9
        else:
            peaks[name] = peaks.get("float", 10.0) * {"float": 1.0, "wide": 0.5, "half": 0.5, "int8": 1.5}[name]
    return Roofline(peaks, bandwidth, max(overhead, 1e-5))
