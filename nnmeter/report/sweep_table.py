"""A sweep as a table for a person at a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nnmeter.report.machine import warn_of_another_machine
from nnmeter.report.numbers import format_interval, format_ms, format_share
from nnmeter.report.registry import Layout
from nnmeter.report.text import Text

if TYPE_CHECKING:
    from nnmeter.advice.sweep import Sweep


def render(found: Sweep, layout: Layout) -> str:
    """A row a point, a section a device, and at which sizes most goes through."""
    text = Text(layout.width, layout.colour)
    predictions = [point.prediction for point in found.points]
    warning = warn_of_another_machine(predictions)
    if warning:
        text.add_wrapped(warning)
    confidence = round(100 * found.confidence)
    headings = (*found.axes, "ms", f"{confidence} % interval", "items/s", "ms/item", "trained")
    for device in found.devices:
        text.add(f"{text.bold(found.model)} on {device}")
        rows = [
            (
                *(str(point.sizes[axis]) for axis in found.axes),
                format_ms(point.prediction.latency_ms),
                format_interval(point.prediction.interval_ms),
                format_ms(point.items_per_second),
                format_ms(point.prediction.latency_ms / point.items),
                format_share(point.prediction.coverage["trained"]),
            )
            for point in found.points
            if point.prediction.device == device
        ]
        text.add_table(headings, "r" * len(headings), [rows])
        best = found.best(device)
        sizes = ", ".join(f"{axis} {size}" for axis, size in best.sizes.items())
        text.add(f"most items a second at {sizes}: {format_ms(best.items_per_second)}")
        text.add()
    text.add_warnings(list(dict.fromkeys(str(w) for p in predictions for w in p.warnings)))
    return str(text)
