"""A sweep as a picture: latency with its interval, and throughput, over the first axis that has several sizes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING

from nnmeter.report.chart import Panel, Series, draw
from nnmeter.report.registry import Layout

if TYPE_CHECKING:
    from nnmeter.advice.sweep import Point, Sweep

_DOUBLES = 8  # an axis whose sizes span so much, at growing steps, is logarithmic


def render(found: Sweep, layout: Layout) -> str:
    """Two panels side by side; a line a device and combination of the other axes."""
    axis = next((name for name, sizes in found.axes.items() if len(sizes) > 1), next(iter(found.axes)))
    lines: dict[str, list[Point]] = {}
    for point in found.points:
        lines.setdefault(_name(point, axis, found), []).append(point)
    for points in lines.values():
        points.sort(key=lambda point: point.sizes[axis])

    def series(value: Callable[[Point], float], band: bool) -> list[Series]:
        return [
            Series(
                name,
                [(point.sizes[axis], value(point)) for point in points],
                [(point.prediction.interval_ms.low, point.prediction.interval_ms.high) for point in points]
                if band
                else (),
            )
            for name, points in lines.items()
        ]

    confidence = round(100 * found.confidence)
    panels = [
        Panel(
            f"latency, ms, with its {confidence} % interval",
            axis,
            "ms",
            series(lambda p: p.prediction.latency_ms, True),
        ),
        Panel("throughput, items a second", axis, "items/s", series(lambda p: p.items_per_second, False)),
    ]
    device = f" on {found.devices[0]}" if len(found.devices) == 1 else ""
    return draw(f"{PurePath(found.model).name}{device}", panels, _grows(sorted(set(found.axes[axis]))))


def _name(point: Point, axis: str, found: Sweep) -> str:
    words = [f"{name} {point.sizes[name]}" for name in found.axes if name != axis and len(found.axes[name]) > 1]
    if len(found.devices) > 1:
        words.append(point.prediction.device)
    return ", ".join(words)


def _grows(sizes: Sequence[int]) -> bool:
    return len(sizes) > 2 and sizes[-1] >= _DOUBLES * sizes[0] and sizes[-1] - sizes[-2] > 2 * (sizes[1] - sizes[0])
