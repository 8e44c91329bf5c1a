"""Line charts as SVG, written by hand: they need no library, and the same data give the same bytes.

1. Panels stand beside each other and share the colours of their series. A series may have a band, as an interval has.
2. An axis starts at 0, unless it is logarithmic. Marks stand at round numbers, or at the data where these are few.
3. Colours are of the palette of Okabe and Ito, which the colour-blind tell apart; each series has its name at its end.
   A reader's dark scheme turns paper and ink.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from math import floor, log10

from nnmeter.wording import format_ms, printable, shorten

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#5B5B5B")
_WIDTH, _HEIGHT = 460, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 18, 40, 48
_HEADER = 34
_LINE = 17  # between names of series
_MOST_MARKS = 9
_CHARACTERS = 88  # of a name

_STYLE = """\
svg { font: 12px system-ui, sans-serif; color: #222; background: #fff }
.grid { stroke: currentColor; stroke-opacity: .12 } .axis { stroke: currentColor; stroke-opacity: .5 }
text { fill: currentColor } .faint { fill-opacity: .65 } .title { font-weight: 600; font-size: 14px }
.line { fill: none; stroke-width: 2 } .band { stroke: none; fill-opacity: .15 }
@media (prefers-color-scheme: dark) { svg { color: #e6e6e6; background: #1b1b1b } }"""


@dataclass(frozen=True)
class Series:
    """A line: its points from left to right, and low and high ends around each where they are known."""

    name: str
    points: Sequence[tuple[float, float]]
    band: Sequence[tuple[float, float]] = ()


@dataclass(frozen=True)
class Panel:
    """One set of axes."""

    title: str
    across: str
    up: str
    series: Sequence[Series]


def draw(title: str, panels: Sequence[Panel], logarithmic: bool = False) -> str:
    """The charts as one SVG document.

    Args:
        title: what it is about.
        panels: from left to right.
        logarithmic: whether the axis across is, for sizes that double.
    """
    names = list(dict.fromkeys(series.name for panel in panels for series in panel.series))
    legend = [name for name in names if name]
    height = _HEADER + _HEIGHT + (_LINE * len(legend) + 10 if len(legend) > 1 else 0)
    width = _WIDTH * len(panels)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'role="img" aria-labelledby="title">',
        f'<title id="title">{_text(title)}</title>',
        f"<style>{_STYLE}</style>",
        f'<text class="title" x="{_LEFT}" y="22">{_text(title)}</text>',
    ]
    for number, panel in enumerate(panels):
        parts += _panel(panel, number * _WIDTH, names, logarithmic)
    for number, name in enumerate(legend if len(legend) > 1 else ()):
        y = _HEADER + _HEIGHT + _LINE * number + 6
        colour = _colour(names.index(name))
        parts.append(f'<line x1="{_LEFT}" x2="{_LEFT + 22}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{_LEFT + 30}" y="{y + 4}">{_text(name)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(panel: Panel, left: float, names: Sequence[str], logarithmic: bool) -> list[str]:
    xs = sorted({x for series in panel.series for x, _ in series.points})
    highest = max(
        [y for series in panel.series for _, y in series.points] + [high for s in panel.series for _, high in s.band]
    )
    up_marks = _round_marks(highest)
    across = _scale(xs, left + _LEFT, left + _WIDTH - _RIGHT, logarithmic)
    bottom, top = _HEADER + _HEIGHT - _BOTTOM, _HEADER + _TOP
    span = max(up_marks[-1], highest) or 1.0

    def up(value: float) -> float:
        return bottom - (bottom - top) * value / span

    right = left + _WIDTH - _RIGHT
    parts = [f'<text x="{left + _LEFT:.0f}" y="{top - 14}">{_text(panel.title)}</text>']
    for mark in up_marks:
        y = f"{up(mark):.1f}"
        parts.append(f'<line class="grid" x1="{left + _LEFT:.0f}" x2="{right:.0f}" y1="{y}" y2="{y}"/>')
        parts.append(
            f'<text class="faint" x="{left + _LEFT - 8:.0f}" y="{up(mark) + 4:.1f}" text-anchor="end">'
            f"{_number(mark)}</text>"
        )
    parts += [
        f'<text class="faint" x="{across(mark):.1f}" y="{bottom + 18}" text-anchor="middle">{_number(mark)}</text>'
        for mark in _thinned(xs)
    ]
    parts.append(f'<line class="axis" x1="{left + _LEFT:.0f}" x2="{right:.0f}" y1="{bottom}" y2="{bottom}"/>')
    middle = (left + _LEFT + right) / 2
    parts.append(
        f'<text class="faint" x="{middle:.0f}" y="{bottom + 38}" text-anchor="middle">{_text(panel.across)}</text>'
    )
    for series in panel.series:
        parts += _series(series, panel.up, _colour(names.index(series.name)), across, up)
    return parts


def _series(
    series: Series, unit: str, colour: str, across: Callable[[float], float], up: Callable[[float], float]
) -> list[str]:
    parts = []
    places = [(across(x), up(y)) for x, y in series.points]
    if series.band and len(series.points) > 1:
        highs = [f"{x:.1f},{up(high):.1f}" for (x, _), (_, high) in zip(places, series.band, strict=True)]
        lows = [f"{x:.1f},{up(low):.1f}" for (x, _), (low, _) in zip(places, series.band, strict=True)]
        parts.append(f'<polygon class="band" fill="{colour}" points="{" ".join([*highs, *reversed(lows)])}"/>')
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    parts.append(f'<polyline class="line" stroke="{colour}" points="{points}"/>')
    for (x, y), (place_x, place_y) in zip(series.points, places, strict=True):
        said = f"{series.name}: {_number(x)}, {format_ms(y)} {unit}"
        parts.append(
            f'<circle cx="{place_x:.1f}" cy="{place_y:.1f}" r="3" fill="{colour}"><title>{_text(said)}</title></circle>'
        )
    return parts


def _colour(number: int) -> str:
    return _COLOURS[number % len(_COLOURS)]


def _scale(values: Sequence[float], first: float, last: float, logarithmic: bool) -> Callable[[float], float]:
    low, high = (log10(values[0]), log10(values[-1])) if logarithmic else (values[0], values[-1])
    inset = 12.0
    if high == low:
        return lambda value: (first + last) / 2

    def place(value: float) -> float:
        at = log10(value) if logarithmic else value
        return first + inset + (last - first - 2 * inset) * (at - low) / (high - low)

    return place


def _round_marks(highest: float) -> list[float]:
    """About five round numbers from 0 to a number."""
    if highest <= 0:
        return [0.0, 1.0]
    size = 10.0 ** floor(log10(highest))
    step = next(size * part for part in (0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 2.5) if highest / (size * part) <= 6)
    count = int(highest / step + 0.999)
    return [step * number for number in range(count + 1)]


def _thinned(values: Sequence[float]) -> list[float]:
    every = -(-len(values) // _MOST_MARKS)
    return list(values)[::every]


def _number(value: float) -> str:
    return f"{value:g}" if value < 1e6 else format_ms(value)


def _text(text: str) -> str:
    return escape(printable(shorten(text, _CHARACTERS)))
