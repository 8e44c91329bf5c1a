"""The roofline of a device with the kernels on it: what they reach, against what its arithmetic and its memory allow.

Both axes are logarithmic. Kernels of one signature have one price and are one dot, as large as the time of all of them.
The lines are those that the device's predictor was fitted to: sustained rates, not what the maker says, so that single
kernels lie above them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, floor, log10, sqrt
from typing import TYPE_CHECKING

from nnmeter.graph.ir import DTYPE_BITS
from nnmeter.predictor.roofline import DTYPE_CLASSES
from nnmeter.report.numbers import format_ms
from nnmeter.report.page.markup import escape, figure, number

if TYPE_CHECKING:
    from nnmeter.prediction.priced_kernel import PricedKernel
    from nnmeter.predictor.roofline import Roofline
    from nnmeter.report.page.content import Subject
    from nnmeter.report.page.operators import Colours

_WIDTH, _HEIGHT = 900.0, 420.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 70.0, 20.0, 16.0, 46.0
_LARGEST_DOT = 22.0
_NAMES = {"float": "float32", "wide": "64 bit", "half": "16 bit", "int8": "8 bit"}


@dataclass
class _Dot:
    kernel: PricedKernel
    count: int = 0
    latency_ms: float = 0.0

    @property
    def intensity(self) -> float:
        return self.kernel.flops / self.kernel.bytes

    @property
    def speed(self) -> float:
        """GFLOP/s."""
        return self.kernel.flops / self.kernel.latency_ms / 1e6


class _Scale:
    """From a value on a logarithmic axis to a place in the picture."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self.low, self.high = floor(log10(low)), max(ceil(log10(high)), floor(log10(low)) + 1)
        self.start, self.end = start, end

    def place(self, value: float) -> float:
        return self.start + (log10(value) - self.low) / (self.high - self.low) * (self.end - self.start)

    def marks(self) -> Iterator[float]:
        for exponent in range(self.low, self.high + 1):
            yield 10.0**exponent


def roofline_chart(subject: Subject, colours: Colours) -> str:
    """The picture of one prediction; "" where no kernel computes anything."""
    dots = _dots(subject)
    if not dots:
        return ""
    roof = subject.roofline
    classes = _classes_of(dots) if roof is not None else []
    speeds = [dot.speed for dot in dots] + ([roof.peak_gflops[c] for c in classes] if roof is not None else [])
    across = _Scale(min(d.intensity for d in dots), max(d.intensity for d in dots), _LEFT, _WIDTH - _RIGHT)
    up = _Scale(min(speeds), max(speeds), _HEIGHT - _BOTTOM, _TOP)
    body = [*_axes(across, up)]
    if roof is not None:
        body += [_roof(roof, name, across, up) for name in classes]
    total = subject.prediction.latency_ms or 1.0
    for dot in sorted(dots, key=lambda d: -d.latency_ms):
        radius = max(2.0, _LARGEST_DOT * sqrt(dot.latency_ms / total))
        name = dot.kernel.name if dot.count == 1 else f"{dot.kernel.name} and {dot.count - 1} like it"
        words = f"{name} ({dot.kernel.type}): {format_ms(dot.latency_ms)} ms, {dot.speed:.3g} GFLOP/s"
        body.append(
            f'<circle class="{colours.of(dot.kernel)} edge" opacity=".75" cx="{number(across.place(dot.intensity))}" '
            f'cy="{number(up.place(dot.speed))}" r="{number(radius)}"><title>{escape(words)}</title></circle>\n'
        )
    label = f"{len(dots)} kinds of kernels by FLOPs a byte and GFLOP/s; the table of kernels has the numbers"
    caption = "Roofline: what kernels reach; a dot is as large as their share of the time"
    return figure(caption, label, _WIDTH, _HEIGHT, "".join(body))


def _dots(subject: Subject) -> list[_Dot]:
    dots: dict[object, _Dot] = {}
    for kernel in subject.prediction.kernels:
        if kernel.flops > 0 and kernel.bytes > 0 and kernel.latency_ms > 0:
            dot = dots.setdefault(kernel.signature or kernel.name, _Dot(kernel))
            dot.count += 1
            dot.latency_ms += kernel.latency_ms
    return list(dots.values())


def _classes_of(dots: list[_Dot]) -> list[str]:
    """Classes of element types that kernels compute in, as the roofline tells them apart."""
    found: dict[str, None] = {}
    for dot in dots:
        signature = dot.kernel.signature
        first = next((kind for kind in signature.inputs if kind is not None), None) if signature else None
        found[DTYPE_CLASSES.get(DTYPE_BITS[first.dtype], "float") if first else "float"] = None
    return sorted(found)


def _axes(across: _Scale, up: _Scale) -> Iterator[str]:
    bottom = _HEIGHT - _BOTTOM
    for value in across.marks():
        x = number(across.place(value))
        yield f'<path class="grid" d="M{x} {_TOP}V{bottom}"/>'
        yield f'<text class="mid" x="{x}" y="{bottom + 18}">{value:g}</text>'
    for value in up.marks():
        y = up.place(value)
        yield f'<path class="grid" d="M{_LEFT} {number(y)}H{_WIDTH - _RIGHT}"/>'
        yield f'<text class="end" x="{_LEFT - 8}" y="{number(y + 4)}">{value:g}</text>'
    yield f'<text class="mid" x="{(_LEFT + _WIDTH) / 2}" y="{_HEIGHT - 6}">FLOPs a byte</text>'
    middle = number((_TOP + bottom) / 2)
    yield f'<text class="mid" transform="translate(16 {middle}) rotate(-90)">GFLOP/s</text>\n'


def _roof(roof: Roofline, name: str, across: _Scale, up: _Scale) -> str:
    """Memory's slope up to the ridge, then the peak."""
    peak = roof.peak_gflops[name]
    left, right = 10.0**across.low, 10.0**across.high
    ridge = min(max(peak / roof.bandwidth_gbs, left), right)
    lowest = 10.0**up.low
    start = max(left, lowest / roof.bandwidth_gbs)
    points = [(value, min(peak, value * roof.bandwidth_gbs)) for value in (start, ridge, right) if value >= start]
    line = "L".join(f"{number(across.place(x))} {number(up.place(y))}" for x, y in points)
    text = f"{_NAMES[name]}: {peak:.3g} GFLOP/s, {roof.bandwidth_gbs:.3g} GB/s"
    return (
        f'<path class="roof" d="M{line}"/><text class="end" x="{_WIDTH - _RIGHT - 4}" '
        f'y="{number(up.place(points[-1][1]) - 5)}">{escape(text)}</text>\n'
    )
