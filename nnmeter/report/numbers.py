"""How reports write numbers (`nnmeter.wording`), and which kernels they single out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from nnmeter.wording import format_count, format_interval, format_ms, format_share

if TYPE_CHECKING:
    from nnmeter.prediction.priced_kernel import PricedKernel

__all__ = ["TOP_KERNELS", "format_count", "format_interval", "format_ms", "format_share", "most_expensive"]

TOP_KERNELS = 10


def most_expensive(kernels: Iterable[PricedKernel], count: int = TOP_KERNELS) -> list[PricedKernel]:
    """The `count` kernels that take longest, longest first; model order among equals."""
    return sorted(kernels, key=lambda kernel: -kernel.latency_ms)[:count]
