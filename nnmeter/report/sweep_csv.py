"""A sweep as CSV: a row a point."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nnmeter.report.documents import write_csv
from nnmeter.report.registry import Layout

if TYPE_CHECKING:
    from nnmeter.advice.sweep import Sweep


def render(found: Sweep, layout: Layout) -> str:
    """A header with the axes, and a row a point."""
    columns = (
        "model", "device", *found.axes, "latency_ms", "interval_low_ms", "interval_high_ms", "confidence", "items",
        "items_per_second", "coverage_trained",
    )  # fmt: skip
    return write_csv(
        columns,
        (
            (
                found.model,
                point.prediction.device,
                *(point.sizes[axis] for axis in found.axes),
                point.prediction.latency_ms,
                *point.prediction.interval_ms,
                found.confidence,
                point.items,
                point.items_per_second,
                point.prediction.coverage["trained"],
            )
            for point in found.points
        ),
    )
