"""How reports write numbers (`nnmeter.wording`), and which kernels they single out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nnmeter.wording import format_bytes, format_count, format_interval, format_ms, format_share

if TYPE_CHECKING:
    from nnmeter.prediction.peak_memory import PeakMemory
    from nnmeter.prediction.priced_kernel import PricedKernel

__all__ = [
    "TOP_KERNELS",
    "TimeUnit",
    "format_bytes",
    "format_count",
    "format_interval",
    "format_ms",
    "format_share",
    "memory_line",
    "most_expensive",
    "time_unit",
]

TOP_KERNELS = 10


@dataclass(frozen=True, slots=True)
class TimeUnit:
    """The unit that the times of a table are written in.

    Attributes:
        name: `ms`.
        in_ms: how many milliseconds it has.
    """

    name: str
    in_ms: float

    def format(self, latency_ms: float) -> str:
        """Milliseconds in this unit, with three significant digits."""
        return format_ms(latency_ms / self.in_ms)

    def format_interval(self, interval_ms: Sequence[float]) -> str:
        """An interval of milliseconds in this unit: `21.9 - 25.1`."""
        low, high = interval_ms
        return format_interval((low / self.in_ms, high / self.in_ms))


def memory_line(memory: PeakMemory) -> str:
    """What a model takes while it runs, in a sentence."""
    parts = f"{format_bytes(memory.weights_bytes)} of weights, {format_bytes(memory.activations_bytes)} of activations"
    return f"memory: {format_bytes(memory.peak_bytes)} while it runs, {parts}"


MILLISECONDS = TimeUnit("ms", 1.0)
_MICROSECONDS, _SECONDS = TimeUnit("µs", 1e-3), TimeUnit("s", 1e3)


def time_unit(latencies_ms: Sequence[float]) -> TimeUnit:
    """The unit that suits all of some times: microseconds if all are below 0.1 ms, seconds if all are above 10 s."""
    if max(latencies_ms, default=1.0) < 0.1:
        return _MICROSECONDS
    return _SECONDS if min(latencies_ms, default=1.0) >= 10_000 else MILLISECONDS


def most_expensive(kernels: Iterable[PricedKernel], count: int = TOP_KERNELS) -> list[PricedKernel]:
    """The `count` kernels that take longest, longest first; model order among equals."""
    return sorted(kernels, key=lambda kernel: -kernel.latency_ms)[:count]
