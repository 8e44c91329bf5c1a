"""The head of a page: each prediction with its interval, side by side, and what a reader has to know of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING

from nnmeter.report.columns import format_dims
from nnmeter.report.comparison import difference_of, format_change, verdict_of
from nnmeter.report.machine import say_machines, warn_of_another_machine
from nnmeter.report.numbers import format_bytes, format_interval, format_ms, format_share
from nnmeter.report.outside import advice_lines, summarize_outside
from nnmeter.report.page.markup import escape, figure, number, table
from nnmeter.wording import shorten

if TYPE_CHECKING:
    from nnmeter.report.page.content import Page, Subject

_CHANGES = 20
_ROW, _WIDTH, _LEFT, _RIGHT = 24, 1000, 380, 90


def head_of(page: Page) -> str:
    """What stands above all predictions: the warning of another machine, and all side by side."""
    predictions = [subject.prediction for subject in page.subjects]
    warning = warn_of_another_machine(predictions)
    parts = [f'<p class="warning" role="note">{escape(warning)}</p>\n'] if warning else []
    if len(predictions) > 1:
        parts += [_side_by_side(page.subjects), _bars(page.subjects)]
    said = say_machines(predictions)
    if said:
        parts.append(f'<p class="faint">{escape(said)}</p>\n')
    return "".join(parts)


def verdict_of_subject(subject: Subject) -> str:
    """The number of one prediction, its interval, what it rests on, and the warnings."""
    prediction = subject.prediction
    confidence = round(100 * prediction.confidence)
    memory = "" if subject.memory is None else f"; memory {format_bytes(subject.memory.peak_bytes)} while it runs"
    parts = [
        f'<p class="verdict"><strong>{escape(format_ms(prediction.latency_ms))} ms</strong> {confidence} % interval '
        f"{escape(format_interval(prediction.interval_ms))} ms</p>\n",
        f"<p>{len(prediction.kernels)} kernels; {escape(format_share(prediction.coverage['trained']))} of their time "
        f"priced by trained predictors{escape(memory)}</p>\n",
    ]
    if subject.measured is not None:
        measured_ms = subject.measured.latency_ms
        ratio = prediction.latency_ms / measured_ms if measured_ms > 0 else 0.0
        inside = "inside" if prediction.interval_ms.low <= measured_ms <= prediction.interval_ms.high else "outside"
        kernels = (
            " Kernels were timed by the runtime's profiler; what it adds is taken off in equal parts, so that they "
            "sum to the run."
            if subject.measured.kernel_ms
            else ""
        )
        parts.append(
            f"<p>Measured: <strong>{escape(format_ms(measured_ms))} ms</strong>, {inside} of the interval; predicted / "
            f"measured is {ratio:.3f}.{kernels}</p>\n"
        )
    if subject.comparison is not None:
        parts.append(_comparison(subject))
    notes = list(dict.fromkeys(map(str, (*prediction.warnings, *(subject.memory.warnings if subject.memory else ())))))
    if notes:
        items = "".join(f"<li>{escape(note)}</li>" for note in notes)
        parts.append(f'<ul class="warning" aria-label="warnings">{items}</ul>\n')
    return "".join(parts)


def outside_of(subject: Subject) -> str:
    """What is outside of the trained range, and what trains it."""
    prediction = subject.prediction
    groups = summarize_outside(prediction.kernels)
    if not groups:
        return "<p>Every kernel is inside of the range that the device's predictor was trained on.</p>\n"
    rows = [(g.type, str(g.count), format_ms(g.latency_ms), g.reason) for g in groups]
    share = format_share(prediction.outside_share)
    advice = "\n".join(advice_lines(prediction.advice))
    return table(
        f"Outside of the trained range: {share} of the time",
        ("type", "kernels", "ms", "why"),
        rows,
        (False, True, True, False),
    ) + (f"<pre>{escape_lines(advice)}</pre>\n" if advice else "")


def escape_lines(text: str) -> str:
    """Several lines, each escaped."""
    return "\n".join(map(escape, text.splitlines()))


def _comparison(subject: Subject) -> str:
    comparison = subject.comparison
    assert comparison is not None
    changed = [c for c in comparison.changes if c.kind != "unchanged" and abs(c.difference_ms) > 0]
    greatest = sorted(changed, key=lambda change: -abs(change.difference_ms))[:_CHANGES]
    rows = [(c.kind, c.kernel.name, c.kernel.type, format_change(c.difference_ms), c.detail) for c in greatest]
    base = PurePath(comparison.before.model).name or comparison.before.model
    words = f"Against the baseline {base} on {comparison.before.device}, {format_ms(comparison.before.latency_ms)} ms"
    found = f"<h3>Against the baseline</h3>\n<p>{escape(words)}: {escape(verdict_of(comparison))}.</p>\n"
    found += f"<p>{escape(difference_of(comparison))}</p>\n"
    if rows:
        caption = f"The {len(rows)} changes that make most of the difference, of {len(changed)}"
        found += table(caption, ("what", "kernel", "type", "ms", "detail"), rows, (False, False, False, True, False))
    return found


def _side_by_side(subjects: Sequence[Subject]) -> str:
    fastest = min(subject.prediction.latency_ms for subject in subjects)
    confidence = round(100 * subjects[0].prediction.confidence)
    has_measured = any(subject.measured is not None for subject in subjects)
    headings = (
        "model",
        "sizes",
        "device",
        "ms",
        f"{confidence} % interval",
        *(("measured ms", "predicted / measured") if has_measured else ()),
        "x fastest",
        "trained",
        "memory",
        "kernels",
    )
    rows = [
        (
            PurePath(p.model).name or p.model,
            format_dims(p.dims),
            p.device,
            format_ms(p.latency_ms),
            format_interval(p.interval_ms),
            *(_measured_cells(subject) if has_measured else ()),
            f"{p.latency_ms / fastest:.2f}" if fastest else "",
            format_share(p.coverage["trained"]),
            "" if subject.memory is None else format_bytes(subject.memory.peak_bytes),
            str(len(p.kernels)),
        )
        for subject in subjects
        for p in (subject.prediction,)
    ]
    return table("Predictions side by side", headings, rows, tuple(place > 2 for place in range(len(headings))))


def _measured_cells(subject: Subject) -> tuple[str, str]:
    """The measured time, and the ratio of the predicted to it."""
    if subject.measured is None or subject.measured.latency_ms <= 0:
        return "", ""
    measured_ms = subject.measured.latency_ms
    return format_ms(measured_ms), f"{subject.prediction.latency_ms / measured_ms:.3f}"


def _bars(subjects: Sequence[Subject]) -> str:
    """Times with their intervals, on a logarithmic scale: devices differ by orders of magnitude."""
    from math import log

    ends = [e for s in subjects for e in (*s.prediction.interval_ms, s.prediction.latency_ms) if e > 0]
    if not ends:
        return ""
    low, high = log(min(ends) / 1.2), log(max(ends) * 1.2)

    def across(value_ms: float) -> float:
        inside = (log(value_ms) - low) / (high - low) if value_ms > 0 else 0.0
        return _LEFT + inside * (_WIDTH - _LEFT - _RIGHT)

    rows = []
    for place, subject in enumerate(subjects):
        prediction = subject.prediction
        y = 14 + place * _ROW
        start, end = (across(value) for value in prediction.interval_ms)
        middle = across(prediction.latency_ms)
        rows.append(
            f"<g><title>{escape(subject.name)}: {escape(format_ms(prediction.latency_ms))} ms</title>"
            f'<text x="{_LEFT - 8}" y="{y + 4}" class="end">{escape(shorten(subject.name, 52))}</text>'
            f'<rect class="c0" x="{number(start)}" y="{y - 5}" width="{number(max(end - start, 1))}" height="10" '
            f'opacity=".45"/>'
            f'<circle cx="{number(middle)}" cy="{y}" r="5" class="c0 edge"/>'
            f'<text x="{number(_WIDTH - _RIGHT + 8)}" y="{y + 4}">{escape(format_ms(prediction.latency_ms))} ms'
            "</text></g>"
        )
    caption = "Times with their intervals, on a logarithmic scale"
    return figure(
        caption, f"{caption}; the table above has the numbers", _WIDTH, 14 + len(subjects) * _ROW, "".join(rows)
    )
